"""Event streams of one gateway: from the log what memory no longer has, and an end for who does not read."""

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest

from bus.connection import Bus
from bus.server import NatsServer
from gateway import edge
from gateway.view import ring
from tests.gateway.conftest import gateway, opened, until
from tests.gateway.streams import Stream, listening, seen


async def test_who_is_behind_the_memory_reads_the_log(
    server: NatsServer, bus: Bus, cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the gateway no longer keeps comes from the log itself; where that was cut, the stream says from where to where."""
    monkeypatch.setattr(ring, "_MOST_ITEMS", 20)
    for number in range(300):
        await bus.js.publish(bus.subjects.submit("me"), b'{"id":"t%d"}' % number)
    await bus.js.purge_stream(bus.subjects.stream("tasks"), seq=51)
    stream = Stream()
    stream.id = ring.position_text({})
    async with gateway(tmp_path, server.url, cluster) as (base, token), opened(base, token) as client:
        async with listening(client, stream, kinds="asked"):
            await seen(stream, lambda s: ("tasks", 300) in s.places)
        gaps = [said for event, said in stream.others if event == "gap"]

    assert gaps == [{"log": "tasks", "from": 1, "to": 50}]
    assert stream.places == [("tasks", sequence) for sequence in range(51, 301)]


async def test_a_reader_that_does_not_read_is_cut_off(
    server: NatsServer, bus: Bus, cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds a buffer's worth of memory for a bounded time, and then its connection; the gateway serves on."""
    monkeypatch.setattr(edge, "SLOW_S", 0.5)
    filler = b'{"id":"%s","x":"%s"}'
    for number in range(15):
        lines = b"\n".join(
            filler % (b"t%d-%d-" % (number, line) + b"i" * 48, b"y" * 200) for line in range(900)
        )
        await bus.js.publish(bus.subjects.submit("me"), lines)
    async with (
        gateway(tmp_path, server.url, cluster, streams=1) as (base, token),
        opened(base, token) as client,
        contextlib.AsyncExitStack() as stack,
    ):
        reader = stack.enter_context(socket.create_connection(("127.0.0.1", int(base.rpartition(":")[2]))))
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        ask = f"GET /api/v1/events?after=t0-a0-r0-v0-n0&kinds=asked HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
        reader.sendall(ask.encode())
        assert await asyncio.to_thread(reader.recv, 15) == b"HTTP/1.1 200 OK"

        async def is_full() -> bool:
            return (await client.get("/api/v1/events")).status_code == 429

        async def has_room() -> bool:
            async with client.stream("GET", "/api/v1/events") as answer:
                return answer.status_code == 200

        await until(is_full)
        await until(has_room)
        alive = await client.get("/api/v1/health/live")

    assert alive.status_code == 200


async def test_more_streams_than_allowed_are_refused(
    server: NatsServer, bus: Bus, cluster: str, tmp_path: Path
) -> None:
    """The one too many hears 429 and when to come back; when another closes there is room."""
    del bus
    async with (
        gateway(tmp_path, server.url, cluster, streams=1) as (base, token),
        opened(base, token) as client,
    ):
        first, second = Stream(), Stream()
        async with listening(client, first):
            await seen(first, lambda s: s.id)
            refused = await client.get("/api/v1/events")

        async def has_room() -> bool:
            async with listening(client, second) as reading:
                while not (second.id or reading.done()):
                    await asyncio.sleep(0.02)
                return bool(second.id)

        await until(has_room)

    assert refused.status_code == 429
    assert refused.headers["retry-after"]
