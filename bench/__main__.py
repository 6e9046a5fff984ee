"""`python -m bench [NAME …] [--save]`: run suites or whole groups of them, print their tables, and keep what they found.

Without names it is everything. What a group finds is saved, suite by suite, in `docs/benchmarks.json` and `docs/benchmarks.md`; a suite
that is named by itself only prints, unless `--save` is given. Each suite runs in a process of its own, with a limit on its time:
one that fails or hangs costs its own figures and no others.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import saved
from bench.rows import Row, as_markdown, from_dicts

GROUPS = {
    "speed": (
        "sandbox",
        "scheduling",
        "throughput",
        "latency",
        "ledger",
        "anchor",
        "publication",
        "gateway",
        "dashboard",
        "peers",
    ),
    "reliability": ("takeover", "recovery", "rejoin", "servers", "memory", "retention", "simulation", "soak"),
}
_LIMIT_S = 420.0
_SOAK_MORE_S = 900.0
"""What a soak may need beside its load: a cluster to start, a million tasks before it, two restarts, an end in order."""


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 if every suite came to its end, whatever it found; 1 if one did not; 2 for a name that there is not."""
    suites = [name for group in GROUPS.values() for name in group]
    options = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").partition("\n")[0])
    options.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"groups ({', '.join(GROUPS)}) or suites ({', '.join(suites)})",
    )
    options.add_argument("--save", action="store_true", help="keep also what single suites find")
    chosen = options.parse_args(arguments)
    unknown = [name for name in chosen.names if name not in GROUPS and name not in suites]
    if unknown:
        print(f"no suite {', '.join(unknown)}: choose from {', '.join((*GROUPS, *suites))}", file=sys.stderr)
        return 2
    failed, missed = [], []
    for name, is_saved in _plan(chosen.names or list(GROUPS), keep=chosen.save):
        print(f"\n== {name}", flush=True)
        rows = _run(name)
        if rows is None:
            failed.append(name)
            continue
        print(as_markdown(rows), flush=True)
        missed += [row.name for row in rows if row.judgement == "missed"]
        if is_saved:
            group = next(group for group, members in GROUPS.items() if name in members)
            saved.keep(group, name, rows, order=GROUPS)
    if missed:
        print(f"\nworse than acceptable: {', '.join(missed)}", file=sys.stderr)
    if failed:
        print(f"\nnot measured: {', '.join(failed)}; run each by itself to see why", file=sys.stderr)
    return 1 if failed else 0


def _plan(names: Sequence[str], *, keep: bool) -> list[tuple[str, bool]]:
    """Each suite once, in order, and whether its figures are kept."""
    found: dict[str, bool] = {}
    for name in names:
        for suite in GROUPS.get(name, (name,)):
            found[suite] = found.get(suite, False) or keep or name in GROUPS
    return list(found.items())


def _run(name: str) -> list[Row] | None:
    """The rows of a suite; None where it did not come to its end, and then it has said why."""
    limit_s = _LIMIT_S
    if name == "soak":
        limit_s = float(os.environ.get("SOAK_S", "600")) + _SOAK_MORE_S
    with tempfile.TemporaryDirectory(prefix="ambient-bench-", ignore_cleanup_errors=True) as folder:
        found = Path(folder) / "rows.json"
        command = [sys.executable, "-m", "bench.one", name, str(found)]
        # Whatever a suite that is ended leaves behind goes with the folder.
        process = subprocess.Popen(command, env={**os.environ, "TMPDIR": folder})  # noqa: S603 -- ourselves
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            print(f"{name} is not done after {limit_s:g} s and is ended", file=sys.stderr)
            code = 1
        finally:
            process.terminate()  # the processes that it started end with it
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
            process.wait()
        return from_dicts(json.loads(found.read_text())) if code == 0 else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
