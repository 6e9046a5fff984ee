"""A cluster of one test: its coordinators, scripted peers and what was decided."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from bus.connection import Bus
from bus.messages import Assigned, Decision, Leader, ServiceHealth, WhyReply, WhyRequest
from bus.reader import Entry, LogReader
from bus.wire import split_lines
from coordinator.service import run
from coordinator.settings import Settings, Timing
from tests.coordinator.scripted import FastClock, Node, Verifier

QUICK = Timing(tick_ms=20, backoff_ms=10, settle_ms=200, redeliver_ms=4000)
"""With a clock that runs ten times as fast: a lost delivery is found after 0.4 s, a node is dead after 1 s."""

_DECISION: msgspec.json.Decoder[Decision] = msgspec.json.Decoder(Decision)


class Cell:
    """Start coordinators and nodes, and read what was decided. The verifier believes every first result."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.decided: list[tuple[int, Decision]] = []
        self.reader = LogReader(bus, "assignments", self._on_entry)
        self.running: list[tuple[asyncio.Event, asyncio.Task[None]]] = []
        self.nodes: list[Node] = []
        self.verifier = Verifier(bus)
        self.clock = FastClock()
        self._folder = TemporaryDirectory()

    def _on_entry(self, entry: Entry) -> None:
        for line in split_lines(entry.body):
            self.decided.append((entry.sequence, _DECISION.decode(line)))

    def settings(self, **more: Any) -> Settings:
        """Settings of a quick coordinator in this cluster."""
        chosen: dict[str, Any] = {
            "data": Path(self._folder.name),
            "url": self.bus.url,
            "cluster": self.bus.subjects.cluster,
            "timing": QUICK,
            "clock": self.clock,
        }
        return Settings(**{**chosen, **more})

    def coordinator(self, **more: Any) -> int:
        """Start one; returns its number."""
        stop = asyncio.Event()
        self.running.append((stop, asyncio.create_task(run(self.settings(**more), stop=stop))))
        return len(self.running) - 1

    async def stop(self, which: int) -> None:
        """Stop one in order."""
        stop, running = self.running[which]
        stop.set()
        await asyncio.wait_for(running, 60)

    async def node(self, name: str, **more: Any) -> Node:
        """Start a node, once a coordinator leads."""
        node = await Node(self.bus, name, **more).start()
        self.nodes.append(node)
        return node

    async def close(self) -> None:
        """End everything."""
        for node in self.nodes:
            await node.die()
        for stop, _ in self.running:
            stop.set()
        await asyncio.gather(*(running for _, running in self.running), return_exceptions=True)
        await self.verifier.stop()
        await self.reader.stop()
        self._folder.cleanup()

    def of[T](self, kind: type[T]) -> list[T]:
        """The decisions of one kind, in order."""
        return [decision for _, decision in self.decided if isinstance(decision, kind)]

    def assigned(self, name: str) -> list[Assigned]:
        """The attempts of one task."""
        return [each for each in self.of(Assigned) if each.task == name]

    def epochs(self) -> list[int]:
        """The leaderships, in order."""
        return [each.epoch for each in self.of(Leader)]

    async def why(self, name: str) -> WhyReply:
        """Ask the leader why a task is where it is."""
        subject = self.bus.subjects.service("coordinator", "why")
        return await self.bus.request(subject, WhyRequest(name), WhyReply)

    async def state(self, name: str) -> str:
        """The state that `why` tells."""
        return (await self.why(name)).state

    async def epoch(self) -> int:
        """The epoch of whoever leads."""
        return (await self.health()).epoch

    async def health(self) -> ServiceHealth:
        """Ask the leader how it is."""
        return await self.bus.request(
            self.bus.subjects.service("coordinator", "health"), b"{}", ServiceHealth
        )
