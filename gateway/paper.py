"""`python -m gateway.paper` writes docs/openapi.json and the table of paths in docs/rest.md; with `--check` it compares."""

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from gateway.app import describe

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent
PAPER, DOCUMENT = ROOT / "docs" / "rest.md", ROOT / "docs" / "openapi.json"
_PART = re.compile(r"(<!-- paths: [^>]*-->\n).*(<!-- end of paths -->)", re.DOTALL)


def table(document: dict[str, Any]) -> str:
    """The paths by what they are about, with what each does."""
    lines = ["| | path | |", "|---|---|---|"]
    for path, operations in sorted(document["paths"].items()):
        for method, said in operations.items():
            lines.append(f"| {method.upper()} | `{path.removeprefix('/api/v1')}` | {said['summary']} |")
    return "\n".join(lines) + "\n"


def written() -> dict[Path, str]:
    """What the two papers should hold."""
    document = describe()
    document["info"]["version"] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    paper = PAPER.read_text()
    found = _PART.search(paper)
    if found is None:
        raise SystemExit(f"{PAPER.name} has no part `paths`: add its two comments")
    text = msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=1).decode() + "\n"
    return {
        DOCUMENT: text,
        PAPER: paper[: found.end(1)] + table(document) + paper[found.start(2) :],
    }


def main(arguments: list[str]) -> int:
    """0 where all is as it should be, or was written; 1 where `--check` found a difference."""
    differing = [path for path, text in written().items() if not path.exists() or path.read_text() != text]
    if arguments != ["--check"]:
        for path in differing:
            path.write_text(written()[path])
        return 0
    for path in differing:
        sys.stderr.write(f"docs/{path.name} is not what the API is: run `python -m gateway.paper`\n")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
