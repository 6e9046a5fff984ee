"""The streams behind the logs: made once, with limits that refuse instead of dropping, also on a small disk."""

from pathlib import Path

import pytest
from nats.js.api import DiscardPolicy, StorageType

from bus.connection import Bus
from bus.errors import BusUnavailable, LogFull
from bus.server import NatsServer
from bus.streams import DEFAULT_MAX_BYTES, StreamLimits, ensure_streams, extent, last_sequence


class Room(NatsServer):
    """A server with a given room for streams; None switches JetStream off."""

    room_bytes: int | None = None

    def configuration(self) -> dict[str, object]:
        """The usual settings, and the room."""
        usual = super().configuration()
        if self.room_bytes is None:
            del usual["jetstream"]
            return usual
        room = {"store_dir": str(self.data / "jetstream"), "max_file_store": self.room_bytes}
        return {**usual, "jetstream": room}


async def sizes(bus: Bus) -> dict[str, int]:
    infos = [await bus.js.stream_info(bus.subjects.stream(name)) for name in DEFAULT_MAX_BYTES]
    return {info.config.name or "": info.config.max_bytes or 0 for info in infos}


async def test_every_stream_refuses_what_is_over_its_limit(bus: Bus) -> None:
    """On disk, with a limit in bytes, and nothing is dropped to make room."""
    for name in DEFAULT_MAX_BYTES:
        config = (await bus.js.stream_info(bus.subjects.stream(name))).config

        assert config.discard == DiscardPolicy.NEW
        assert config.storage == StorageType.FILE
        assert config.max_bytes
        assert config.max_bytes > 0


async def test_what_an_operator_set_stays(bus: Bus) -> None:
    """Making them again, with other limits, changes nothing."""
    before = await sizes(bus)
    await ensure_streams(bus, StreamLimits(max_bytes=dict.fromkeys(DEFAULT_MAX_BYTES, 12_345)))
    await ensure_streams(bus)

    assert await sizes(bus) == before


@pytest.mark.parametrize("room_bytes", [100_000_000, 1_000_000_000, 30_000_000_000])
async def test_the_defaults_shrink_to_a_small_disk(tmp_path: Path, room_bytes: int) -> None:
    """A laptop with little room gets a cluster all the same; a second process finds it in order."""
    server = Room(tmp_path)
    server.room_bytes = room_bytes
    async with server, await Bus.connect(server.url) as bus:
        await ensure_streams(bus)
        made = await sizes(bus)
        await ensure_streams(bus)

    assert sum(made.values()) <= room_bytes
    assert min(made.values()) >= 1_000_000


async def test_limits_that_were_asked_for_are_never_made_smaller(tmp_path: Path) -> None:
    """No room for them is an error that names the stream; as is a disk too small for anything."""
    server = Room(tmp_path)
    server.room_bytes = 1_000_000
    async with server, await Bus.connect(server.url) as bus:
        with pytest.raises(LogFull, match=r"AVCP_home_BLOBS.*max_bytes"):
            await ensure_streams(bus, StreamLimits())
        with pytest.raises(LogFull, match=r"AVCP_home_BLOBS.*more disk"):
            await ensure_streams(bus)


async def test_a_server_without_jetstream_is_told(tmp_path: Path) -> None:
    """At once, with what is missing."""
    async with Room(tmp_path) as server, await Bus.connect(server.url) as bus:
        with pytest.raises(BusUnavailable, match="is JetStream enabled"):
            await ensure_streams(bus)


async def test_the_extent_of_a_log_is_what_it_keeps(bus: Bus) -> None:
    """Empty, from the first message to the last, and after it was trimmed, in part or whole."""
    stream, told = bus.subjects.stream("results"), [(await extent(bus, "results"))[:2]]
    for _ in range(3):
        await bus.js.publish(bus.subjects.results("n1"), b"{}")
    told.append((await extent(bus, "results"))[:2])
    for first in (3, 4):
        await bus.js.purge_stream(stream, seq=first)
        told.append((await extent(bus, "results"))[:2])

    assert told == [(1, 0), (1, 3), (3, 3), (4, 3)]
    assert await last_sequence(bus, "results") == 3
