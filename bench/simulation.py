"""How many histories of faults a core plays in a second: the usual ones, and brief ones, in the same run.

Time is CPU time of this process, so that a busy neighbour counts less. The usual histories have some 500 events and find broken rules in less
time than brief ones do (docs/guarantees.md); brief ones have some 300. Both are played from seed 0 on, and no promise may be broken in any.
"""

import os

from bench.rows import Row
from tests.simulation.campaign import Tally, be_quiet, campaign

__all__ = ["main"]

_SEEDS = int(os.environ.get("SIMULATION_SEEDS", "1000"))
_EVENTS = 200


def main() -> list[Row]:
    """Histories and events a second of a core, how many events a history has, and broken promises."""
    be_quiet()
    return [*_rows("brief histories", _play(brief=True)), *_rows("histories", _play(brief=False))]


def _play(*, brief: bool) -> Tally:
    whole = Tally()
    for tally in campaign(range(_SEEDS), brief=brief, jobs=1):
        whole.add(tally)
    return whole


def _rows(of: str, whole: Tally) -> list[Row]:
    each = whole.events / whole.histories
    share = whole.events_each.share_from(_EVENTS)
    return [
        Row(
            name=f"{of}, of one core",
            value=whole.rate,
            unit="/s",
            better="higher",
            aim=200,
            floor=50,
            note=f"{each:.0f} events each, {100 * share:.0f} % have {_EVENTS} or more",
        ),
        Row(name=f"{of}: events of one core", value=whole.events / whole.cpu_s, unit="/s", better="higher"),
        Row(name=f"{of}: events each", value=each, unit="events", better="higher"),
        Row(name=f"{of}: broken of {_SEEDS:,}", value=len(whole.broken), unit="histories", aim=0, floor=0),
    ]
