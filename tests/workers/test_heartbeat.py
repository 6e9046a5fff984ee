"""When a node speaks: at once where it is asked to, never with the others, and not to a bus that is away."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import workers.vitals
from bus.connection import Bus, Received
from bus.messages import Telemetry
from bus.server import NatsServer
from bus.signing import TELEMETRY, Identity, open_signed
from bus.wire import decode, decoder
from workers.core import NodeCore
from workers.energy import EnergyMeter, Model
from workers.heartbeat import Heartbeat

_TELEMETRY = decoder(Telemetry)


class Ear:
    """What is heard of the nodes' telemetry, and when."""

    def __init__(self) -> None:
        self.beats: list[Telemetry] = []
        self._changed = asyncio.Event()

    async def on_message(self, message: Received) -> None:
        """Note one."""
        self.beats.append(decode(open_signed(message.data, TELEMETRY)[1][0], _TELEMETRY))
        self._changed.set()

    async def until(self, count: int, *, within_s: float = 10.0) -> None:
        """Wait until so many were heard."""
        async with asyncio.timeout(within_s):
            while len(self.beats) < count:
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def beating(bus: Bus, folder: Path, interval_s: float) -> AsyncIterator[Heartbeat]:
    """A node's heartbeat, begun."""
    heartbeat = Heartbeat(
        bus=bus,
        node="n1",
        identity=Identity.load(folder / "identity"),
        core=NodeCore(slots=1, memory_mb=64),
        meter=EnergyMeter(Model(10.0, 65.0), time.monotonic()),
        bandwidth_mbps=100.0,
        interval_s=interval_s,
        before=lambda: None,
    )
    running = asyncio.create_task(heartbeat.run())
    heartbeat.soon()
    try:
        yield heartbeat
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_who_is_made_to_beat_at_once_does_not_go_on_in_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each beat out of turn the next comes after a random part of the interval: nodes that lost a server together spread again."""
    monkeypatch.setattr(random, "random", lambda: 0.001)
    ear = Ear()
    async with NatsServer(tmp_path / "nats") as server, await Bus.connect(server.url) as bus:
        await bus.subscribe(bus.subjects.telemetry("*"), ear.on_message)
        async with beating(bus, tmp_path, interval_s=30.0) as heartbeat:
            await ear.until(2)  # the first, and one after 0.001 of the interval
            heartbeat.soon()
            await ear.until(4)

    assert len(ear.beats) == 4


async def test_what_could_not_be_said_is_not_said_later(tmp_path: Path) -> None:
    """A bus that comes back hears how its nodes are, and not how they were: a thousand nodes would bring it all at once."""
    server, back = NatsServer(tmp_path / "nats"), asyncio.Event()
    async with server, await Bus.connect(server.url) as bus:
        bus.on_reconnect(back.set)
        async with beating(bus, tmp_path, interval_s=30.0) as heartbeat:
            await server.stop()
            while bus.is_connected:
                await asyncio.sleep(0.01)
            for _ in range(20):
                await heartbeat.beat()
            # A ping of the connection may wait there, 6 bytes; a heartbeat has hundreds.
            assert bus.client.pending_data_size <= len(b"PING\r\n")
            ear = Ear()
            await server.start()
            await asyncio.wait_for(back.wait(), 60)
            await bus.subscribe(bus.subjects.telemetry("*"), ear.on_message)
            heartbeat.soon()
            await ear.until(1)


def test_a_battery_that_cannot_be_looked_for_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Confined processes may see no /sys, which psutil takes for granted: the node must not end for that."""

    def no_sys() -> None:
        raise FileNotFoundError("/sys/class/power_supply")

    monkeypatch.setattr(workers.vitals.psutil, "sensors_battery", no_sys, raising=False)

    assert workers.vitals.read_vitals().battery is None
