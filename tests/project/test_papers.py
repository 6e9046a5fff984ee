"""The papers say what is there, and nothing of the machine that they were written on."""

import re
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECORDS = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))

# One letter of each name stands in brackets, so that this file does not contain what it looks for.
REGISTRIES = rb"py[p]i\.org|pythonhoste[d]\.org|npmj[s]\.(?:org|com)|static\.crates\.i[o]|proxy\.golan[g]\.org|artifactor[y]"
HOMES = rb"(?<![\w.}])/(?:roo[t]/|(?:hom[e]|User[s])/\w+/)"


def committed() -> list[Path]:
    """Every file that git knows; outside a checkout there is nothing to compare with."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False, timeout=60)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def section(text: str, title: str) -> str:
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_no_committed_file_names_a_registry_or_a_home() -> None:
    """What is committed works elsewhere, and tells nothing about where it was made; built modules, too."""
    pattern = re.compile(REGISTRIES + b"|" + HOMES)
    told = {
        str(path.relative_to(ROOT)): match.group()
        for path in committed()
        if (match := pattern.search(path.read_bytes()))
    }

    assert told == {}


def test_the_changelog_is_about_the_version_that_is_built() -> None:
    """Its newest entry carries the version of `pyproject.toml`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert newest is not None
    assert project["version"] == newest.group(1)


def test_links_between_papers_lead_somewhere() -> None:
    """Every relative link in a committed paper names a file or folder that exists."""
    dead = [
        f"{paper.relative_to(ROOT)} -> {target}"
        for paper in committed()
        if paper.suffix == ".md"
        for target in re.findall(r"\]\(([^)#\s]+)", paper.read_text())
        if "://" not in target and not (paper.parent / target).exists()
    ]

    assert dead == []


def test_every_decision_record_is_short_complete_and_listed() -> None:
    """A record has its four parts in at most 40 lines, and the index leads to it."""
    index = (ROOT / "docs/adr/README.md").read_text()
    for record in RECORDS:
        text = record.read_text()

        assert f"({record.name})" in index
        assert len(text.splitlines()) <= 40, record.name
        for part in ("**Context.**", "**Decision.**", "**Consequences.**", "**What would make us revisit.**"):
            assert part in text, f"{record.name} lacks {part}"


def test_the_architecture_knows_what_is_there_and_what_is_not() -> None:
    """Each folder of the table exists, none of the planned ones does: the day one comes, it moves up."""
    text = (ROOT / "docs/architecture.md").read_text()
    there = re.findall(r"`([\w.]+)/`", section(text, "Where each thing lives"))
    planned = re.findall(r"`([\w.]+)/`", section(text, "Planned, not yet in this version"))

    assert {"bus", "sandbox", "workers", "coordinator", "verifier", "ambient"} <= set(there)
    assert [name for name in there if not (ROOT / name).is_dir()] == []
    assert [name for name in planned if (ROOT / name).is_dir()] == []


@pytest.mark.parametrize("name", ["tools/find-python", "tools/install", ".ci/run"])
def test_scripts_can_be_run_as_they_are(name: str) -> None:
    """They are executable, and their shell accepts them."""
    path = ROOT / name
    shell = "bash" if path.read_text().startswith("#!/usr/bin/env bash") else "sh"

    assert path.stat().st_mode & stat.S_IXUSR
    subprocess.run([shell, "-n", path], check=True, timeout=60)
