"""Saying hello: the node's signed request to be enrolled, until the coordinator accepts or refuses it.

Guarantees: it is asked again, with jitter, for as long as nobody answers; said again whenever `again` was called, which is when the
coordinator says that it does not know the node (not when the bus is back: thousands would say it at once, and heartbeats do); and a
refusal ends the node with the coordinator's own words, because no repetition will change it.
"""

import asyncio
import random
from collections.abc import Callable

import structlog

from bus.connection import Bus
from bus.errors import BusError, BusUnavailable, Malformed
from bus.messages import Capabilities, Hello, HelloReply
from bus.signing import HELLO, Identity
from bus.wire import encode
from workers.errors import NotEnrolled

__all__ = ["Enrolment"]

_log = structlog.get_logger("workers.enrolment")

ANSWER_S = 2.0
FIRST_PAUSE_S = 0.2
MAX_PAUSE_S = 5.0


class Enrolment:
    """Keeps one node enrolled; `on_enrolled` is called after each hello that was accepted."""

    def __init__(
        self,
        bus: Bus,
        identity: Identity,
        node: str,
        capabilities: Capabilities,
        *,
        on_enrolled: Callable[[], None],
    ) -> None:
        self._bus = bus
        self._node = node
        self._body = identity.seal(HELLO, [encode(Hello(node=node, capabilities=capabilities))])
        self._on_enrolled = on_enrolled
        self._wanted = asyncio.Event()
        self._wanted.set()

    def again(self) -> None:
        """The coordinator may not know the node any more: say hello again."""
        self._wanted.set()

    async def run(self) -> None:
        """Say hello whenever it is wanted. Raises `NotEnrolled`."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self._hello()
            self._on_enrolled()

    async def _hello(self) -> None:
        pause = FIRST_PAUSE_S
        while True:
            try:
                reply = await self._bus.request(
                    self._bus.subjects.service("coordinator", "hello"),
                    self._body,
                    HelloReply,
                    timeout_s=ANSWER_S,
                )
            except Malformed as error:
                if error.field:
                    raise NotEnrolled(f"the coordinator refuses node {self._node!r}: {error}") from None
                reason = str(error)  # it could not answer just now
            except BusUnavailable as error:
                reason = str(error)
            except BusError as error:
                raise NotEnrolled(f"the coordinator refuses node {self._node!r}: {error}") from None
            else:
                if reply.ok:
                    _log.info("enrolled", node=self._node)
                    return
                raise NotEnrolled(f"the coordinator refuses node {self._node!r}: {reply.error}")
            _log.info("waiting for a coordinator", node=self._node, reason=reason)
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 -- jitter
            pause = min(2 * pause, MAX_PAUSE_S)
