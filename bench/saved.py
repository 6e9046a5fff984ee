"""The figures that are kept: `docs/benchmarks.json` for programs, `docs/benchmarks.md` for people.

Guarantees that a suite's rows replace those of the same suite and no others; that each says when and on what it was measured; and that the
page is made of the file, so that they never differ.
"""

import datetime as dt
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.rows import Row, as_dicts, as_markdown, from_dicts

__all__ = ["keep", "page"]

_DOCS = Path(__file__).parent.parent / "docs"
_HEAD = """# Benchmarks

`make bench` measures all of this and writes this file; `python -m bench reliability` measures one part, and any suite can be run by its name.
Ratios are against a baseline in the same run; single absolute figures move with what else the machine does.
"""


def keep(
    group: str, suite: str, rows: Sequence[Row], *, order: Mapping[str, Sequence[str]], docs: Path = _DOCS
) -> None:
    """Save the rows of one suite; `order` is that of the groups and their suites on the page."""
    path = docs / "benchmarks.json"
    there: dict[str, Any] = json.loads(path.read_text())["groups"] if path.exists() else {}
    there.setdefault(group, {})[suite] = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {platform.system()}",
        "rows": as_dicts(rows),
    }
    groups = {
        name: {each: there[name][each] for each in suites if each in there[name]}
        for name, suites in order.items()
        if name in there
    }
    path.write_text(json.dumps({"groups": groups}, indent=2) + "\n")
    (docs / "benchmarks.md").write_text(page(groups))


def page(groups: Mapping[str, Mapping[str, Any]]) -> str:
    """What people read, of what is in the file."""
    parts = [_HEAD]
    for group, suites in groups.items():
        parts.append(f"## {group.capitalize()}\n")
        for name, found in suites.items():
            parts.append(f"### {name}\n\nMeasured {found['date']} on {found['machine']}.\n")
            parts.append(as_markdown(from_dicts(found["rows"])) + "\n")
    return "\n".join(parts)
