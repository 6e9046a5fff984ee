"""What is written about the command is what the command says, for people, shells and scripts."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

import workers.errors
from ambient.cli.answers import ANSWERS, PROCESSES, fields, lacking
from ambient.cli.app import app
from ambient.cli.exits import NODE, Exit, explained
from bus.messages import NodeView, WhyReply
from workers.errors import NodeError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def manual() -> ModuleType:
    """The tool that writes the papers."""
    spec = importlib.util.spec_from_file_location("manual", ROOT / "tools/manual.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands() -> set[str]:
    """All of them; those below `node` with both words."""
    found = set()
    for name in (each for each in app if not each.startswith("-")):
        found.add(name)
        found |= {f"{name} {each}" for each in app[name] if not each.startswith("-")}
    return found


def test_the_manual_page_is_good_roff_and_names_every_command_and_code(manual: ModuleType) -> None:
    """The typesetter has no complaint; nobody looks for a command or a code in vain."""
    page = manual.page()
    told = {
        heading.removeprefix("ambient ") for heading in re.findall(r"^\.SS (ambient .*)$", page, re.MULTILINE)
    }

    assert commands() <= told
    assert all(f".B {code}\n" in page for code, _ in explained())
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("no groff on this machine")
    done = subprocess.run(
        [groff, "-K", "utf8", "-T", "utf8", "-man", "-ww", "-z"], input=page, capture_output=True, text=True, check=False, timeout=60
    )  # fmt: skip
    if "preconv" not in done.stderr:  # a groff without its preprocessor reads no UTF-8
        assert (done.returncode, done.stderr) == (0, "")


def test_a_command_that_does_not_exist_is_found_in_a_paper(manual: ModuleType) -> None:
    """A paper that still names a renamed command fails the check; words that only look like one do not."""
    text = "Try `ambient frobnicate x`.\n```\nambient up ; ambient unknown --x\n```\nThe ambient temperature."

    assert manual.unknown(text) == ["frobnicate", "unknown"]


def test_the_codes_of_the_node_are_those_that_it_ends_with() -> None:
    """Every error that ends a node, and every way to end in order, has its meaning in the one place."""
    kinds = [
        kind
        for kind in vars(workers.errors).values()
        if isinstance(kind, type) and issubclass(kind, NodeError)
    ]
    ways = {value for name, value in vars(workers.errors).items() if name.startswith("EXIT_")}

    assert {kind.exit_code for kind in kinds} | ways == set(NODE)
    assert {code for code, _ in explained()} == {*Exit, 130}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_understands_its_completion(shell: str) -> None:
    """The script names every command and is accepted by the shell, where that is here."""
    script = app.generate_completion(shell=shell)

    assert all(name in script for name in ("run", "watch", "doctor", "undrain"))
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True, timeout=60)


def kinds(struct: type) -> dict[str, str]:
    return {row.name: row.kind for row in fields(struct)[struct.__name__]}


def test_every_field_that_json_prints_has_a_type_and_a_meaning() -> None:
    """Of every answer of every command, and of what is inside it; processes have no answer."""
    assert {*ANSWERS, *PROCESSES} == commands()
    assert list(lacking()) == []
    assert kinds(NodeView)["temperature_c"] == "number or null"
    assert kinds(WhyReply)["nodes"] == "list of NodeReason"
