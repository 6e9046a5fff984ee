"""The fence under pipelining: what a stale writer has in flight, against a successor that wrote less than that, on a real server."""

import asyncio

import pytest

from bus.connection import Bus
from bus.errors import Fenced
from bus.streams import last_sequence
from bus.writer import FencedWriter


def writer(bus: Bus, *, last: int = 0, durable: list[int] | None = None) -> FencedWriter[int]:
    return FencedWriter(
        bus,
        bus.subjects.stream("assignments"),
        bus.subjects.assignments,
        last=last,
        on_durable=lambda _, tokens: durable.extend(tokens) if durable is not None else None,
    )


@pytest.mark.parametrize("successors_messages", [1, 2, 3])
async def test_nothing_that_a_stale_writer_has_in_flight_is_stored(
    bus: Bus, successors_messages: int
) -> None:
    """A stale writer's second message expects the very sequence that its successor's first has: it must be refused all the same."""
    durable: list[int] = []
    stale, successor = writer(bus, durable=durable), writer(bus)
    successor.start()
    for number in range(successors_messages):
        successor.append(b"of the successor", number)
        await asyncio.wait_for(successor.flushed(), 20)
    for number in range(500):
        stale.append(b"of the stale one", number)
    stale.start()

    with pytest.raises(Fenced):
        await asyncio.wait_for(stale.ended(), 20)
    assert await last_sequence(bus, "assignments") == successors_messages
    assert durable == []
    successor.append(b"of the successor", -1)
    await asyncio.wait_for(successor.flushed(), 20)
    await successor.stop()


async def test_a_chain_is_taken_up_after_any_message(bus: Bus) -> None:
    """A successor's first message needs the sequence alone: it goes on after messages of whatever writer."""
    await bus.js.publish(bus.subjects.assignments, b"without any id")
    durable: list[int] = []
    for life in range(3):
        successor = writer(bus, last=await last_sequence(bus, "assignments"), durable=durable)
        successor.start()
        for number in range(300):
            successor.append(b"line", life * 300 + number)
        await asyncio.wait_for(successor.flushed(), 20)
        await successor.stop()

    assert durable == list(range(900))
