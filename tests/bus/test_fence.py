"""The fence under pipelining: what a stale writer has in flight, against a successor that wrote less than that, on a real server."""

import asyncio
from pathlib import Path

import pytest

from bus.connection import Bus
from bus.errors import Fenced
from bus.fence import EPOCH, LEADER, Leadership
from bus.server import NatsCluster
from bus.streams import ensure_streams, last_sequence
from bus.writer import FencedWriter
from tests.conftest import SMALL


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
        await asyncio.wait_for(successor.flushed(), 60)
    for number in range(500):
        stale.append(b"of the stale one", number)
    stale.start()

    with pytest.raises(Fenced):
        await asyncio.wait_for(stale.ended(), 60)
    assert await last_sequence(bus, "assignments") == successors_messages
    assert durable == []
    successor.append(b"of the successor", -1)
    await asyncio.wait_for(successor.flushed(), 60)
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
        await asyncio.wait_for(successor.flushed(), 60)
        await successor.stop()

    assert durable == list(range(900))


async def test_each_message_names_who_wrote_it(bus: Bus) -> None:
    """Name and epoch are in the record itself, with the mark that tells twins of one name apart."""
    named: FencedWriter[int] = FencedWriter(
        bus,
        bus.subjects.stream("assignments"),
        bus.subjects.assignments,
        last=0,
        on_durable=lambda *_: None,
        leadership=Leadership("c-1", 7),
    )
    named.start()
    named.append(b"a line", 0)
    await asyncio.wait_for(named.flushed(), 60)
    await named.stop()
    headers = (await bus.js.get_msg(bus.subjects.stream("assignments"), seq=1)).headers or {}

    assert (headers[LEADER], headers[EPOCH]) == ("c-1", "7")
    assert headers["Avcp-Writer"]


@pytest.mark.parametrize("successors_messages", [1, 2])
async def test_a_stale_writer_does_no_harm_where_a_log_has_replicas(
    tmp_path: Path, successors_messages: int
) -> None:
    """Servers stop a replicated log for good where a message names another one before it than they find; no writer of ours sends such."""
    async with NatsCluster(tmp_path) as servers, await Bus.connect(servers.url, cluster="three") as bus:
        await ensure_streams(bus, SMALL)
        stale, successor = writer(bus), writer(bus)
        successor.start()
        for number in range(successors_messages):
            successor.append(b"of the successor", number)
            await asyncio.wait_for(successor.flushed(), 60)
        for number in range(500):
            stale.append(b"of the stale one", number)
        stale.start()
        with pytest.raises(Fenced):
            await asyncio.wait_for(stale.ended(), 60)
        for number in range(500):
            successor.append(b"of the successor", number)
        await asyncio.wait_for(successor.flushed(), 60)
        await successor.stop()

        bodies = [
            (await bus.js.get_msg(bus.subjects.stream("assignments"), seq=sequence)).data
            for sequence in range(1, 1 + await last_sequence(bus, "assignments"))
        ]
        assert all(b"stale" not in (body or b"") for body in bodies)
