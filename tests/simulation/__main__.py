"""`python -m tests.simulation`: play seeds, or look at one history. Exits 1 if a promise was broken.

python -m tests.simulation --seeds 1000            seeds 0 … 999, on all cores
python -m tests.simulation --seeds 5000-6000       these: what is left of an interrupted campaign, for example
python -m tests.simulation --seconds 600           as many as there is time for
python -m tests.simulation --seeds 2000 --coverage which faults struck, how often, and what came of them
python -m tests.simulation --seeds 1000 --brief    twice as many in a second, which find less
python -m tests.simulation --seed 17 --trace       one history, line by line
python -m tests.simulation --seed 17 --shrink      the shortest history that breaks the same promise
"""

import argparse
import sys
import time
from contextlib import closing

from tests.simulation.campaign import be_quiet, campaign, parts_of
from tests.simulation.drawing import draw
from tests.simulation.mutations import MUTATIONS
from tests.simulation.report import Report
from tests.simulation.scenario import Scenario
from tests.simulation.shrinking import shrink
from tests.simulation.world import History, Parts, play

__all__ = ["main"]

_SEEDS = 1_000
_ENDLESS = 10**9
_INTERRUPTED = 130


def main() -> int:
    """Do what the command line says."""
    be_quiet()
    asked = _arguments()
    parts = parts_of(asked.mutation)
    if asked.seed is None:
        return _campaign(asked)
    scenario = draw(asked.seed, brief=asked.brief)
    if asked.shrink:
        scenario = shrink(scenario, parts)
    history = play(scenario, parts, tracing=asked.trace or asked.shrink)
    _show(history)
    return _end(history, parts)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--seeds", default="", help="how many (default: 1000), or a range like 5000-6000")
    parser.add_argument("--seconds", type=float, default=0.0, help="begin no more histories after so long")
    parser.add_argument("--jobs", type=int, default=0, help="processes (default: one a core)")
    parser.add_argument("--seed", type=int, help="play this one alone")
    parser.add_argument("--trace", action="store_true", help="print what happens in it")
    parser.add_argument("--shrink", action="store_true", help="make a failing history short first")
    parser.add_argument(
        "--coverage", action="store_true", help="count the faults that struck, and what came of them"
    )
    parser.add_argument(
        "--brief", action="store_true", help="the brief scenarios of the seeds, of some 300 events"
    )
    parser.add_argument("--mutation", default="", choices=["", *MUTATIONS], help="break this rule on purpose")
    return parser.parse_args()


def _campaign(asked: argparse.Namespace) -> int:
    first, _, last = asked.seeds.rpartition("-")
    bounded = bool(asked.seeds) or not asked.seconds
    seeds = range(int(first or 0), int(last or _SEEDS) if bounded else _ENDLESS)
    until_s = time.monotonic() + asked.seconds if asked.seconds else float("inf")
    report = Report(seeds, mutation=asked.mutation, brief=asked.brief, bounded=bounded)
    tallies = campaign(seeds, mutation=asked.mutation, brief=asked.brief, jobs=asked.jobs, until_s=until_s)
    with closing(tallies):
        whole = report.follow(tallies)
    report.end(coverage=asked.coverage, whole=whole)
    if not whole:
        return _INTERRUPTED
    return 1 if report.total.broken else 0


def _show(history: History) -> None:
    for line in (*_told(history.scenario), *history.trace):
        print(line)  # noqa: T201 -- its output


def _told(scenario: Scenario) -> list[str]:
    lines = [
        f"seed {scenario.seed}: {scenario.network}, {scenario.strategy}, calm from {scenario.calm_ms:.0f} ms"
    ]
    lines += [f"  {node}" for node in scenario.nodes]
    lines += [f"  {fault}" for fault in scenario.faults]
    return lines


def _end(history: History, parts: Parts) -> int:
    again = play(history.scenario, parts)
    same = "the same when played again" if again.print == history.print else "ANOTHER ONE WHEN PLAYED AGAIN"
    print(f"{history.events} events, {history.simulated_ms:.0f} ms, {history.print[:16]}, {same}")  # noqa: T201 -- its output
    if history.violation is None:
        print("every promise was kept")  # noqa: T201 -- its output
        return 0
    print(f"BROKEN: {history.violation}")  # noqa: T201 -- its output
    return 1


if __name__ == "__main__":
    sys.exit(main())
