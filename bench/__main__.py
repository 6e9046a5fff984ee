"""`python -m bench [SUITE …]`: run the benchmarks, print their tables, save `docs/benchmarks.json` and `docs/benchmarks.md`."""

import datetime as dt
import importlib
import json
import os
import platform
import sys
from pathlib import Path

from bench.rows import Row, as_dicts, as_markdown

SUITES = ("sandbox", "scheduling", "throughput", "latency", "takeover", "memory", "soak", "peers")
_DOCS = Path(__file__).parent.parent / "docs"


def main(names: list[str]) -> int:
    """Run the suites named, or all; a partial run prints but saves nothing."""
    unknown = [name for name in names if name not in SUITES]
    if unknown:
        print(f"no suite {', '.join(unknown)}: choose from {', '.join(SUITES)}", file=sys.stderr)
        return 2
    results: dict[str, list[Row]] = {}
    for name in names or SUITES:
        print(f"\n== {name}", flush=True)
        results[name] = importlib.import_module(f"bench.{name}").main()
        print(as_markdown(results[name]), flush=True)
    if not names:
        _save(results)
    missed = [row.name for rows in results.values() for row in rows if row.judgement == "missed"]
    if missed:
        print(f"\nworse than acceptable: {', '.join(missed)}", file=sys.stderr)
    return 0


def _save(results: dict[str, list[Row]]) -> None:
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {platform.system()}"
    when = dt.datetime.now(dt.UTC).date().isoformat()
    saved = {
        "date": when,
        "machine": machine,
        "suites": {name: as_dicts(rows) for name, rows in results.items()},
    }
    (_DOCS / "benchmarks.json").write_text(json.dumps(saved, indent=2) + "\n")
    parts = [
        "# Benchmarks",
        "",
        f"Measured {when} on a shared machine ({machine}) by `make bench`, which writes this file.",
        "Ratios are against a baseline in the same run; single absolute figures move with the machine's other work.",
    ]
    for name, rows in results.items():
        parts += ["", f"## {name}", "", as_markdown(rows)]
    (_DOCS / "benchmarks.md").write_text("\n".join(parts) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
