"""What comes faster than it is handled takes bounded memory: what is over is dropped, counted, and told; readers of logs lose nothing."""

import asyncio
import tracemalloc

import structlog

from bus.client import PENDING_BYTES, PENDING_MESSAGES
from bus.connection import Bus
from bus.reader import Entry, LogReader
from bus.server import NatsServer
from bus.streams import last_sequence
from bus.writer import OpenWriter

_BLOCK = bytes(64 * 1024)


async def flood(server: NatsServer, cluster: str, subject: str, count: int, body: bytes) -> None:
    async with await Bus.connect(server.url, cluster=cluster) as other:
        for sent in range(count):
            await other.publish(subject, body)
            if sent * len(body) % (4 * len(_BLOCK)) == 0 and len(body) > 1:
                await other.round_trip_ms()  # what the sender buffers is not what is measured
        await other.round_trip_ms()


async def test_a_handler_that_hangs_holds_so_many_messages_and_no_more(
    server: NatsServer, cluster: str, bus: Bus
) -> None:
    """Of 40,000 messages 16,384 wait; the rest is counted under its subject and complained of a few times, not 20,000 times."""
    held = asyncio.Event()
    taken = 0

    async def hang(_: object) -> None:
        nonlocal taken
        taken += 1
        await held.wait()

    with structlog.testing.capture_logs() as said:
        subscription = await bus.subscribe("flood.small", hang)
        await bus.round_trip_ms()
        await flood(server, cluster, "flood.small", 40_000, b"x")
        await bus.round_trip_ms()
    waiting = subscription.pending_msgs
    held.set()
    while subscription.pending_msgs:
        await asyncio.sleep(0)

    assert waiting == PENDING_MESSAGES
    assert bus.dropped["flood.small"] == 40_000 - taken
    assert 1 <= len([line for line in said if "dropped" in line["event"]]) <= 16


async def test_large_messages_are_bounded_by_their_bytes(server: NatsServer, cluster: str, bus: Bus) -> None:
    """Two thousand of 64 KiB, 128 MiB, cost a connection that does not handle them 32 MiB."""
    held = asyncio.Event()

    async def hang(_: object) -> None:
        await held.wait()

    subscription = await bus.subscribe("flood.large", hang)
    await bus.round_trip_ms()
    tracemalloc.start()
    await flood(server, cluster, "flood.large", 2000, _BLOCK)
    await bus.round_trip_ms()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    pending = subscription.pending_bytes
    await subscription.unsubscribe()
    held.set()

    assert pending < PENDING_BYTES
    assert peak < 2 * PENDING_BYTES
    assert bus.dropped["flood.large"] > 1000


async def test_questions_are_bounded_too(bus: Bus) -> None:
    """Also the subscriptions that the library makes for itself, for answers and services, have these bounds."""
    await bus.client.subscribe("made.by.the.library", pending_msgs_limit=10**9, pending_bytes_limit=10**12)
    limits = {(each._pending_msgs_limit, each._pending_bytes_limit) for each in bus.client._subs.values()}

    assert limits == {(PENDING_MESSAGES, PENDING_BYTES)}


async def test_a_reader_that_stands_still_holds_a_window_and_misses_nothing(bus: Bus) -> None:
    """Of 32 MiB in the log a paused reader holds what it had asked for; resumed, it delivers each entry once."""
    writer: OpenWriter[None] = OpenWriter(
        bus, bus.subjects.stream("tasks"), bus.subjects.submit("me"), on_durable=lambda *_: None
    )
    writer.start()
    for _ in range(500):
        writer.append(_BLOCK, None)
    await asyncio.wait_for(writer.flushed(), 60)
    await writer.stop()
    last = await last_sequence(bus, "tasks")
    read: list[int] = []

    def deliver(entry: Entry) -> None:
        read.append(entry.sequence)
        if len(read) == 1:
            reader.pause()

    reader = LogReader(bus, "tasks", deliver)
    tracemalloc.start()
    reader.start()
    await asyncio.wait_for(reader.reached(1), 60)
    await bus.round_trip_ms()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    reader.resume()
    await asyncio.wait_for(reader.reached(last), 60)
    await reader.stop()

    assert read == list(range(1, last + 1))
    assert peak < 32 * 1024 * 1024
