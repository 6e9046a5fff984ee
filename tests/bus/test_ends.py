"""How writers and readers end, and what else can go wrong with a log: stopped, cut, full, missing, too long a line."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bus.connection import Bus
from bus.errors import Fenced, Malformed, Stopped, StreamMissing
from bus.reader import Entry, LogReader
from bus.server import NatsServer
from bus.signing import VERDICTS, Identity, open_signed
from bus.streams import StreamLimits, ensure_streams, last_sequence
from bus.wire import MAX_LINE_BYTES, split_lines
from bus.writer import FencedWriter, OpenWriter

TINY = dict.fromkeys(("tasks", "assignments", "results", "verdicts", "blobs"), 20_000)


def opened(bus: Bus, durable: list[int]) -> OpenWriter[int]:
    writer: OpenWriter[int] = OpenWriter(
        bus,
        bus.subjects.stream("tasks"),
        bus.subjects.submit("me"),
        on_durable=lambda _, tokens: durable.extend(tokens),
    )
    writer.start()
    return writer


def fenced(bus: Bus, durable: list[int], last: int = 0) -> FencedWriter[int]:
    writer: FencedWriter[int] = FencedWriter(
        bus,
        bus.subjects.stream("assignments"),
        bus.subjects.assignments,
        last=last,
        on_durable=lambda _, tokens: durable.extend(tokens),
    )
    writer.start()
    return writer


async def bodies(bus: Bus, log: str) -> list[bytes]:
    """Everything that a log holds, read to its end."""
    read: list[bytes] = []
    reader = LogReader(bus, log, lambda entry: read.append(entry.body))
    reader.start()
    await asyncio.wait_for(reader.reached(await last_sequence(bus, log)), 60)
    await reader.stop()
    return read


async def test_a_stopped_writer_says_so_and_cancels_nobody(bus: Bus) -> None:
    """Whoever waits for its end goes on; whoever still writes gets an error, not a cancellation."""
    writer = opened(bus, [])
    waiting = asyncio.create_task(writer.ended())
    await asyncio.sleep(0)
    await writer.stop()
    await writer.stop()
    await asyncio.wait_for(waiting, 60)

    with pytest.raises(Stopped, match="start a new one"):
        writer.append(b"x", 1)


async def test_a_stopped_reader_wakes_whoever_waits_for_it(bus: Bus) -> None:
    """A wait for an entry that will not come any more ends, also one that begins afterwards."""
    reader = LogReader(bus, "tasks", lambda _: None)
    reader.start()
    waits = [asyncio.create_task(reader.reached(5)), asyncio.create_task(reader.ended())]
    await asyncio.sleep(0)
    await reader.stop()
    await reader.stop()
    outcomes = await asyncio.wait_for(asyncio.gather(*waits, return_exceptions=True), 60)

    assert isinstance(outcomes[0], Stopped)
    assert outcomes[1] is None
    with pytest.raises(Stopped, match="stopped before it reached 5"):
        await asyncio.wait_for(reader.reached(5), 60)


async def test_a_line_that_fits_no_message_is_refused_and_holds_up_nothing(bus: Bus) -> None:
    """The limit is exact and named; lines before and after it are written."""
    durable: list[int] = []
    writer = opened(bus, durable)
    writer.append(b"first", 1)
    with pytest.raises(Malformed, match=f"at most {MAX_LINE_BYTES} bytes"):
        writer.append(b"x" * (MAX_LINE_BYTES + 1), 2)
    writer.append(b"x" * MAX_LINE_BYTES, 3)
    writer.append(b"last", 4)
    await asyncio.wait_for(writer.flushed(), 60)
    await writer.stop()

    assert durable == [1, 3, 4]


async def test_large_lines_travel_in_messages_that_readers_take(bus: Bus) -> None:
    """However many wait, no message outgrows what `split_lines` allows."""
    durable: list[int] = []
    writer = opened(bus, durable)
    for number in range(30):
        writer.append(b"%d" % number * 50_000, number)
    await asyncio.wait_for(writer.flushed(), 60)
    await writer.stop()
    read = [line for body in await bodies(bus, "tasks") for line in split_lines(body)]

    assert durable == list(range(30))
    assert len(read) == 30


async def test_a_line_alone_goes_out_alone_and_at_once(bus: Bus) -> None:
    """No batch has to fill: the next line is appended only after the first one is durable."""
    durable: list[int] = []
    writer = opened(bus, durable)
    for number in range(5):
        writer.append(b"%d" % number, number)
        await asyncio.wait_for(writer.flushed(), 60)
    await writer.stop()

    assert await bodies(bus, "tasks") == [b"0", b"1", b"2", b"3", b"4"]


async def test_every_message_is_sealed_as_a_whole(bus: Bus) -> None:
    """A signing writer signs each message that it sends, over exactly its lines."""
    signer = Identity.generate()
    durable: list[int] = []
    writer: FencedWriter[int] = FencedWriter(
        bus,
        bus.subjects.stream("verdicts"),
        bus.subjects.verdicts,
        last=0,
        on_durable=lambda _, tokens: durable.extend(tokens),
        seal=lambda lines: signer.seal(VERDICTS, lines),
    )
    writer.start()
    for number in range(300):
        writer.append(b"%d" % number, number)
    await asyncio.wait_for(writer.flushed(), 60)
    await writer.stop()
    opened_bodies = [open_signed(body, VERDICTS, key=signer.key) for body in await bodies(bus, "verdicts")]

    assert [int(line) for _, lines in opened_bodies for line in lines] == durable == list(range(300))


async def test_a_successor_goes_on_where_the_log_ends(bus: Bus) -> None:
    """It is told the last sequence; the predecessor's next write is refused."""
    durable: list[int] = []
    first = fenced(bus, durable)
    first.append(b"1", 1)
    await asyncio.wait_for(first.flushed(), 60)
    second = fenced(bus, durable, last=await last_sequence(bus, "assignments"))
    second.append(b"2", 2)
    await asyncio.wait_for(second.flushed(), 60)
    first.append(b"3", 3)

    with pytest.raises(Fenced, match="sequence 2"):
        await asyncio.wait_for(first.flushed(), 60)
    with pytest.raises(Fenced):
        first.append(b"4", 4)
    await first.stop()
    await second.stop()
    assert await bodies(bus, "assignments") == [b"1", b"2"]
    assert durable == [1, 2]


async def test_a_log_that_was_cut_ends_its_writer(bus: Bus) -> None:
    """Deleted and made anew behind its back, the log is not the one that this writer folded."""
    writer = fenced(bus, [])
    for number in range(3):
        writer.append(b"x", number)
        await asyncio.wait_for(writer.flushed(), 60)
    await bus.js.delete_stream(bus.subjects.stream("assignments"))
    await ensure_streams(bus, StreamLimits(max_bytes=TINY))
    writer.append(b"y", 4)

    with pytest.raises(Fenced):
        await asyncio.wait_for(writer.flushed(), 60)
    await writer.stop()


async def test_a_fenced_writer_names_a_missing_log(server: NatsServer) -> None:
    """It ends with what to do, instead of trying for ever."""
    async with await Bus.connect(server.url, cluster="nofence") as bus:
        writer = fenced(bus, [])
        writer.append(b"x", 1)
        with pytest.raises(StreamMissing, match="ambient up"):
            await asyncio.wait_for(writer.flushed(), 60)
        await writer.stop()
        with pytest.raises(StreamMissing, match="ambient up"):
            await last_sequence(bus, "tasks")


async def test_a_fenced_writer_waits_for_room_in_a_full_log(server: NatsServer) -> None:
    """Nothing is lost or written twice; once the operator made room it goes on."""
    async with await Bus.connect(server.url, cluster="fullfence") as bus:
        await ensure_streams(bus, StreamLimits(max_bytes=TINY))
        durable: list[int] = []
        writer = fenced(bus, durable)
        for number in range(15):
            writer.append(b"%02d" % number + b"x" * 900, number)
            await asyncio.wait([asyncio.create_task(writer.flushed())], timeout=0.2)
        writer.append(b"15" + b"x" * 9000, 15)
        held = len(durable)
        config = (await bus.js.stream_info(bus.subjects.stream("assignments"))).config
        await bus.js.update_stream(config, max_bytes=200_000)
        await asyncio.wait_for(writer.flushed(), 60)
        await writer.stop()
        lines = [int(line[:2]) for body in await bodies(bus, "assignments") for line in split_lines(body)]

    assert held == 15
    assert lines == durable == list(range(16))


async def test_open_writers_survive_a_killed_server_and_store_each_line_once(tmp_path: Path) -> None:
    """Two of them at once: a retry after a lost answer is recognised by its id."""
    durable: list[int] = []
    async with NatsServer(tmp_path) as server, await Bus.connect(server.url) as bus:
        await ensure_streams(bus)
        writers = [opened(bus, durable) for _ in range(2)]
        for number in range(200):
            writers[number % 2].append(b"%d" % number, number)
            if number == 100:
                await server.restart()
            await asyncio.sleep(0)
        for writer in writers:
            await asyncio.wait_for(writer.flushed(), 60)
            await writer.stop()
        stored = [int(line) for body in await bodies(bus, "tasks") for line in split_lines(body)]

    assert sorted(stored) == sorted(durable) == list(range(200))


async def test_a_reader_begins_where_it_is_told(bus: Bus) -> None:
    """At a sequence, with the server's time and the subject of each entry."""
    for number in range(5):
        await bus.js.publish(bus.subjects.submit(f"c{number}"), b"%d" % number)
    read: list[Entry] = []
    reader = LogReader(bus, "tasks", read.append, start=3)
    reader.start()
    await asyncio.wait_for(reader.reached(5), 60)
    await reader.stop()

    assert [(entry.sequence, entry.body) for entry in read] == [(3, b"2"), (4, b"3"), (5, b"4")]
    assert read[0].subject == bus.subjects.submit("c2")
    assert read[0].at_ms > 1_700_000_000_000


async def test_twins_that_write_the_same_bytes_are_still_two(bus: Bus) -> None:
    """The same line at the same place from a second writer is refused, and not taken for its own."""
    first_durable: list[int] = []
    twin_durable: list[int] = []
    first, twin = fenced(bus, first_durable), fenced(bus, twin_durable)
    first.append(b"same", 1)
    await asyncio.wait_for(first.flushed(), 60)
    twin.append(b"same", 1)

    with pytest.raises(Fenced):
        await asyncio.wait_for(twin.flushed(), 60)
    await first.stop()
    await twin.stop()
    assert (first_durable, twin_durable) == ([1], [])


async def test_an_entry_lost_on_the_way_is_read_again(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader counts: where an entry is missing it begins again after the last one it delivered."""
    for number in range(6):
        await bus.js.publish(bus.subjects.submit("me"), b"%d" % number)
    subscribe, dropped = bus.client.subscribe, []

    async def lossy(subject: str, **options: Any) -> Any:
        handle = options["cb"]

        async def drop_one(message: Any) -> None:
            if message.data == b"3" and not dropped:
                dropped.append(message.data)
                return
            await handle(message)

        return await subscribe(subject, **{**options, "cb": drop_one})

    monkeypatch.setattr(bus.client, "subscribe", lossy)
    read: list[bytes] = []
    reader = LogReader(bus, "tasks", lambda entry: read.append(entry.body))
    reader.start()
    await asyncio.wait_for(reader.reached(6), 60)
    await reader.stop()

    assert dropped == [b"3"]
    assert read == [b"%d" % number for number in range(6)]


async def test_a_reader_waits_for_a_log_that_is_yet_to_be_made(server: NatsServer) -> None:
    """A service may start before its cluster is set up; once the log is there, it is read from the beginning."""
    async with await Bus.connect(server.url, cluster="later") as bus:
        read: list[bytes] = []
        reader = LogReader(bus, "tasks", lambda entry: read.append(entry.body))
        reader.start()
        await asyncio.wait([asyncio.create_task(reader.reached(1))], timeout=0.2)
        await ensure_streams(bus, StreamLimits(max_bytes=TINY))
        await bus.js.publish(bus.subjects.submit("me"), b"first")
        await asyncio.wait_for(reader.reached(1), 60)
        await reader.stop()

    assert read == [b"first"]


async def test_while_no_consumer_can_be_had_the_leader_is_asked(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entry for entry the same, in sequence over what was deleted, with subject and time as a consumer tells them; then the consumer goes on."""
    for number in range(20):
        await bus.js.publish(
            bus.subjects.submit(f"c{number}"), b"%d" % number, headers={"Nats-Sequence": "7"}
        )
    await bus.js.delete_msg(bus.subjects.stream("tasks"), 5)
    usual: list[Entry] = []
    reader = LogReader(bus, "tasks", usual.append)
    reader.start()
    await asyncio.wait_for(reader.reached(20), 60)
    await reader.stop()
    add_consumer, held = bus.js.add_consumer, asyncio.Event()

    async def late(*arguments: Any, **options: Any) -> Any:
        info = await add_consumer(*arguments, **options)
        await held.wait()
        return info

    monkeypatch.setattr(bus.js, "add_consumer", late)
    read: list[Entry] = []
    reader = LogReader(bus, "tasks", read.append)
    reader.start()
    await asyncio.wait_for(reader.reached(20), 60)
    asked = list(read)
    held.set()
    await bus.js.publish(bus.subjects.submit("c20"), b"20")
    await asyncio.wait_for(reader.reached(21), 60)
    await reader.stop()

    assert asked == usual
    assert [entry.sequence for entry in read] == [*range(1, 5), *range(6, 22)]
