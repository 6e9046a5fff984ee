"""The coordinator as a service, against a real nats-server: scripted nodes, a scripted verifier, a bare client."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import pytest_asyncio

from bus.connection import Bus
from bus.messages import Assigned, Decision, ServiceHealth, WhyReply, WhyRequest
from bus.reader import Entry, LogReader
from bus.wire import split_lines
from coordinator.service import run
from coordinator.settings import Settings, Timing
from tests.coordinator.scripted import ADD, FORBIDDEN, Client, FastClock, Node, Verifier, eventually, task

QUICK = Timing(tick_ms=20, backoff_ms=10, settle_ms=200, redeliver_ms=4000)


class Cluster:
    """What a test works with: start coordinators, nodes and a verifier, and read what was decided."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.decided: list[tuple[int, Decision]] = []
        self.reader = LogReader(bus, "assignments", self._on_entry)
        self.stops: list[tuple[asyncio.Event, asyncio.Task[None]]] = []
        self.nodes: list[Node] = []
        self.verifier = Verifier(bus)
        self.clock = FastClock()

    def _on_entry(self, entry: Entry) -> None:
        for line in split_lines(entry.body):
            self.decided.append((entry.sequence, msgspec.json.decode(line, type=Decision)))

    def settings(self, **more: object) -> Settings:
        chosen: dict[str, object] = {
            "url": self.bus.url,
            "cluster": self.bus.subjects.cluster,
            "timing": QUICK,
            "clock": self.clock,
        }
        return Settings(**{**chosen, **more})  # type: ignore[arg-type]

    def coordinator(self, **more: object) -> int:
        stop = asyncio.Event()
        self.stops.append((stop, asyncio.create_task(run(self.settings(**more), stop=stop))))
        return len(self.stops) - 1

    async def stop(self, which: int) -> None:
        stop, running = self.stops[which]
        stop.set()
        await asyncio.wait_for(running, 10)

    async def kill(self, which: int) -> None:
        """End a coordinator without any farewell but what cancelling does."""
        self.stops[which][1].cancel()
        await asyncio.gather(self.stops[which][1], return_exceptions=True)

    async def node(self, name: str, **more: object) -> Node:
        node = await Node(self.bus, name, **more).start()  # type: ignore[arg-type]
        self.nodes.append(node)
        return node

    def assigned(self, name: str) -> list[Assigned]:
        return [d for _, d in self.decided if isinstance(d, Assigned) and d.task == name]

    async def why(self, name: str) -> WhyReply:
        subject = self.bus.subjects.service("coordinator", "why")
        return await self.bus.request(subject, WhyRequest(name), WhyReply)

    async def health(self) -> ServiceHealth:
        return await self.bus.request(
            self.bus.subjects.service("coordinator", "health"), b"{}", ServiceHealth
        )


@pytest_asyncio.fixture
async def cell(bus: Bus) -> AsyncIterator[Cluster]:
    """A cluster with a decision reader and a verifier that believes every first result."""
    cluster = Cluster(bus)
    cluster.reader.start()
    cluster.verifier.start()
    yield cluster
    for node in cluster.nodes:
        await node.die()
    for stop, _ in cluster.stops:
        stop.set()
    await asyncio.gather(*(running for _, running in cluster.stops), return_exceptions=True)
    await cluster.verifier.stop()
    await cluster.reader.stop()


async def test_a_task_goes_to_a_node_and_its_verdict_closes_it(cell: Cluster) -> None:
    """The way of one task: assigned durably, delivered with the client's bytes, closed by its verdict."""
    cell.coordinator()
    node = await cell.node("n1")
    client = await Client(cell.bus).start(ADD)
    sequence = await client.submit(task("t1"))
    await eventually(lambda: "me.t1" in cell.verifier.judged)
    (decision,) = await eventually(lambda: cell.assigned("me.t1"))

    assert decision.nodes == ("n1",)
    assert decision.source == (sequence, 0)
    assert node.got[0].decision == next(s for s, d in cell.decided if d is decision or d == decision)
    assert bytes(node.got[0].spec).startswith(b'{"id": "t1"')
    assert (await eventually(lambda: client.progress))[0]["nodes"] == ["n1"]

    async def state() -> str:
        return (await cell.why("me.t1")).state

    await until(state, "verified")


async def until(ask: Callable[[], Awaitable[object]], wanted: object) -> None:
    """Ask until the answer is `wanted`."""
    async with asyncio.timeout(10):
        while (found := await ask()) != wanted:
            assert found is not None
            await asyncio.sleep(0.01)
