"""All nodes in columns: what a watcher of ten thousand reads each second."""

import random

import numpy as np

from bus.messages import BoardReply, BoardRequest, Capabilities, Telemetry
from bus.wire import MAX_MESSAGE_BYTES, encode
from coordinator.board import MOST_ROWS, NAMES_PAGE, board_of
from coordinator.registry import STATES, Registry
from tests.coordinator.cell import Cell

ABLE = Capabilities(version="1", engine="wasmtime", cores=4, memory_mb=4096, slots=4)


def filled(count: int) -> Registry:
    chance = random.Random(7)  # noqa: S311 -- repeatable, not secret
    registry = Registry(count)
    for number in range(count):
        registry.enrol(f"node-{number:058}", "ab" * 32, ABLE, 0)
        registry.heard(
            Telemetry(
                node=f"node-{number:058}",
                at_ms=0,
                cpu_free=chance.random(),
                memory_free=chance.random(),
                latency_ms=10.0 ** chance.uniform(-2, 12),
                bandwidth_mbps=1000 * chance.random(),
                safe_mode="hot" if number % 5 == 0 else "",
            ),
            number % 9_000,
        )
    return registry


def test_a_board_says_of_each_node_what_its_view_says() -> None:
    """Within what its columns are rounded to; a latency beyond all measure is the greatest that fits."""
    registry = filled(500)
    registry.sweep(9_000)
    board = board_of(registry, 0, shape="c1-0", now_ms=9_000)
    views = registry.views(9_000)

    assert board.names == [view.node for view in views]
    assert [STATES[state] for state in board.state] == [view.state for view in views]
    for column, scale, field in (
        (np.frombuffer(board.score, "<u2"), 10_000, "score"),
        (np.frombuffer(board.cpu_free, "u1"), 200, "cpu_free"),
        (np.frombuffer(board.memory_free, "u1"), 200, "memory_free"),
        (np.frombuffer(board.latency, "<u2"), 10, "latency_ms"),
        (np.frombuffer(board.silent, "<u2"), 0.01, "seen_ms_ago"),
    ):
        told = np.array([getattr(view, field) for view in views])
        kept = np.minimum(told, np.iinfo(column.dtype).max / scale)
        assert np.all(np.abs(column / scale - kept) <= 0.5 / scale + 1e-9), field


def test_power_is_what_a_node_took_between_two_heartbeats() -> None:
    """Of one life: after a restart its counter begins anew. What a node does not tell is not known, and what is beyond its column is the nearest that fits."""
    registry = Registry()
    registry.enrol("n0", "ab" * 32, ABLE, 0)
    seen = []
    for at_ms, started_ms, energy_j, more in (
        (2_000, 1, 50.0, {}),
        (4_000, 1, 57.0, {"temperature_c": 45.5, "battery": 0.9}),
        (6_000, 1, 56.0, {"temperature_c": -40.0, "battery": 0.0}),
        (7_000, 6_500, 0.5, {"temperature_c": 300.0}),
        (8_000, 6_500, 10_000.0, {}),
    ):
        registry.heard(
            Telemetry(
                node="n0",
                at_ms=at_ms,
                cpu_free=1.0,
                memory_free=1.0,
                latency_ms=1.0,
                bandwidth_mbps=1.0,
                energy_j=energy_j,
                started_ms=started_ms,
                **more,
            ),
            at_ms,
        )
        board = board_of(registry, None, shape="", now_ms=at_ms)
        power = int.from_bytes(board.power, "little")
        seen.append((power, board.temperature[0], board.battery[0]))

    assert seen == [
        (65_535, 255, 255),
        (175, 131, 180),
        (0, 0, 0),
        (65_535, 254, 255),
        (65_534, 255, 255),
    ]


def test_the_largest_board_fits_a_message() -> None:
    """With names as long as names may be, and the rows that do not fit are not told of rather than breaking the message."""
    board = board_of(filled(MOST_ROWS + 1), MOST_ROWS - NAMES_PAGE, shape="x" * 100, now_ms=10**13)

    assert (board.total, len(board.names)) == (MOST_ROWS, NAMES_PAGE)
    assert len(encode(board)) <= MAX_MESSAGE_BYTES


def test_an_empty_board_is_a_board() -> None:
    """Before the first node, and for names beyond the last."""
    assert board_of(Registry(), 0, shape="", now_ms=0).total == 0
    assert board_of(filled(3), 99, shape="", now_ms=0).names == []


async def test_the_coordinator_shows_its_board(cell: Cell) -> None:
    """Asked on the bus; the rows keep their shape, and names come where they are wanted."""
    cell.coordinator()
    await cell.node("n1")
    await cell.node("n2")
    subject = cell.bus.subjects.service("coordinator", "board")
    named = await cell.bus.request(subject, BoardRequest(names_from=1), BoardReply)
    bare = await cell.bus.request(subject, BoardRequest(), BoardReply)

    assert (named.total, named.names, bare.names) == (2, ["n2"], [])
    assert named.shape == bare.shape
    assert [STATES[state] for state in bare.state] == ["healthy", "healthy"]
