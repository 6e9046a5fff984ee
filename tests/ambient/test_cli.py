"""The command line without a cluster: usage, help, settings and exit codes."""

import asyncio
import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App
from rich.console import Console

from ambient.cli.app import app
from ambient.cli.exits import Exit
from ambient.cli.views import nodes_table
from bus.messages import Capabilities, NodeView
from bus.server import free_port
from tests.command import ambient as run_ambient


def ambient(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100", **environment}
    done = asyncio.run(run_ambient(*arguments, environment=settings))
    return subprocess.CompletedProcess(arguments, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_no_server_is_said_with_its_address_and_cure() -> None:
    """Without a server every question ends with exit code 4 and says how to start one."""
    url = f"nats://127.0.0.1:{free_port()}"
    done = ambient("nodes", NATS_URL=url)

    assert done.returncode == Exit.UNAVAILABLE
    assert url in done.stderr
    assert "ambient up" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [("run",), ("nonsense",), ("run", "x.wasm", "--priority", "high"), ("coordinator", "--strategy", "best")],
)
def test_usage_errors_exit_2_and_say_what_is_wrong(arguments: tuple[str, ...]) -> None:
    """A command line that is not right is explained on stderr, nothing goes to stdout."""
    done = ambient(*arguments)

    assert done.returncode == Exit.USAGE
    assert done.stdout == ""
    assert done.stderr


def test_doctor_without_a_server_finds_just_that() -> None:
    """The doctor's first finding is the one that matters, with its cure."""
    done = ambient("doctor", NATS_URL=f"nats://127.0.0.1:{free_port()}")

    assert done.returncode == Exit.NOT_VERIFIED
    assert "✗ server" in done.stdout
    assert "ambient up" in done.stdout


def test_help_names_every_exit_code() -> None:
    """Scripts can rely on the codes because the help states them."""
    text = " ".join(ambient("--help").stdout.split())

    assert all(f"{code.value} {code.name.lower().replace(chr(95), chr(32))}" in text for code in Exit)


def leaves(group: App, *above: str) -> Iterator[tuple[str, ...]]:
    """Every command line that does something."""
    for name in group:
        if not name.startswith("-"):
            inner = tuple(leaves(group[name], *above, name))
            yield from inner or [(*above, name)]


def test_every_command_takes_json() -> None:
    """`--json` is on every command."""
    lacking = []
    for name in leaves(app):
        text = io.StringIO()
        app.help_print(name, console=Console(file=text, width=100))
        if "--json" not in text.getvalue():
            lacking.append(name)

    assert lacking == []


def test_a_module_that_is_no_file_is_a_usage_error(tmp_path: Path) -> None:
    """`check` of a missing file names the file."""
    done = ambient("check", str(tmp_path / "none.wasm"))

    assert done.returncode == Exit.USAGE
    assert "none.wasm" in done.stderr


def test_check_says_what_a_module_costs_and_why_one_is_unfit() -> None:
    """A fit module runs twice the same, by name and figure; an unfit one exits 1 naming the import."""
    guests = Path(__file__).parents[2] / "examples" / "guests"
    fit = ambient("check", str(guests / "primes.wasm"), "1000", "--entry", "count_primes", "--json")
    unfit = ambient("check", str(guests / "misbehaving" / "net.wasm"))
    report = json.loads(fit.stdout)

    assert (fit.returncode, report["fit"], report["differs"]) == (0, True, [])
    assert report["runs"][0]["fuel"] == report["runs"][1]["fuel"] > 0
    assert unfit.returncode == Exit.NOT_VERIFIED
    assert "sock_accept" in unfit.stdout


@pytest.mark.parametrize(
    "arguments",
    [("up", "--nodes", "-1"), ("up", "--port", "65536"), ("node", "--slots", "0"), ("watch", "--times", "0")],
)
def test_numbers_out_of_range_are_refused_before_anything_starts(arguments: tuple[str, ...]) -> None:
    """A number that cannot work is a usage error that names the option and the limit."""
    done = ambient(*arguments)

    assert done.returncode == Exit.USAGE
    assert arguments[1] in done.stderr
    assert "Must be" in done.stderr


def test_a_port_that_is_taken_is_said_at_once(tmp_path: Path) -> None:
    """`up` does not wait for a server that has already ended; it says why, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        begun = time.monotonic()
        done = ambient("up", "--nodes", "0", "--port", str(port), "--http-port", "0", "--data", str(tmp_path))

    assert done.returncode == Exit.USAGE
    assert f"port {port} is taken" in done.stderr
    assert time.monotonic() - begun < 15
    assert not (tmp_path / "cluster.json").exists()


def test_a_file_that_cannot_be_read_is_named_with_its_option(tmp_path: Path) -> None:
    """A folder given as module or input is said in words, without an error number."""
    done = ambient("check", str(tmp_path))

    assert done.returncode == Exit.USAGE
    assert f"MODULE: cannot read {tmp_path}" in done.stderr
    assert "Errno" not in done.stderr


def test_a_settings_file_that_is_named_must_exist(tmp_path: Path) -> None:
    """`AMBIENT_CONFIG` with a typing error is not read as "no settings"."""
    done = ambient("nodes", AMBIENT_CONFIG=str(tmp_path / "none.toml"))

    assert done.returncode == Exit.USAGE
    assert "none.toml does not exist" in done.stderr


def test_a_nodes_table_fits_a_terminal_of_80_columns() -> None:
    """With names of usual length no figure is cut off, however large the counts are; a long name is folded."""
    node = NodeView(
        node="node-1",
        key="",
        state="draining",
        score=0.9999,
        terms={},
        capabilities=Capabilities(version="1", engine="e", cores=2, memory_mb=64, slots=16),
        open=16,
        seen_ms_ago=1,
        reputation=1.0,
        agreed=123456,
        latency_ms=123.4,
        energy_j=99_999.0,
        energy_method="estimated:tdp",
    )
    text = io.StringIO()
    Console(file=text, width=80).print(nodes_table([node]))

    assert max(len(line) for line in text.getvalue().splitlines()) <= 80
    assert all(word in text.getvalue() for word in ("node-1", "draining", "123456", "16/16", "100.0 kJ"))
    assert "…" not in text.getvalue()


def test_help_says_of_each_command_what_it_does() -> None:
    """Also of those that nothing had loaded before, and of the words behind `node`."""
    root, node = ambient("--help").stdout, ambient("node", "--help").stdout

    assert "Withdraw one of our own tasks" in root
    assert "Give a node no more work" in node


LIGHT = {
    "nodes": ("anchor.receipt", "gateway.tokens", "ledger", "sandbox", "numpy", "rich.progress", "rich.live"),
    "verify": ("ambient.client", "nats", "sandbox", "numpy"),
    "token": ("ambient.client", "nats", "cryptography", "sandbox", "numpy"),
    "run": ("anchor.receipt", "gateway.tokens", "ledger", "ambient.audit", "numpy", "rich.live"),
}
"""What a command must not import: each of these costs its user time for nothing."""


@pytest.mark.parametrize("command", LIGHT)
def test_a_command_imports_what_it_needs_and_no_more(command: str) -> None:
    """In a new interpreter that has looked the command up."""
    program = (
        "import sys\nfrom ambient.cli.app import app\n"
        f"app[{command!r}]\nprint([name for name in {LIGHT[command]!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout == "[]\n"
