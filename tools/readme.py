#!/usr/bin/env python3
"""Write the parts of README.md that are recorded or measured; `--check` compares instead.

`record` runs the demo and keeps what it printed. `figures` puts the benchmarks' headline rows in. A check compares the figures
with docs/benchmarks.json; that the recording is true is the system tests' business, which run the demo and compare.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"


def _replaced(text: str, part: str, content: str) -> str:
    """`text` with everything between the two comments of `part` replaced."""
    pattern = re.compile(rf"(<!-- {part}: [^>]*-->\n).*?(<!-- end of {part} -->)", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"README.md has no part {part!r}: add its two comments")
    return pattern.sub(lambda match: match[1] + content + match[2], text)


def recording() -> str:
    """What `ambient demo` prints, as a text block."""
    command = [sys.executable, "-m", "ambient", "demo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 -- our own demo
    if done.returncode != 0:
        raise SystemExit(f"the demo failed, nothing is recorded:\n{done.stdout}{done.stderr}")
    lines = [line.rstrip()[:118] for line in done.stdout.strip().splitlines()]
    return "```\n$ make demo\n" + "\n".join(lines) + "\n```\n"


def figures() -> str:
    """The rows of docs/benchmarks.json that have an aim: a table for each group, which says when and where it was measured."""
    groups = json.loads((ROOT / "docs/benchmarks.json").read_text())["groups"]
    return "\n".join(_table(name, list(suites.values())) for name, suites in groups.items())


def _table(group: str, suites: list[dict[str, Any]]) -> str:
    dates, machines = sorted({each["date"] for each in suites}), sorted({each["machine"] for each in suites})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    lines = [f"| {group} | measured | aim | not worse than |", "|---|---:|---:|---:|"]
    for row in (row for each in suites for row in each["rows"] if row["aim"] is not None):
        value = f"{row['value']:,.0f}" if row["value"] >= 100 else f"{row['value']:.3g}"  # noqa: PLR2004 -- three figures
        lines.append(f"| {row['name']} | {value} {row['unit']} | {row['aim']:,g} | {row['floor']:,g} |")
    return f"Measured {when} on {'; '.join(machines)}.\n\n" + "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """`record`, `figures` or `--check`."""
    text = README.read_text()
    if arguments == ["record"]:
        README.write_text(_replaced(text, "demo", recording()))
    elif arguments == ["figures"]:
        README.write_text(_replaced(text, "figures", figures()))
    elif arguments == ["--check"]:
        if _replaced(text, "figures", figures()) != text:
            print("README.md's figures are not those of docs/benchmarks.json: run `tools/readme.py figures`")  # noqa: T201
            return 1
    else:
        print(__doc__, file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
