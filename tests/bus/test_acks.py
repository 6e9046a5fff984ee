"""Acknowledgements as futures: every publish ends in a sequence or in a refusal that says why."""

import asyncio

import pytest

from bus.acks import FULL, NO_STREAM, UNSENT, WRONG_SEQUENCE, StreamRefusal
from bus.connection import Bus
from bus.server import NatsServer
from bus.streams import StreamLimits, ensure_streams


async def test_each_of_many_in_flight_gets_its_own_sequence(bus: Bus) -> None:
    """Hundreds under way at once, on one reply subject: none is mixed up, none is left waiting."""
    answers = [await bus.acks.publish(bus.subjects.submit("me"), b"%d" % n, {}) for n in range(300)]
    sequences = await asyncio.wait_for(asyncio.gather(*answers), 60)
    stream = bus.subjects.stream("tasks")
    for place in (0, 1, 150, 298, 299):
        stored = await bus.js.get_msg(stream, seq=sequences[place])
        assert stored.data == b"%d" % place

    assert sequences == list(range(1, 301))
    assert bus.acks._waiting == {}


async def test_a_refused_sequence_refuses_what_follows_it(bus: Bus) -> None:
    """The fence: n, n + 1, n + 2 from a stale writer are all refused, and each is told so."""
    await (await bus.acks.publish(bus.subjects.assignments, b"other", {}))
    answers = [
        await bus.acks.publish(
            bus.subjects.assignments, b"stale", {"Nats-Expected-Last-Sequence": str(expected)}
        )
        for expected in (0, 5, 6)
    ]
    refusals = await asyncio.wait_for(asyncio.gather(*answers, return_exceptions=True), 60)

    assert all(isinstance(refusal, StreamRefusal) for refusal in refusals)
    assert {refusal.code for refusal in refusals if isinstance(refusal, StreamRefusal)} <= WRONG_SEQUENCE


async def test_a_full_stream_and_a_missing_one_are_told_apart(server: NatsServer) -> None:
    """By their codes."""
    async with await Bus.connect(server.url, cluster="acks") as bus:
        with pytest.raises(StreamRefusal) as missing:
            await (await bus.acks.publish(bus.subjects.submit("me"), b"x", {}))
        await ensure_streams(
            bus,
            StreamLimits(
                max_bytes=dict.fromkeys(("tasks", "assignments", "results", "verdicts", "blobs"), 2000)
            ),
        )
        with pytest.raises(StreamRefusal) as full:
            await (await bus.acks.publish(bus.subjects.submit("me"), b"x" * 4000, {}))

    assert missing.value.code == NO_STREAM
    assert full.value.code in FULL


async def test_what_cannot_leave_is_refused_at_once(server: NatsServer) -> None:
    """A closed connection, or a body that the server would not take."""
    bus = await Bus.connect(server.url)
    too_large = await bus.acks.publish("x", b"x" * (bus.client.max_payload + 1), {})
    await bus.close()
    closed = await bus.acks.publish("x", b"", {})

    for answer in (too_large, closed):
        with pytest.raises(StreamRefusal) as caught:
            await asyncio.wait_for(answer, 1)
        assert caught.value.code == UNSENT
        assert caught.value.description


async def test_who_gives_up_waiting_leaves_nothing_behind(bus: Bus) -> None:
    """A cancelled future is forgotten, and its late answer disturbs nobody."""
    answer = await bus.acks.publish(bus.subjects.submit("me"), b"x", {})
    answer.cancel()
    later = await asyncio.wait_for(await bus.acks.publish(bus.subjects.submit("me"), b"y", {}), 60)

    assert later == 2
    assert bus.acks._waiting == {}
