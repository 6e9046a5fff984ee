"""Questions to the services of a cluster, with typed answers."""

import asyncio
from abc import ABC, abstractmethod
from itertools import chain

import msgspec

from ambient.errors import BusUnavailable, mapped
from ambient.task import Task
from bus.connection import Bus
from bus.messages import (
    BalanceReply,
    BalanceRequest,
    DrainReply,
    DrainRequest,
    EnergyReply,
    EnergyRequest,
    NodesReply,
    NodeView,
    Ordered,
    OrderReply,
    PurseReply,
    PurseRequest,
    ServiceHealth,
    TasksReply,
    TasksRequest,
    TaskState,
    TaskView,
    UndrainRequest,
    WhyReply,
    WhyRequest,
)

__all__ = ["ClusterHealth", "Questions"]


class ClusterHealth(msgspec.Struct, frozen=True):
    """Who leads; None where nobody answers. `round_trip_ms` is that of a ping to the NATS server.

    `standbys` are the coordinators, verifiers and anchors that would take over, by name. Without an anchor tasks get no receipts, and are done
    all the same.
    """

    coordinator: ServiceHealth | None
    """The one that leads; null where none answers."""
    verifier: ServiceHealth | None
    """The one that leads; null where none answers."""
    round_trip_ms: float
    """To the NATS server, in milliseconds."""
    standbys: tuple[ServiceHealth, ...] = ()
    """Those of all three that would take over."""
    anchor: ServiceHealth | None = None
    """The one that leads; null where none answers."""

    @property
    def ok(self) -> bool:
        """Whether tasks submitted now will be worked on and judged."""
        return self.coordinator is not None and self.verifier is not None and self.coordinator.nodes > 0


class Questions(ABC):
    """What a client can ask. Every question raises `ServiceMissing` where nobody answers, else `BusUnavailable`."""

    @property
    @abstractmethod
    def bus(self) -> Bus:
        """The connection to ask on."""

    @abstractmethod
    def full_name(self, task: str | Task) -> str:
        """`<client>.<id>` of a handle, an id or a full name."""

    async def why(self, task: str | Task) -> WhyReply:
        """Where a task stands and why, node by node. Raises `ServiceMissing` where no coordinator runs."""
        return await self._ask("coordinator", "why", WhyRequest(self.full_name(task)), WhyReply)

    async def nodes(self) -> list[NodeView]:
        """All nodes as the coordinator sees them; it tells them page by page."""
        found: list[NodeView] = []
        while True:
            page = await self._ask("coordinator", "nodes", b'{"offset":%d}' % len(found), NodesReply)
            found += page.nodes
            if not page.nodes or len(found) >= page.total:
                return found

    async def drain(self, node: str, *, finish_s: float | None = None) -> DrainReply:
        """Let a node have no more work, and say how far it is; ask again until the answer is `empty`.

        What runs may finish for `finish_s` (None: for as long as the node's own limit says), then it runs elsewhere. The node stays, without
        work, until `undrain` or its next start. Raises `QuestionRejected` for a name that no node has.
        """
        finish_ms = None if finish_s is None else round(finish_s * 1000)
        return await self._ask(
            "coordinator", "drain", DrainRequest(node=node, finish_ms=finish_ms), DrainReply
        )

    async def undrain(self, node: str) -> DrainReply:
        """Let a node that was drained have work again, and say how it is. Raises `QuestionRejected` for a name that no node has."""
        return await self._ask("coordinator", "undrain", UndrainRequest(node), DrainReply)

    async def tasks(
        self, *, client: str | None = None, state: TaskState | None = None, limit: int = 100
    ) -> list[TaskView]:
        """The newest tasks, newest first, at most `limit` (1 to 1000): of one client or all, in one state or all."""
        question = TasksRequest(client=client, state=state, limit=limit)
        return (await self._ask("coordinator", "tasks", question, TasksReply)).tasks

    async def health(self) -> ClusterHealth:
        """Who leads the cluster, and how far away its server is; a service that does not answer is None.

        Raises `BusUnavailable` where not even the server answers.
        """
        coordinator, verifier, anchor, *standbys = await asyncio.gather(
            self._health("coordinator"),
            self._health("verifier"),
            self._health("anchor"),
            self._standbys("coordinator"),
            self._standbys("verifier"),
            self._standbys("anchor"),
        )
        with mapped():
            round_trip_ms = await self.bus.round_trip_ms()
        return ClusterHealth(
            coordinator, verifier, round_trip_ms, tuple(chain.from_iterable(standbys)), anchor
        )

    async def balance(self, account: str, *, proof: bool = False) -> BalanceReply:
        """What an account (`client/<name>`, `node/<name>`) received and gave in msat, with `proof` as a document for `ledger.proof`.

        Raises `ServiceMissing` where no anchor runs, `QuestionRejected` for what is no account, or where nothing is sealed yet.
        """
        return await self._ask(
            "anchor", "balance", BalanceRequest(account=account, proof=proof), BalanceReply
        )

    async def purse(self, client: str) -> PurseReply:
        """What is held of a client's deposit for tasks without a verdict, and what is free. Raises `ServiceMissing` where no coordinator runs."""
        return await self._ask("coordinator", "purse", PurseRequest(client), PurseReply)

    async def energy(self, account: str, *, month: str = "", proof: bool = False) -> EnergyReply:
        """What an account's month (`2026-07`; its last one if not given) took in energy. Raises as `balance` does."""
        question = EnergyRequest(account=account, month=month, proof=proof)
        return await self._ask("anchor", "energy", question, EnergyReply)

    async def order(self, ordered: Ordered) -> OrderReply:
        """Have an operator's signed order (`ledger.orders.sign`) carried out; safe to repeat. Raises `ServiceMissing` where no anchor runs."""
        return await self._ask("anchor", "order", ordered, OrderReply)

    async def _health(self, service: str) -> ServiceHealth | None:
        try:
            return await self._ask(service, "health", b"{}", ServiceHealth)
        except BusUnavailable:
            return None

    async def _standbys(self, service: str) -> list[ServiceHealth]:
        bus = self.bus
        with mapped():
            there = await bus.request_each(bus.subjects.service(service, "instances"), b"{}", ServiceHealth)
        return sorted((each for each in there if not each.leading), key=lambda each: each.name)

    async def _ask[T](self, service: str, endpoint: str, question: object, answer: type[T]) -> T:
        bus = self.bus
        with mapped():
            return await bus.request(bus.subjects.service(service, endpoint), question, answer)
