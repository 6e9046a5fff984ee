"""Where the coordinator is spoken to: telemetry and goodbyes of all nodes, and questions under `svc.coordinator`.

Guarantees that only genuine messages reach the core (the signature holds, by the key that owns the name), that a node hears yes
to its hello only once its enrolment is durable, and that only the leader answers questions; a standby tells how it is, and no more.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import chain

import msgspec
import structlog
from nats.aio.subscription import Subscription

from bus.connection import Bus, Received
from bus.errors import BadSignature, BusError, Malformed, ServiceFailed
from bus.messages import (
    BoardReply,
    BoardRequest,
    DrainReply,
    DrainRequest,
    Hello,
    HelloReply,
    NodesReply,
    PurseReply,
    PurseRequest,
    ServiceHealth,
    TasksReply,
    TasksRequest,
    Telemetry,
    UndrainRequest,
    WhyReply,
    WhyRequest,
)
from bus.service import ServiceDesk
from bus.signing import HELLO, open_signed
from bus.streams import lag_behind
from bus.wire import MAX_MESSAGE_BYTES, decode, decoder, encode
from coordinator import explain
from coordinator.board import board_of
from coordinator.core import Core
from coordinator.load import Load
from coordinator.settings import Settings
from coordinator.telemetry import TelemetryGate

__all__ = ["Desk"]

_log = structlog.get_logger("coordinator.desk")
_HELLO = decoder(Hello)
_PAGE = 500


class _NodesRequest(msgspec.Struct, frozen=True):
    offset: int = 0


class Desk:
    """Listens for the nodes from the start, and tells how it is; answers all questions once it is opened."""

    def __init__(
        self,
        bus: Bus,
        core: Core,
        settings: Settings,
        wake: Callable[[], None],
        load: Load,
        *,
        now_ms: Callable[[], int],
    ) -> None:
        self._bus = bus
        self._core = core
        self._settings = settings
        self._wake = wake
        self._load = load
        self._now_ms = now_ms
        self._gate = TelemetryGate(core.registry.key)
        self._telemetry: Subscription | None = None
        self._service: ServiceDesk | None = None
        self._since_ms = 0
        self._greeting: dict[str, list[asyncio.Future[HelloReply]]] = {}

    async def listen(self) -> None:
        """Hear telemetry, as a standby does, too, so that it knows the nodes when it takes over; say who is here."""
        self._telemetry = await self._bus.subscribe(self._bus.subjects.telemetry("*"), self._on_telemetry)
        self._service = await ServiceDesk.open(
            self._bus,
            "coordinator",
            "1.3.0",
            "Decides which node runs what.",
            instance=self._settings.name,
        )
        await self._service.answer("instances", bytes, lambda _: self._health(), each=True)

    async def open(self) -> None:
        """Answer questions."""
        assert self._service is not None  # noqa: S101 -- listening comes first
        desk, self._since_ms = self._service, self._now_ms()
        await desk.answer("hello", bytes, self._hello)
        await desk.answer("nodes", _NodesRequest, self._nodes)
        await desk.answer("board", BoardRequest, self._board)
        await desk.answer("why", WhyRequest, self._why)
        await desk.answer("tasks", TasksRequest, self._tasks)
        await desk.answer("drain", DrainRequest, self._drain)
        await desk.answer("undrain", UndrainRequest, self._undrain)
        await desk.answer("health", bytes, lambda _: self._health())
        await desk.answer("purse", PurseRequest, self._purse)
        await desk.answer("room", bytes, lambda _: self._load.reply())

    async def close(self) -> None:
        """Hear and answer no more; nodes that wait for an answer are told to ask again."""
        for waiting in chain.from_iterable(self._greeting.values()):
            if not waiting.done():
                waiting.set_exception(ServiceFailed("the coordinator changes: say hello again"))
        if self._greeting and self._bus.is_connected:
            with suppress(BusError):
                await self._bus.round_trip_ms()  # by then they are answered; what closes first answers nobody
        self._greeting.clear()
        if self._telemetry is not None and self._bus.is_connected:
            await self._telemetry.unsubscribe()
        if self._service is not None and self._bus.is_connected:
            await self._service.close()

    def enrolled(self, nodes: Iterable[str]) -> None:
        """The enrolments of these are durable."""
        for node in nodes:
            self._answer(node, HelloReply(ok=True))

    def health(self) -> ServiceHealth:
        """Who this is and how far it has folded each log."""
        core, room = self._core, self._load.reply()
        return ServiceHealth(
            service="coordinator",
            name=self._settings.name,
            leading=core.leading,
            epoch=core.epoch,
            folded=dict(core.positions),
            nodes=len(core.registry),
            open=len(core.ledger.open),
            waiting=core.queue.waiting,
            draining=core.registry.counts()["draining"],
            strategy=self._settings.strategy,
            since_ms=self._since_ms if core.leading else 0,
            backlog=room.backlog,
            wait_ms=room.wait_ms,
            full=room.full,
            retry_after_ms=room.retry_after_ms,
            keep_ms=self._settings.timing.keep_ms,
        )

    async def _health(self) -> ServiceHealth:
        health = self.health()
        return msgspec.structs.replace(health, lag=await lag_behind(self._bus, health.folded))

    # Nodes

    async def _on_telemetry(self, message: Received) -> None:
        node, now_ms = message.subject.rpartition(".")[2], self._now_ms()
        try:
            said = self._gate.open(node, message.data, now_ms)
        except (BadSignature, Malformed) as error:
            _log.debug("telemetry ignored", node=node, reason=str(error))
            return
        if said is None:
            self._core.stranger(node)
        elif isinstance(said, Telemetry):
            self._core.hear(said, now_ms)
        else:
            self._core.goodbye(said, now_ms)
        self._wake()

    async def _hello(self, body: bytes) -> HelloReply:
        try:
            key, members = open_signed(body, HELLO)
        except BadSignature as error:
            return HelloReply(ok=False, error=str(error))
        hello = decode(members[-1], _HELLO)
        if not self._core.leading:
            # A refusal would end the node for good: this is a moment between two leaders, and no judgement.
            raise ServiceFailed("this coordinator stands by: ask again, the leader answers")
        reply = self._core.hello(hello, key, self._now_ms())
        if reply is not None and not reply.ok:
            return reply
        self._gate.forget(hello.node)
        self._wake()
        if reply is not None:
            return reply
        waiting: asyncio.Future[HelloReply] = asyncio.get_running_loop().create_future()
        self._greeting.setdefault(hello.node, []).append(waiting)
        return await waiting

    def _answer(self, node: str, reply: HelloReply) -> None:
        for waiting in self._greeting.pop(node, ()):
            if not waiting.done():
                waiting.set_result(reply)

    # People

    def _nodes(self, asked: _NodesRequest) -> bytes:
        """A page of nodes; a shorter one where they say so much of themselves that a message could not hold it."""
        total = len(self._core.registry)
        start = min(max(0, asked.offset), total)
        rows = range(start, min(total, start + _PAGE))
        while True:
            body = encode(NodesReply(self._core.registry.views(self._now_ms(), rows), total))
            if len(body) <= MAX_MESSAGE_BYTES or len(rows) <= 1:
                return body
            rows = rows[: len(rows) // 2]

    def _board(self, asked: BoardRequest) -> BoardReply:
        shape = f"{self._settings.name}-{self._since_ms}"
        return board_of(self._core.registry, asked.names_from, shape=shape, now_ms=self._now_ms())

    def _why(self, asked: WhyRequest) -> WhyReply:
        reply = explain.why(self._core, asked.task, self._now_ms())
        if reply.state not in ("waiting", "unknown") or not self._load.full:
            return reply
        return msgspec.structs.replace(
            reply, detail=f"{reply.detail}; the cluster is full: {self._load.full}"
        )

    def _purse(self, asked: PurseRequest) -> PurseReply:
        purses = self._core.ledger.purses
        return PurseReply(client=asked.client, held=purses.held(asked.client), free=purses.free(asked.client))

    def _tasks(self, asked: TasksRequest) -> TasksReply:
        return explain.tasks(self._core, asked)

    # Operators

    def _drain(self, asked: DrainRequest) -> DrainReply:
        reply = self._core.drain(asked, self._now_ms())
        self._wake()
        return reply

    def _undrain(self, asked: UndrainRequest) -> DrainReply:
        reply = self._core.undrain(asked)
        self._wake()
        return reply
