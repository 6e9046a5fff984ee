"""The gate before TASKS on a real server: shut means refused and not stored, open means stored, whatever happens between."""

import asyncio
from pathlib import Path

import nats.js.errors
import pytest

from bus.connection import Bus
from bus.errors import BusError, StreamMissing
from bus.gate import open_gate, shut_gate, survey
from bus.server import NatsServer
from bus.streams import ensure_streams, last_sequence
from bus.writer import OpenWriter


async def test_shut_refuses_submissions_and_takes_withdrawals(bus: Bus) -> None:
    """JetStream's answer names the stream that takes nothing; withdrawals are stored; twice is as good as once."""
    await shut_gate(bus)
    await shut_gate(bus)
    with pytest.raises(nats.js.errors.APIError) as refused:
        await bus.js.publish(bus.subjects.submit("me"), b"{}")
    cancelled = await bus.js.publish(bus.subjects.cancel("me"), b"{}")

    assert refused.value.err_code == 10077
    assert cancelled.seq == 1
    assert not (await survey(bus)).is_open


async def test_open_stores_again(bus: Bus) -> None:
    """Opened, also twice, also one that was never shut, the log goes on where it was."""
    await open_gate(bus)
    await bus.js.publish(bus.subjects.submit("me"), b"{}")
    await shut_gate(bus)
    await open_gate(bus)
    await open_gate(bus)
    stored = await bus.js.publish(bus.subjects.submit("me"), b"{}")

    assert stored.seq == 2
    assert (await survey(bus)).is_open


async def test_a_shut_gate_outlives_the_server(tmp_path: Path) -> None:
    """It is on disk like the logs, so a restart is no way in."""
    async with NatsServer(tmp_path) as server, await Bus.connect(server.url) as bus:
        await ensure_streams(bus)
        await shut_gate(bus)
        await server.restart()
        async with await Bus.connect(server.url) as again:
            with pytest.raises(nats.js.errors.APIError) as refused:
                await again.js.publish(again.subjects.submit("me"), b"{}")

    assert refused.value.err_code == 10077


async def test_a_cluster_that_nobody_set_up_has_no_gate(server: NatsServer) -> None:
    """It is said so, instead of making half of one."""
    async with await Bus.connect(server.url, cluster="gateless") as bus:
        for move in (survey, shut_gate, open_gate):
            with pytest.raises(StreamMissing, match="ambient up"):
                await move(bus)


def submitter(bus: Bus, stored: list[int], refused: list[int]) -> OpenWriter[int]:
    def on_refused(_: BusError, tokens: list[int]) -> bool:
        refused.extend(tokens)
        return False

    return OpenWriter(
        bus,
        bus.subjects.stream("tasks"),
        bus.subjects.submit("me"),
        on_durable=lambda _, tokens: stored.extend(tokens),
        on_refused=on_refused,
    )


async def test_each_line_is_either_stored_or_refused_however_the_gate_moves(bus: Bus) -> None:
    """Lines that are said to be refused are not in the log, those said to be stored are, while it opens and shuts under load."""
    stored: list[int] = []
    refused: list[int] = []
    writer = submitter(bus, stored, refused)
    writer.start()
    for number in range(400):
        writer.append(b"%d" % number, number)
        if number % 40 == 0:
            await (shut_gate if number % 80 else open_gate)(bus)
        await asyncio.sleep(0)
    await open_gate(bus)  # whose answer was lost in a move may not be told "refused" while it is shut
    await asyncio.wait_for(writer.flushed(), 60)
    await shut_gate(bus)
    writer.append(b"400", 400)
    await asyncio.wait_for(writer.flushed(), 60)
    await writer.stop()
    await open_gate(bus)
    held = []
    for sequence in range(1, await last_sequence(bus, "tasks") + 1):
        message = await bus.js.get_msg(bus.subjects.stream("tasks"), seq=sequence)
        held += map(int, (message.data or b"").split(b"\n"))

    assert sorted(held) == sorted(stored)
    assert sorted(stored + refused) == list(range(401))
    assert stored
    assert 400 in refused


async def test_what_may_be_stored_is_not_given_up_at_a_gate_that_was_shut_since(bus: Bus) -> None:
    """An answer is lost, the gate shuts: the line is neither refused nor stored twice, and done once the gate opens."""
    stored: list[int] = []
    refused: list[int] = []
    writer = submitter(bus, stored, refused)
    writer.start()
    published = bus.acks.publish

    async def lost(*arguments: object) -> asyncio.Future[int]:
        answer = await published(*arguments)  # type: ignore[arg-type]
        await asyncio.wait([answer])
        await shut_gate(bus)
        bus.acks.publish = published  # type: ignore[method-assign]
        unanswered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(unanswered.cancel)
        return unanswered

    bus.acks.publish = lost  # type: ignore[assignment,method-assign]
    writer.append(b"1", 1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(writer.flushed(), 1)
    await open_gate(bus)
    await asyncio.wait_for(writer.flushed(), 20)
    await writer.stop()

    assert (stored, refused) == ([1], [])
    assert await last_sequence(bus, "tasks") == 1
