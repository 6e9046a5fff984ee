"""Questions to the services of the cluster, and what their silence means for a request.

Guarantees that many requests for the same thing at the same time ask once, and that what is asked often is asked at most once a second, and less
often where the answer is dear (10,000 nodes are twenty pages).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from bus.connection import Bus
from bus.errors import BusError, BusUnavailable, LogFull, Malformed, NoResponder
from bus.messages import NodesReply, NodeView, ServiceHealth
from gateway.errors import NotFound, Refused, Unavailable
from gateway.resources.cluster import ServiceState

__all__ = ["SERVICES", "Asking", "Fresh", "answered", "service_states"]

SERVICES = ("coordinator", "verifier", "anchor")
_FRESH_S = 1.0
_DEAR = 20
"""An answer that took long is good for so many times as long: at most a twentieth of anybody's time goes into it."""
_HEALTH_S = 1.0


@contextmanager
def answered() -> Iterator[None]:
    """Turn what the bus raises into an answer to the request."""
    try:
        yield
    except Malformed as error:
        raise Refused(str(error), field=error.field, limit=error.limit) from None
    except NoResponder as error:
        raise Unavailable(str(error), headers={"Retry-After": "1"}) from None
    except LogFull as error:
        raise Unavailable(str(error), headers={"Retry-After": "2"}) from None
    except BusUnavailable as error:
        raise Unavailable(str(error), headers={"Retry-After": "1"}) from None
    except BusError as error:
        raise NotFound(str(error)) from None


class Fresh[T]:
    """A value that is fetched when it is asked for and older than a second."""

    def __init__(self, fetch: Callable[[], Awaitable[T]]) -> None:
        self._fetch = fetch
        self._value: T | None = None
        self._good_until = float("-inf")
        self._fetching: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """The value; raises what fetching it raised."""
        if self._value is not None and time.monotonic() < self._good_until:
            return self._value
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._renew(), name="ask")
        # Shielded: whoever goes away must not take the answer from the others.
        return await asyncio.shield(self._fetching)

    async def _renew(self) -> T:
        begun = time.monotonic()
        value = self._value = await self._fetch()
        took = time.monotonic() - begun
        self._good_until = begun + took + max(_FRESH_S, _DEAR * took)
        return value


class Asking:
    """The questions of one gateway."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.nodes: Fresh[list[NodeView]] = Fresh(self._nodes)
        self.services: Fresh[list[ServiceHealth]] = Fresh(self._services)

    def __repr__(self) -> str:
        """Of whom."""
        return f"Asking({self.bus.url})"

    async def ask[T](self, service: str, endpoint: str, question: object, answer: type[T]) -> T:
        """Ask a service. Raises `Refused` for a question that it refuses, `Unavailable` where it does not answer."""
        with answered():
            return await self.bus.request(
                self.bus.subjects.service(service, endpoint), question, answer, timeout_s=4.0
            )

    async def all_nodes(self) -> list[NodeView]:
        """Every node, as the coordinator sees it. Raises `Unavailable`."""
        with answered():
            return await self.nodes.get()

    async def health(self) -> list[ServiceHealth]:
        """Every instance of every service that says who it is; fewer where the bus is away."""
        try:
            return await self.services.get()
        except BusError:
            return []

    async def _nodes(self) -> list[NodeView]:
        found: list[NodeView] = []
        subject = self.bus.subjects.service("coordinator", "nodes")
        while True:
            page = await self.bus.request(subject, b'{"offset":%d}' % len(found), NodesReply)
            found += page.nodes
            if not page.nodes or len(found) >= page.total:
                return found

    async def _services(self) -> list[ServiceHealth]:
        if not self.bus.is_connected:
            return []
        answers = await asyncio.gather(*map(self._instances, SERVICES))
        return [each for instances in answers for each in instances]

    async def _instances(self, service: str) -> list[ServiceHealth]:
        subject = self.bus.subjects.service(service, "instances")
        return await self.bus.request_each(subject, b"{}", ServiceHealth, wait_s=_HEALTH_S)


def service_states(instances: list[ServiceHealth]) -> list[ServiceState]:
    """Who leads each service, and who stands by."""
    found = []
    for service in SERVICES:
        own = [each for each in instances if each.service == service]
        leader = max((each for each in own if each.leading), key=lambda each: each.epoch, default=None)
        found.append(
            ServiceState(
                service=service,
                leader=leader.name if leader is not None else "",
                epoch=leader.epoch if leader is not None else 0,
                since_ms=leader.since_ms if leader is not None else 0,
                standbys=sorted(each.name for each in own if each is not leader),
                lag=leader.lag if leader is not None else {},
            )
        )
    return found
