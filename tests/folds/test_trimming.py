"""Logs are cut below what every fold has kept twice, after their time, VERDICTS last; and never what is open."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bus.streams import Extent
from folds.manifest import Manifest
from folds.trimming import CROWDED, Mark, before, cuts, floors, mark

LOGS = ("tasks", "assignments", "results", "verdicts")
KEEP_MS = 1000


def _positions(at: int) -> dict[str, int]:
    return dict.fromkeys(LOGS, at)


def _extents(last: int, *, first: int = 1, size: int = 0) -> dict[str, Extent]:
    return {log: Extent(first, last, size, 100) for log in LOGS}


def _cuts(marks: list[Mark], now_ms: int, **more: Any) -> dict[str, int]:
    given_in: dict[str, Any] = {"extents": _extents(1000), "floors": _positions(1000), "oldest_open": 0}
    return cuts(marks, now_ms, KEEP_MS, **{**given_in, **more})


MARKS = [Mark(at_ms, _positions(at_ms)) for at_ms in (100, 200, 300, 400)]


def test_what_is_older_than_the_retention_goes_and_verdicts_one_mark_later() -> None:
    """Of four marks two are old enough: the logs begin behind the second, VERDICTS behind the first."""
    assert _cuts(MARKS, 1250) == {"tasks": 201, "assignments": 201, "results": 201, "verdicts": 101}
    assert _cuts(MARKS, 1150) == {}
    assert _cuts([], 10**9) == {}


def test_nothing_goes_that_a_fold_has_not_kept() -> None:
    """A mark counts only when each fold's second newest checkpoint lies behind it."""
    assert _cuts(MARKS, 10**9, floors=_positions(1000) | {"results": 250}) == {
        "tasks": 201, "assignments": 201, "results": 201, "verdicts": 101,
    }  # fmt: skip
    assert _cuts(MARKS, 10**9, floors={}) == {}


def test_what_is_open_stays_with_all_that_came_after_it() -> None:
    """Marks behind the oldest open task do not count, so that the logs alone tell of it; a crowded log makes no such allowance."""
    assert _cuts(MARKS, 10**9, oldest_open=301)["tasks"] == 301
    assert _cuts(MARKS, 10**9, oldest_open=300)["tasks"] == 201
    crowded = _extents(1000, size=int(100 * CROWDED) + 1)
    assert _cuts(MARKS, 10**9, oldest_open=150, extents=crowded)["tasks"] == 401


def test_a_crowded_log_is_cut_before_its_time() -> None:
    """As far as every fold has kept it."""
    crowded = _extents(1000) | {"results": Extent(1, 1000, 80, 100)}
    assert _cuts(MARKS, 0, extents=crowded) == {
        "tasks": 401,
        "assignments": 401,
        "results": 401,
        "verdicts": 301,
    }


def test_what_is_cut_already_is_not_cut_again() -> None:
    """Only what moves is told."""
    assert _cuts(MARKS, 1250, extents=_extents(1000, first=150)) == {
        "tasks": 201, "assignments": 201, "results": 201,
    }  # fmt: skip


@given(
    st.lists(st.tuples(st.integers(1, 50), st.lists(st.integers(0, 9), min_size=4, max_size=4)), max_size=12),
    st.integers(0, 1500),
    st.lists(st.integers(0, 100), min_size=4, max_size=4),
    st.integers(0, 100),
    st.lists(st.integers(0, 100), min_size=4, max_size=4),
)
def test_cuts_keep_every_rule(
    steps: list[tuple[int, list[int]]], now_ms: int, kept: list[int], oldest_open: int, sizes: list[int]
) -> None:
    """Whatever the marks: behind all folds, before what is open or young, and VERDICTS less far than any mark the others were cut at."""
    marks, at_ms, positions = list[Mark](), 0, [0, 0, 0, 0]
    for passed, growth in steps:
        at_ms += passed
        positions = [one + more for one, more in zip(positions, growth, strict=True)]
        marks.append(Mark(at_ms, dict(zip(LOGS, positions, strict=True))))
    extents = {log: Extent(1, 1000, size, 100) for log, size in zip(LOGS, sizes, strict=True)}
    reached = dict(zip(LOGS, kept, strict=True))
    found = cuts(marks, now_ms, KEEP_MS, extents=extents, floors=reached, oldest_open=oldest_open)
    crowded = max(sizes) > 100 * CROWDED

    for log, first in found.items():
        assert first - 1 <= reached[log]
        assert any(each.positions[log] + 1 == first for each in marks)
    if "verdicts" in found:
        cut = next(each for each in marks if each.positions["verdicts"] + 1 == found["verdicts"])
        assert all(cut.positions[log] + 1 <= found.get(log, 1) for log in LOGS[:3])
    if found and not crowded:
        assert any(each.at_ms <= now_ms - KEEP_MS for each in marks)
        assert not oldest_open or found.get("tasks", 1) <= oldest_open


def _manifest(fold: str, at: int, *logs: str) -> Manifest:
    return Manifest(fold=fold, version=1, positions=dict.fromkeys(logs, at), written_ms=0)


def test_a_floor_is_what_all_folds_have_kept_twice() -> None:
    """The second newest checkpoint counts, of every fold that reads the log; two services are never missing, others join."""
    both = {
        "coordinator": [_manifest("coordinator", 20, *LOGS), _manifest("coordinator", 10, *LOGS)],
        "verifier": [_manifest("verifier", 9, *LOGS[1:]), _manifest("verifier", 8, *LOGS[1:])],
    }
    anchor = {"anchor": [_manifest("anchor", 4, "verdicts"), _manifest("anchor", 3, "verdicts")]}

    assert floors(both) == {"tasks": 10, "assignments": 8, "results": 8, "verdicts": 8}
    assert floors(both | anchor) == {"tasks": 10, "assignments": 8, "results": 8, "verdicts": 3}
    assert floors({"coordinator": both["coordinator"]}) is None
    assert floors(both | {"anchor": anchor["anchor"][:1]}) is None


def test_marks_are_thinned_from_the_old_end() -> None:
    """Their number is bounded, they stay in order, and the newest are all there."""
    marks: list[Mark] = []
    for at in range(1000):
        mark(marks, at, _positions(at), most=16)

        assert len(marks) <= 16
        assert [each.at_ms for each in marks] == sorted({each.at_ms for each in marks})
        assert marks[-1].at_ms == at
    assert before(marks, marks[3].at_ms, "tasks") == marks[3].at_ms + 1
    assert before(marks, -1, "tasks") == 0
