"""A thousand nodes lose the server and come back: how long until all of them are healthy, and whether they come as a storm.

The nodes are the real ones without guests: each has a connection, an identity and a heartbeat of its own (`workers.enrolment`,
`workers.heartbeat`), says a signed hello and signed telemetry, and answers "say hello again"; they run together in this process, which
costs them a core in common. The server is killed with -9. Once it comes back at once; once it stays away until every node was given up.

A node counts when the coordinator has it as healthy and has heard it since the server was back.
"""

import argparse
import asyncio
import contextlib
import math
import resource
import tempfile
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from ambient.client import Client
from ambient.cluster import RestartPolicy, Supervisor
from bench.cluster import cluster, run
from bench.rows import Row, as_markdown
from bus.connection import Bus, Received
from bus.errors import BusError
from bus.messages import Capabilities, NodesReply
from bus.signing import Identity
from coordinator.registry import DEAD_AFTER_MS
from workers.breakers import BreakerLimits, Breakers
from workers.core import NodeCore
from workers.energy import EnergyMeter, Model
from workers.enrolment import Enrolment
from workers.heartbeat import Heartbeat
from workers.vitals import Vitals, read_vitals

_NODES = 1000
_TIMES = 3
_PATIENCE_S = 90.0
_LOOK_S = 0.2
_SLICE_S = 0.1
_WATCHED_S = 10.0
_CAPABILITIES = Capabilities(version="0", engine="none", cores=1, memory_mb=64, slots=1, arch="simulated")
_UNFELT = BreakerLimits(latency_ms=math.inf, latency_closes_ms=math.inf)
"""A thousand nodes wait for one another in this process, which is no latency of a network and no reason to take no work."""


class SimulatedNode:
    """One node's side of the bus: enrolled, beating, and idle. `back` are the times of its reconnects (s since 1970)."""

    def __init__(
        self, bus: Bus, name: str, identity: Identity, back: list[float], vitals: Callable[[], Vitals]
    ) -> None:
        self._bus = bus
        self._name = name
        self._enrolment = Enrolment(bus, identity, name, _CAPABILITIES, on_enrolled=self._on_enrolled)
        self._heartbeat = Heartbeat(
            bus=bus,
            node=name,
            identity=identity,
            core=NodeCore(slots=1, memory_mb=64, breakers=Breakers(_UNFELT)),
            meter=EnergyMeter(Model(10.0, 65.0), time.monotonic()),
            bandwidth_mbps=100.0,
            interval_s=2.0,
            before=lambda: None,
            vitals=vitals,
        )
        bus.on_reconnect(lambda: back.append(time.time()))

    async def run(self) -> None:
        """For ever."""
        await self._bus.subscribe(self._bus.subjects.assign(self._name), self._on_message)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._enrolment.run())
            group.create_task(self._heartbeat.run())

    def _on_enrolled(self) -> None:
        self._heartbeat.soon()

    async def _on_message(self, message: Received) -> None:
        if message.data.startswith(b'{"kind":"hello"'):
            self._enrolment.again()


def main() -> list[Row]:
    """Three restarts at once, and one after the nodes were given up."""
    return run(_measure(_NODES, _TIMES))


async def _measure(nodes: int, times: int) -> list[Row]:
    _allow_files(4 * nodes + 1000)
    back: list[float] = []
    beats: list[float] = []
    async with cluster(nodes=0) as (running, client), _nodes(running.nats, nodes, back):

        async def on_beat(_: Received) -> None:
            beats.append(time.time())

        await client.bus.subscribe(client.bus.subjects.telemetry("*"), on_beat)
        began_s = await _all_healthy(client, nodes, time.time())
        quick = [await _outage(running, client, nodes, back, beats) for _ in range(times)]
        away_s = DEAD_AFTER_MS / 1000 + 2
        long = await _outage(running, client, nodes, back, beats, away_s=away_s)
    every, worst = f"{nodes:,} nodes", f"worst of {times}"
    return [
        Row(name=f"{every} join for the first time", value=began_s, unit="s"),
        Row(
            name=f"{every} healthy after the server's kill -9, {worst}",
            value=max(each[0] for each in quick),
            unit="s",
            aim=5,
            floor=10,
            note="from the kill on",
        ),
        Row(
            name=f"{every} healthy after an outage in which all were given up",
            value=long[0],
            unit="s",
            aim=5,
            floor=10,
            note=f"from the server's return after {away_s:g} s",
        ),
        Row(
            name="reconnects in the busiest tenth of a second",
            value=_busiest([*(e[1] for e in quick), long[1]]),
            unit="nodes",
        ),
        Row(
            name="heartbeats in the busiest tenth of a second, in the 10 s after",
            value=_busiest([*(e[2] for e in quick), long[2]]),
            unit="messages",
            baseline="evenly spread",
            ratio=_busiest([*(e[2] for e in quick), long[2]]) / (nodes * _SLICE_S / 2),
        ),
    ]


async def _outage(
    running: Supervisor,
    client: Client,
    nodes: int,
    back: list[float],
    beats: list[float],
    *,
    away_s: float = 0.0,
) -> tuple[float, list[float], list[float]]:
    """One kill: seconds until all are healthy (from the kill on, or from the server's return), and when reconnects and heartbeats came."""
    server = running.running["nats-0"]
    server.policy = _Away(away_s) if away_s else RestartPolicy()
    back.clear()
    killed_at, pid = time.time(), server.pid
    running.kill("nats-0")
    async with asyncio.timeout(_PATIENCE_S):
        while server.pid in (pid, None):
            await asyncio.sleep(0.01)
        while not await running.servers.servers[0].is_healthy():
            await asyncio.sleep(0.01)
    back_at = time.time()
    beats.clear()
    healthy_s = await _all_healthy(client, nodes, back_at)
    if not away_s:
        healthy_s += back_at - killed_at
    await asyncio.sleep(max(0.0, back_at + _WATCHED_S - time.time()))
    return healthy_s, sorted(back), list(beats)


class _Away(RestartPolicy):
    """Stays away for so long."""

    def __init__(self, away_s: float) -> None:
        super().__init__()
        self._away_s = away_s

    def died(self, lived_s: float) -> float:
        """See `RestartPolicy`."""
        super().died(lived_s)
        return self._away_s


async def _all_healthy(client: Client, nodes: int, since: float) -> float:
    """Wait until every node is healthy and was heard after `since` (s since 1970); how many seconds after it that was."""
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            asked_at = time.time()
            with contextlib.suppress(BusError):
                if await _healthy(client, asked_at - since) >= nodes:
                    return asked_at - since
            await asyncio.sleep(_LOOK_S)


async def _healthy(client: Client, within_s: float) -> int:
    """How many nodes are healthy and were heard in the last `within_s` seconds."""
    subject = client.bus.subjects.service("coordinator", "nodes")
    count = offset = 0
    while True:
        reply = await client.bus.request(subject, b'{"offset":%d}' % offset, NodesReply, timeout_s=1)
        count += sum(node.state == "healthy" and node.seen_ms_ago <= 1000 * within_s for node in reply.nodes)
        offset += len(reply.nodes)
        if not reply.nodes or offset >= reply.total:
            return count


def _busiest(sittings: Sequence[Sequence[float]]) -> int:
    """The most of these times that lie within a tenth of a second."""
    return max(
        (bisect_left(times, at + _SLICE_S) - index for times in sittings for index, at in enumerate(times)),
        default=0,
    )


@asynccontextmanager
async def _nodes(nats: str, count: int, back: list[float]) -> AsyncIterator[None]:
    """So many nodes, each with its own connection and key; they end with the block."""
    with tempfile.TemporaryDirectory(prefix="ambient-bench-") as folder:
        buses: list[Bus] = []
        tasks: list[asyncio.Task[None]] = []
        vitals = read_vitals()  # one machine, one reading
        try:
            # All are connected before the first one speaks: else the first would keep the last ones waiting.
            for number in range(count):
                bus = await Bus.connect(nats, cluster="bench", name=f"node {number}", timeout_s=_PATIENCE_S)
                buses += [bus]
            for number, bus in enumerate(buses):
                identity = Identity.load(Path(folder) / str(number))
                node = SimulatedNode(bus, f"sim-{number}", identity, back, lambda: vitals)
                tasks.append(asyncio.create_task(node.run(), name=f"sim-{number}"))
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(bus.close() for bus in buses), return_exceptions=True)


def _allow_files(count: int) -> None:
    """A connection is an open file, here and at the server."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (count if hard == resource.RLIM_INFINITY else min(count, hard), hard)
        )


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="Fewer nodes and restarts, for development.")
    options.add_argument("--nodes", type=int, default=200)
    options.add_argument("--times", type=int, default=1)
    chosen = options.parse_args()
    print(as_markdown(run(_measure(chosen.nodes, chosen.times))))
