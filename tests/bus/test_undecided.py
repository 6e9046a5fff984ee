"""Writes that most servers of a cluster cannot agree on for a while: they are not refused, and each is stored once."""

import asyncio
import signal
from collections.abc import Mapping
from pathlib import Path

from bus import leader
from bus.blobs import Blobs
from bus.connection import Bus
from bus.errors import BusError
from bus.server import NatsCluster
from bus.streams import ensure_streams, extent
from bus.writer import OpenWriter
from tests.conftest import SMALL

_SENT = 6
"""By then the leader has said more than once that the first one is still under way."""


class _Sends:
    """Counts what a connection publishes to logs."""

    def __init__(self, bus: Bus) -> None:
        self.count = 0
        self._publish = bus.acks.publish
        bus.acks.publish = self._counted  # type: ignore[method-assign]

    async def _counted(self, subject: str, body: bytes, headers: Mapping[str, str]) -> asyncio.Future[int]:
        self.count += 1
        return await self._publish(subject, body, headers)


async def test_a_write_that_is_under_way_is_not_refused(tmp_path: Path) -> None:
    """The leader alone is awake: it takes the write, says later that the same write is in process, and stores it once when the others wake."""
    refused: list[BusError] = []
    durable: list[str] = []

    def no(error: BusError, _tokens: list[str]) -> bool:
        refused.append(error)
        return False

    async with NatsCluster(tmp_path) as servers:
        async with await Bus.connect(servers.url, cluster="u") as bus:
            await ensure_streams(bus, SMALL)
            stream = bus.subjects.stream("tasks")
            name = (await leader.state(bus, stream)).leadership[0]
        others = [server for server in servers.servers if server.name != name]
        async with await Bus.connect(servers[name].url, cluster="u") as bus:
            sends = _Sends(bus)
            writer = OpenWriter[str](
                bus, stream, bus.subjects.submit("me"),
                on_durable=lambda _, tokens: durable.extend(tokens), on_refused=no,
            )  # fmt: skip
            writer.start()
            for server in others:
                server.kill(signal.SIGSTOP)
            try:
                writer.append(b"{}", "only")
                async with asyncio.timeout(60):
                    while sends.count < _SENT and not refused:
                        await asyncio.sleep(0.02)
            finally:
                for server in others:
                    server.kill(signal.SIGCONT)
            async with asyncio.timeout(60):
                while not durable and not refused:
                    await asyncio.sleep(0.02)
            # The store of blobs is in the same state of mind, and its writer has patience, too.
            assert await Blobs(bus, "me").put(b"blob")
            await writer.stop()
            held = (await extent(bus, "tasks")).last

    assert refused == []
    assert durable == ["only"]
    assert held == 1
