"""The board of all nodes in the gateway: names and columns belong together, and the look back is bounded."""

import asyncio

from bus.connection import Bus
from bus.messages import BoardReply, BoardRequest
from bus.service import ServiceDesk
from gateway.board import HISTORY_S, Board


def reply(shape: str, at_ms: int, states: bytes, names: list[str] | None = None) -> BoardReply:
    """A board on which each node's score is its state in tenths."""
    words = b"".join((state * 1000).to_bytes(2, "little") for state in states)
    columns = dict.fromkeys(("score", "open", "latency", "silent", "power"), words) | dict.fromkeys(
        ("cpu_free", "memory_free", "temperature", "battery"), states
    )
    return BoardReply(shape=shape, total=len(states), at_ms=at_ms, state=states, names=names or [], **columns)


async def test_the_look_back_is_bounded_and_each_nodes_own(bus: Bus) -> None:
    """A sample every two seconds, for five minutes; a node that came later has a shorter past, a stranger none."""
    board = Board(bus)
    for second in range(2 * HISTORY_S):
        names = ["n1", "n2"] if second < 500 else ["n1", "n2", "n3"]
        board.put(reply("a", second * 1000, bytes(range(len(names)))), names)
    first, third = board.samples("n1"), board.samples("n3")

    assert len(first) == HISTORY_S // 2
    assert [sample.at_ms for sample in first] == sorted({sample.at_ms for sample in first})
    assert (len(third), third[0].at_ms) == (50, 500_000)
    assert (third[-1].state, third[-1].score) == ("draining", 0.2)
    assert board.samples("n4") == []
    assert board.states() == {"healthy": 1, "safe": 1, "draining": 1}
    assert board.whole().names == ["n1", "n2", "n3"]
    assert b'"n1"' not in board.encoded


async def test_a_board_follows_a_change_of_the_leader(bus: Bus) -> None:
    """Names come in pages, and anew under another shape, whose rows are other nodes'; what was remembered of the old rows is gone."""
    rows = {"a": ["n1", "n2", "n3"], "b": ["n3", "n1"]}
    leads = "a"

    def answer(asked: BoardRequest) -> BoardReply:
        at = asked.names_from
        names = [] if at is None else rows[leads][at : at + 2]
        return reply(leads, int(asyncio.get_running_loop().time()), bytes(len(rows[leads])), names)

    desk = await ServiceDesk.open(bus, "coordinator", "1.3.0", "scripted")
    await desk.answer("board", BoardRequest, answer)
    board = Board(bus)
    asking = asyncio.create_task(board.run())
    try:
        async with asyncio.timeout(60):
            while board.whole().names != ["n1", "n2", "n3"]:
                await asyncio.sleep(0.05)
            assert board.is_fresh
            leads = "b"
            while board.whole().names != ["n3", "n1"]:
                await asyncio.sleep(0.05)
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    assert board.whole().shape == "b"
    assert len(board.samples("n1")) == 1
    assert board.samples("n2") == []


async def test_before_the_first_answer_there_is_an_empty_board(bus: Bus) -> None:
    """A coordinator that is not there, or of a version without boards, is no error."""
    board = Board(bus)
    asking = asyncio.create_task(board.run())
    await bus.round_trip_ms()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)

    assert (board.whole().total, board.whole().shape, board.states(), board.is_fresh) == (0, "", {}, False)
