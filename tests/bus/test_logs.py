"""The logs: fenced and open writers and readers against a real server that is killed, filled and fought over."""

import asyncio
from pathlib import Path

import pytest

from bus.connection import Bus
from bus.errors import BusError, Fenced, LogFull, StreamMissing, Trimmed
from bus.leader import first_from
from bus.reader import Entry, LogReader
from bus.server import NatsServer
from bus.steps import path_header
from bus.streams import DEFAULT_MAX_BYTES, StreamLimits, ensure_streams, extent, last_sequence
from bus.writer import FencedWriter, OpenWriter


def fenced(bus: Bus, durable: list[tuple[int, list[int]]], *, last: int = 0) -> FencedWriter[int]:
    return FencedWriter(
        bus,
        bus.subjects.stream("assignments"),
        bus.subjects.assignments,
        last=last,
        on_durable=lambda sequence, tokens: durable.append((sequence, tokens)),
    )


async def test_a_fenced_writer_keeps_order_and_reports_each_line_once(bus: Bus) -> None:
    """Lines come back from the log in the order appended, each reported durable once, in few messages."""
    durable: list[tuple[int, list[int]]] = []
    read: list[Entry] = []
    writer = fenced(bus, durable)
    writer.start()
    for number in range(1000):
        writer.append(b"%d" % number, number)
    await asyncio.wait_for(writer.flushed(), 60)
    reader = LogReader(bus, "assignments", read.append)
    reader.start()
    await asyncio.wait_for(reader.reached(await last_sequence(bus, "assignments")), 60)
    await reader.stop()
    await writer.stop()

    assert [n for _, tokens in durable for n in tokens] == list(range(1000))
    assert [int(line) for entry in read for line in entry.body.split(b"\n")] == list(range(1000))
    assert [entry.sequence for entry in read] == [sequence for sequence, _ in durable]
    assert len(durable) < 100


async def test_how_a_task_came_in_is_read_with_it(bus: Bus) -> None:
    """From the header that its writer gave it, by whichever way the entry is read; of a bare publish nothing is said."""
    read: list[Entry] = []
    stream, subject = bus.subjects.stream("tasks"), bus.subjects.submit("me")
    writer: OpenWriter[None] = OpenWriter(
        bus, stream, subject, on_durable=lambda _sequence, _tokens: None, headers=path_header("cli")
    )
    writer.start()
    writer.append(b"{}", None)
    await asyncio.wait_for(writer.flushed(), 20)
    await bus.js.publish(subject, b"{}")
    reader = LogReader(bus, "tasks", read.append)
    reader.start()
    await asyncio.wait_for(reader.reached(2), 20)
    await reader.stop()
    await writer.stop()
    asked = [await first_from(bus, stream, sequence) for sequence in (1, 2)]

    assert [entry.path for entry in read] == ["cli", ""]
    assert [message.path for message in asked if message is not None] == ["cli", ""]


async def test_a_second_writer_is_refused_and_the_first_goes_on(bus: Bus) -> None:
    """The log is the fence: a twin that expects an old sequence ends with `Fenced`, having written nothing."""
    first_durable: list[tuple[int, list[int]]] = []
    stale_durable: list[tuple[int, list[int]]] = []
    first, stale = fenced(bus, first_durable), fenced(bus, stale_durable)
    first.start()
    first.append(b"1", 1)
    await asyncio.wait_for(first.flushed(), 60)
    stale.start()
    stale.append(b"stale", 1)

    with pytest.raises(Fenced, match="another writer"):
        await asyncio.wait_for(stale.ended(), 60)
    first.append(b"2", 2)
    await asyncio.wait_for(first.flushed(), 60)
    await first.stop()

    assert stale_durable == []
    assert [tokens for _, tokens in first_durable] == [[1], [2]]


async def test_reader_and_writer_survive_a_killed_server(tmp_path: Path) -> None:
    """A kill -9 of the server under load: nothing acknowledged is lost, nothing is stored or read twice."""
    durable: list[tuple[int, list[int]]] = []
    read: list[Entry] = []
    async with NatsServer(tmp_path) as server, await Bus.connect(server.url) as bus:
        await ensure_streams(bus)
        writer = fenced(bus, durable)
        writer.start()
        reader = LogReader(bus, "assignments", read.append)
        reader.start()
        for number in range(300):
            writer.append(b"%d" % number, number)
            if number in (100, 200):
                await server.restart()
            await asyncio.sleep(0)
        await asyncio.wait_for(writer.flushed(), 60)
        await asyncio.wait_for(reader.reached(durable[-1][0]), 60)
        await reader.stop()
        await writer.stop()

    assert [n for _, tokens in durable for n in tokens] == list(range(300))
    assert [int(line) for entry in read for line in entry.body.split(b"\n")] == list(range(300))


async def test_a_full_log_refuses_with_a_reason_and_keeps_what_it_has(server: NatsServer) -> None:
    """At its limit a log stores nothing more, says so, and everything stored before is still there."""
    async with await Bus.connect(server.url, cluster="full") as bus:
        await ensure_streams(bus, StreamLimits(max_bytes=dict.fromkeys(DEFAULT_MAX_BYTES, 20_000)))
        stored: list[int] = []
        refused: list[BusError] = []
        writer: OpenWriter[int] = OpenWriter(
            bus,
            bus.subjects.stream("tasks"),
            bus.subjects.submit("me"),
            on_durable=lambda _, tokens: stored.extend(tokens),
            on_refused=lambda error, _: bool(refused.append(error)),
        )
        writer.start()
        for number in range(30):
            writer.append(b"x" * 1000, number)
            await asyncio.wait_for(writer.flushed(), 60)
        await writer.stop()
        size = (await bus.js.stream_info(bus.subjects.stream("tasks"))).state.messages

    assert stored
    assert len(stored) == size
    assert len(stored) + len(refused) == 30
    assert all(isinstance(error, LogFull) and "full" in str(error) for error in refused)


async def test_a_cluster_that_nobody_set_up_is_named(server: NatsServer) -> None:
    """Without streams a writer says that the cluster is not set up, instead of timing out."""
    async with await Bus.connect(server.url, cluster="nowhere") as bus:
        refused: list[BusError] = []
        writer: OpenWriter[int] = OpenWriter(
            bus,
            bus.subjects.stream("tasks"),
            bus.subjects.submit("me"),
            on_durable=lambda *_: None,
            on_refused=lambda error, _: bool(refused.append(error)),
        )
        writer.start()
        writer.append(b"x", 1)
        await asyncio.wait_for(writer.flushed(), 60)
        await writer.stop()

    assert isinstance(refused[0], StreamMissing)


async def test_a_paused_reader_holds_a_window_and_then_gets_the_rest(bus: Bus) -> None:
    """Backpressure: a paused reader takes at most what is under way; resumed, it misses nothing."""
    durable: list[tuple[int, list[int]]] = []
    writer = fenced(bus, durable)
    writer.start()
    read: list[Entry] = []
    reader = LogReader(bus, "assignments", lambda entry: (read.append(entry), reader.pause())[0])
    reader.start()
    for number in range(2000):
        writer.append(b"%d" % number, number)
        if number % 2 == 0:
            await asyncio.sleep(0)
    await asyncio.wait_for(writer.flushed(), 60)
    held = len(read)
    reader._deliver = read.append
    reader.resume()
    await asyncio.wait_for(reader.reached(durable[-1][0]), 60)
    await reader.stop()
    await writer.stop()

    assert held <= 1024
    assert [entry.sequence for entry in read] == [sequence for sequence, _ in durable]


async def test_a_fold_that_raises_ends_the_reading_with_its_error(bus: Bus) -> None:
    """A fold that refuses an entry stops the reader; the error reaches whoever waits."""

    def refuse(_: Entry) -> None:
        raise ValueError("no")

    durable: list[tuple[int, list[int]]] = []
    writer = fenced(bus, durable)
    writer.start()
    writer.append(b"1", 1)
    reader = LogReader(bus, "assignments", refuse)
    reader.start()

    with pytest.raises(ValueError, match="no"):
        await asyncio.wait_for(reader.ended(), 60)
    await reader.stop()
    await writer.stop()


async def test_nobody_can_take_the_next_message_ahead_of_its_writer(bus: Bus) -> None:
    """Ids of messages count for all writers of a log together: whoever has seen some of them cannot guess the next."""
    writer: OpenWriter[int] = OpenWriter(
        bus, bus.subjects.stream("tasks"), bus.subjects.submit("a"), on_durable=lambda *_: None
    )
    writer.start()
    ids = []
    for number in range(3):
        writer.append(b"%d" % number, number)
        await asyncio.wait_for(writer.flushed(), 60)
        stored = await bus.js.get_msg(bus.subjects.stream("tasks"), seq=number + 1)
        assert stored.headers is not None
        ids.append(stored.headers["Nats-Msg-Id"])
    await writer.stop()

    assert all(len(each) >= 16 for each in ids)
    assert len({each[:4] for each in ids}) == len({each[-4:] for each in ids}) == 3


async def _numbers(bus: Bus, count: int) -> None:
    for number in range(count):
        await bus.js.publish(bus.subjects.assignments, b"%d" % number)


async def test_a_reader_that_a_log_was_cut_under_says_so(bus: Bus) -> None:
    """Before it began, also where nothing is left to read, or while it was paused: it never skips silently."""
    stream = bus.subjects.stream("assignments")
    await _numbers(bus, 10)
    read: list[Entry] = []
    paused = LogReader(bus, "assignments", read.append)
    paused.start()
    await asyncio.wait_for(paused.reached(10), 60)
    paused.pause()
    await _numbers(bus, 2000)
    await bus.js.purge_stream(stream, seq=1500)
    paused.resume()
    with pytest.raises(Trimmed, match="1500"):
        await asyncio.wait_for(paused.reached(2010), 60)
    late = LogReader(bus, "assignments", read.append, start=1499)
    late.start()
    with pytest.raises(Trimmed):
        await asyncio.wait_for(late.ended(), 60)
    await bus.js.purge_stream(stream)
    empty = LogReader(bus, "assignments", read.append, start=1500)
    empty.start()
    with pytest.raises(Trimmed):
        await asyncio.wait_for(empty.reached(2010), 60)
    for reader in (paused, late, empty):
        await reader.stop()

    sequences = [entry.sequence for entry in read]
    assert sequences == list(range(1, len(sequences) + 1))
    assert len(sequences) < 1500


async def test_a_reader_begins_where_a_cut_log_begins(bus: Bus) -> None:
    """From the first message that is kept, or behind it, everything comes in order."""
    await _numbers(bus, 20)
    await bus.js.purge_stream(bus.subjects.stream("assignments"), seq=11)
    read: list[int] = []
    reader = LogReader(bus, "assignments", lambda entry: read.append(entry.sequence), start=11)
    reader.start()
    await asyncio.wait_for(reader.reached(20), 60)
    await reader.stop()

    assert (await extent(bus, "assignments"))[:2] == (11, 20)
    assert read == list(range(11, 21))


async def test_a_message_that_was_removed_alone_is_passed_over(bus: Bus) -> None:
    """An operator's repair ends no reader."""
    await _numbers(bus, 6)
    for sequence in (3, 4):
        await bus.js.delete_msg(bus.subjects.stream("assignments"), sequence)
    read: list[int] = []
    reader = LogReader(bus, "assignments", lambda entry: read.append(entry.sequence))
    reader.start()
    await asyncio.wait_for(reader.reached(6), 60)
    await reader.stop()

    assert read == [1, 2, 5, 6]
