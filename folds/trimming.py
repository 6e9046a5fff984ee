"""How far the logs may be cut. Pure.

Guarantees, for whatever is cut:

- every fold has two checkpoints that reach further, so that one may be damaged;
- what is open can be folded again from the logs alone, unless they are so full that room comes first: then it is in checkpoints only;
- of a task whose verdict is cut nothing else is left in the logs that could be taken for a task without one. So VERDICTS is cut last, and
  less far: who folds what is left decides nothing a second time;
- nothing is cut before its time (`keep_ms`), unless a log is nearly full.

A `Mark` is a cut through all logs at one time, so "older than a day" is a position in each.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bus.streams import Extent
from folds.manifest import Manifest

__all__ = ["CROWDED", "REQUIRED", "Mark", "before", "cuts", "floors", "mark"]

CROWDED = 0.7
"""The share of its limit beyond which a log is cut for room, whatever the age of what is in it."""
REQUIRED = frozenset({"coordinator", "verifier"})
"""Folds of every cluster: without a checkpoint of theirs nothing is cut. Any other is heeded as soon as it has one."""
_LAST = "verdicts"


class Mark(NamedTuple):
    """How far each log was folded at `at_ms`, ms since the epoch: what stands before is older."""

    at_ms: int
    positions: dict[str, int]


def floors(kept: Mapping[str, Sequence[Manifest]]) -> dict[str, int] | None:
    """How far all folds have kept each log, by their second newest checkpoints; None where a required one has no two."""
    found: dict[str, int] = {}
    for manifests in kept.values():
        if len(manifests) < 2:  # noqa: PLR2004 -- the newest and the one before it
            return None
        for log in manifests[0].positions:
            reached = min(manifest.positions.get(log, 0) for manifest in manifests)
            found[log] = min(found.get(log, reached), reached)
    return found if kept.keys() >= REQUIRED else None


def cuts(
    marks: Sequence[Mark],
    now_ms: int,
    keep_ms: int,
    *,
    extents: Mapping[str, Extent],
    floors: Mapping[str, int],
    oldest_open: int,
) -> dict[str, int]:
    """For each log the sequence that is to be its first, where that is more than it is now.

    `marks` the oldest first; `floors` how far every fold has kept each log; `oldest_open` where in TASKS the oldest open task stands,
    0 without one: in a mark before it, nothing in any log is about an open task.
    """
    crowded = any(each.max_bytes > 0 and each.bytes > CROWDED * each.max_bytes for each in extents.values())
    usable = [
        each
        for each in marks
        if all(each.positions.get(log, 0) <= floors.get(log, 0) for log in extents)
        and (crowded or _may_go(each, now_ms - keep_ms, oldest_open))
    ]
    if len(usable) < 2:  # noqa: PLR2004 -- one for VERDICTS, and a later one for the others
        return {}
    first = {log: usable[-2 if log == _LAST else -1].positions.get(log, 0) + 1 for log in extents}
    return {log: to for log, to in first.items() if to > extents[log].first}


def _may_go(mark: Mark, at_ms: int, oldest_open: int) -> bool:
    return mark.at_ms <= at_ms and (not oldest_open or mark.positions["tasks"] < oldest_open)


def mark(marks: list[Mark], now_ms: int, positions: Mapping[str, int], *, most: int = 128) -> None:
    """Note where the logs stand now. Of the older marks every second one goes when there are too many."""
    marks.append(Mark(now_ms, dict(positions)))
    if len(marks) > most:
        half = most // 2
        marks[:half] = marks[:half:2]


def before(marks: Iterable[Mark], at_ms: int, log: str) -> int:
    """The first sequence of `log` that may be younger than `at_ms`."""
    return max((each.positions[log] + 1 for each in marks if each.at_ms <= at_ms), default=0)
