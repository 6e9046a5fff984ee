"""The look back at nodes: what was heard, when, of whom; and what it costs. Pure."""

import math
import time
from collections import defaultdict
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.messages import BoardReply
from gateway.view.telemetry import BUCKET_BYTES, BUCKETS, STEP_MS, TelemetryHistory

NAMES = ("a", "b", "c", "d")
UNITS = {
    "cpu_free": ("cpu_free", 255, 1 / 200, 0),
    "memory_free": ("memory_free", 255, 1 / 200, 0),
    "latency_ms": ("latency", 65_535, 1 / 10, 0),
    "temperature_c": ("temperature", 255, 1 / 2, -20),
    "battery": ("battery", 255, 1 / 200, 0),
    "power_w": ("power", 65_535, 1 / 50, 0),
}
"""Where a quantity stands on the board, what says that it is not known, its unit and from where it counts."""

type Row = dict[str, int]


def rows() -> st.SearchStrategy[Row]:
    """What a board says of one node."""
    codes = {
        column: st.integers(0, 8) | st.integers(unknown - 2, unknown)
        for column, unknown, _, _ in UNITS.values()
    }
    return st.fixed_dictionaries({"state": st.integers(0, 5), **codes})


@st.composite
def looks(draw: st.DrawFn) -> list[tuple[int, dict[str, Row]]]:
    """Boards with their moments, newest last: nodes come, go and change places."""
    at_ms, found = 1_000_000_000_000 + draw(st.integers(0, STEP_MS)), []
    order = draw(st.permutations(NAMES).map(lambda names: names[:2]))
    for _ in range(draw(st.integers(0, 8))):
        at_ms += draw(st.sampled_from((1000, 1000, 9_000, 3 * STEP_MS, (BUCKETS - 2) * STEP_MS)))
        if draw(st.integers(0, 3)) == 0:
            order = draw(st.permutations(NAMES).flatmap(lambda names: st.just(names[: len(names) - 1])))
        found.append((at_ms, {name: draw(rows()) for name in order}))
    return found


def board_of(at_ms: int, told: dict[str, Row], shape: str = "") -> BoardReply:
    """A board of these rows."""
    columns = {
        column: np.array([row[column] for row in told.values()], "u1" if unknown == 255 else "<u2").tobytes()
        for column, unknown, _, _ in UNITS.values()
    }
    nothing = bytes(2 * len(told))
    return BoardReply(
        shape=shape,
        total=len(told),
        at_ms=at_ms,
        state=bytes(row["state"] for row in told.values()),
        score=nothing,
        open=nothing,
        silent=nothing,
        **columns,
    )


def expected(heard: list[tuple[int, dict[str, Row]]], node: str, quantity: str) -> dict[int, list[int]]:
    """The numbers of each bucket, by its beginning: those of boards on which the node was present, as long as it stays on the board."""
    column, unknown, _, _ = UNITS[quantity]
    found = defaultdict(list)
    for at_ms, told in heard:
        if node not in told:
            found.clear()  # who is off the board is forgotten
        elif told[node]["state"] < 3 and told[node][column] != unknown:
            found[at_ms // STEP_MS * STEP_MS].append(told[node][column])
    oldest = (heard[-1][0] // STEP_MS - BUCKETS) * STEP_MS
    return {begins: codes for begins, codes in found.items() if begins > oldest}


@settings(max_examples=40)
@given(looks(), st.sampled_from(NAMES), st.integers(0, 5))
def test_what_is_told_of_a_node_is_what_was_heard_of_it(
    heard: list[tuple[int, dict[str, Row]]], node: str, left: int
) -> None:
    """Least, mean and most of each bucket, gaps where nothing was heard, whatever order the rows had; from `since_ms` on the same, without what ended by then."""
    history = TelemetryHistory()
    for at_ms, told in heard:
        history.fold(board_of(at_ms, told), list(told))
    found = history.of(node)
    if not heard or node not in heard[-1][1]:
        assert found is None
        return
    assert found is not None
    for quantity, (_, _, unit, base) in UNITS.items():
        buckets = expected(heard, node, quantity)
        spread = getattr(found, quantity)
        assert (spread is None) == (not buckets)
        if spread is None:
            continue
        assert len(spread.min) == len(spread.mean) == len(spread.max) <= BUCKETS
        for at, (least, mean, most) in enumerate(zip(spread.min, spread.mean, spread.max, strict=True)):
            codes = buckets.pop(found.from_ms + at * found.step_ms, None)
            if codes is None:
                assert least is mean is most is None
                continue
            assert math.isclose(least, min(codes) * unit + base, abs_tol=1e-6)
            assert math.isclose(most, max(codes) * unit + base, abs_tol=1e-6)
            assert abs(mean - (sum(codes) / len(codes) * unit + base)) <= unit / 2 + 1e-6
        assert not buckets
    since_ms = heard[-1][0] - left * STEP_MS
    later = history.of(node, since_ms)
    assert later is not None
    assert later.from_ms == 0 or since_ms - STEP_MS < later.from_ms
    assert later.from_ms or found.from_ms + len(_any(found)) * STEP_MS <= since_ms + STEP_MS
    if later.from_ms and later.power_w is not None and found.power_w is not None:
        skipped = (later.from_ms - found.from_ms) // STEP_MS
        assert later.power_w.mean == found.power_w.mean[skipped:]


def _any(found: object) -> list[float | None]:
    return next((spread.min for name in UNITS if (spread := getattr(found, name)) is not None), [])


def test_an_hour_of_a_thousand_nodes_is_bounded_and_cheap() -> None:
    """24 bytes a node and bucket, however long it runs; a board is folded, and a node is told, in a few milliseconds."""
    count = 1_000
    names = [f"node-{number}" for number in range(count)]
    told = dict.fromkeys(names, dict.fromkeys((column for column, *_ in UNITS.values()), 7) | {"state": 0})
    board = board_of(0, told)
    history = TelemetryHistory()
    begun = time.process_time()
    for number in range(BUCKETS + 9):
        history.fold(_at(board, number * STEP_MS), names)
    spent = (time.process_time() - begun) / (BUCKETS + 9)
    held = sum(bucket.rows.nbytes for bucket in history._buckets)
    begun = time.process_time()
    found = history.of("node-999")

    assert found is not None
    assert found.cpu_free is not None
    assert time.process_time() - begun < 0.2
    assert found.cpu_free.mean == [0.035] * BUCKETS
    assert held == (BUCKETS - 1) * count * BUCKET_BYTES
    assert BUCKET_BYTES == 24
    assert spent < 0.05


def _at(board: BoardReply, at_ms: int) -> BoardReply:
    return BoardReply(**{name: getattr(board, name) for name in board.__struct_fields__} | {"at_ms": at_ms})


def test_a_clock_that_goes_back_loses_nothing() -> None:
    """Under a leader whose clock is behind, what is heard counts into the bucket under way."""
    history = TelemetryHistory()
    told = {"a": dict.fromkeys((column for column, *_ in UNITS.values()), 100) | {"state": 0}}
    for at_ms in (50_000, 30_000, 59_000, 60_000):
        history.fold(board_of(at_ms, told), ["a"])
    found = history.of("a")

    assert found is not None
    assert (found.from_ms, found.cpu_free.mean if found.cpu_free else None) == (50_000, [0.5, 0.5])
    assert all(b.number > a.number for a, b in pairwise(history._buckets))
