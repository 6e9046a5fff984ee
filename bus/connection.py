"""One connection to a cluster's bus: it reconnects for ever, with jitter, and says who is at fault.

Guarantees: a first connection that cannot be made fails with what to do about it, or keeps trying, as the caller
wishes; a lost one is retried for ever; who registered with `on_reconnect` hears when it is back. nats-py's errors
end here. What is published while the connection is down is nats-py's bounded buffer's affair: nothing that
must not be lost travels by `publish` alone (see `bus.writer`).
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Self

import msgspec
import nats
import nats.errors
import nats.js
import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from bus.acks import AckInbox
from bus.client import Client
from bus.errors import BusUnavailable, Malformed, NoResponder, ServiceFailed, reason
from bus.messages import ErrorReply
from bus.subjects import DEFAULT_CLUSTER, Subjects
from bus.wire import decode, encode

__all__ = ["DEFAULT_URL", "Bus", "Received", "cluster_from_environment", "url_from_environment"]

DEFAULT_URL = "nats://127.0.0.1:4222"
Received = Msg
"""A message as subscriptions hand it over: `.subject`, `.data`, `.reply`, `.headers`."""

_log = structlog.get_logger("bus")
_PENDING_BYTES = 32 * 1024 * 1024
_PING_INTERVAL_S = 10
_NEVER_S = 10**6
_ERROR = msgspec.json.Decoder(ErrorReply)


def url_from_environment() -> str:
    """The address of the bus: `NATS_URL`, or the local default."""
    return os.environ.get("NATS_URL", DEFAULT_URL)


def cluster_from_environment() -> str:
    """The cluster's name: `AMBIENT_CLUSTER`, or `home`."""
    return os.environ.get("AMBIENT_CLUSTER", DEFAULT_CLUSTER)


class Bus:
    """A live connection and the names of one cluster on it. Use as an async context manager."""

    def __init__(self, client: Client, subjects: Subjects, url: str) -> None:
        self.client = client
        self.subjects = subjects
        self.url = url
        self.js = client.jetstream(timeout=5)
        self.acks = AckInbox(client)
        self._returns: list[Callable[[], None]] = []
        self.dropped: Counter[str] = Counter()
        """Messages that came faster than they were handled and were dropped, by the subject subscribed to."""
        self._trouble = ""
        self._pings: set[asyncio.Task[None]] = set()

    @classmethod
    async def connect(
        cls,
        url: str | None = None,
        *,
        cluster: str | None = None,
        name: str = "ambient",
        timeout_s: float | None = 5.0,
    ) -> Self:
        """Connect to the NATS server(s) at `url` (comma-separated).

        Raises `BusUnavailable` when no server answers within `timeout_s`; None waits for ever, as services do.
        """
        address = url or url_from_environment()
        client = Client()
        bus = cls(client, Subjects(cluster or cluster_from_environment()), address)
        try:
            async with asyncio.timeout(timeout_s):
                await client.connect(
                    servers=address.split(","),
                    name=name,
                    max_reconnect_attempts=-1,
                    # Each client waits its own time, so that a restarted server is not met by all at once.
                    reconnect_time_wait=random.uniform(0.1, 0.5),  # type: ignore[arg-type]  # noqa: S311 -- jitter
                    connect_timeout=2,
                    ping_interval=_PING_INTERVAL_S,
                    max_outstanding_pings=2,
                    pending_size=_PENDING_BYTES,
                    error_cb=bus._on_error,
                    disconnected_cb=bus._on_disconnect,
                    reconnected_cb=bus._on_reconnect,
                )
        except (TimeoutError, OSError, ValueError, nats.errors.Error) as error:
            await _abandon(client)
            # nats-py goes on trying behind a time-out; what it met there (refused, not authorised) is the real reason.
            raise BusUnavailable(
                f"no NATS server answers at {address}: start one with `ambient up`, or set NATS_URL ({bus._trouble or reason(error)})"
            ) from None
        return bus

    async def __aenter__(self) -> Self:
        """Return the bus itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection."""
        await self.close()

    @property
    def is_connected(self) -> bool:
        """Whether a server is at the other end right now."""
        return self.client.is_connected

    def on_reconnect(self, call: Callable[[], None]) -> None:
        """Call `call` each time that the connection is back after a loss."""
        self._returns.append(call)

    def forget_reconnect(self, call: Callable[[], None]) -> None:
        """Undo `on_reconnect`; harmless where there is nothing to undo."""
        if call in self._returns:
            self._returns.remove(call)

    async def publish(self, subject: str, body: bytes, *, reply: str = "") -> None:
        """Send once, to whoever listens now. Raises `BusUnavailable` if the connection is closed or its buffer full."""
        try:
            await self.client.publish(subject, body, reply=reply)
        except nats.errors.Error as error:
            raise BusUnavailable(f"could not publish to {subject}: {reason(error)}") from None

    async def subscribe(
        self, subject: str, handle: Callable[[Msg], Awaitable[None]], *, queue: str = ""
    ) -> Subscription:
        """Call `handle` with every message on `subject`; survives reconnects. Raises `BusUnavailable` once closed."""
        try:
            return await self.client.subscribe(subject, queue=queue, cb=handle)
        except nats.errors.Error as error:
            raise BusUnavailable(f"could not subscribe to {subject}: {reason(error)}") from None

    async def request[T](self, subject: str, question: Any, answer: type[T], *, timeout_s: float = 5.0) -> T:
        """Ask a service and decode its answer.

        Raises `NoResponder` where the service is not running, `Malformed` where it refused the question,
        `ServiceFailed` where it could not answer, `BusUnavailable` where it did not in time.
        """
        body = await self.request_bytes(
            subject, question if isinstance(question, bytes) else encode(question), timeout_s
        )
        if body.startswith(b'{"kind":"error"'):
            error = decode(body, _ERROR)
            raise ServiceFailed(error.limit) if error.internal else Malformed(error.field, error.limit)
        return decode(body, msgspec.json.Decoder(answer))

    async def request_bytes(self, subject: str, body: bytes, timeout_s: float = 5.0) -> bytes:
        """Like `request`, on bare bytes."""
        try:
            return (await self.client.request(subject, body, timeout=timeout_s)).data
        except nats.errors.NoRespondersError:
            raise NoResponder(
                f"nobody answers {subject} in cluster {self.subjects.cluster!r}: is it running? try `ambient doctor`"
            ) from None
        except (TimeoutError, nats.errors.Error) as error:
            raise BusUnavailable(
                f"no answer on {subject} within {timeout_s:g} s ({reason(error)}): try `ambient doctor`"
            ) from None

    async def round_trip_ms(self) -> float:
        """The time of a ping to the server and back, in milliseconds."""
        begun = time.perf_counter()  # uvloop's own clock counts in whole milliseconds
        try:
            await self._ping(5)
        except (TimeoutError, nats.errors.Error) as error:
            raise BusUnavailable(f"{self.url} does not answer a ping ({reason(error)})") from None
        return (time.perf_counter() - begun) * 1000

    async def close(self) -> None:
        """Flush what was published and close; never raises for a bus that is already gone."""
        if self.client.is_closed:
            return
        if self.client.is_connected:
            try:
                await self._ping(2)
            except (TimeoutError, nats.errors.Error) as error:
                _log.debug("closing without a flush", reason=reason(error))
        if not self.client.is_connected:
            # nats-py 2.16 would write what is still buffered to the dead socket, fail, and leave its tasks behind.
            self.client._pending.clear()  # noqa: SLF001
            self.client._pending_data_size = 0  # noqa: SLF001
        await self.client.close()
        self._forget_pings()

    async def _ping(self, timeout_s: float) -> None:
        """Wait for a pong; everything sent before has then reached the server. Raises `TimeoutError`.

        nats-py 2.16 drops its connection when a pong arrives whose waiter has given up, so the waiter inside never does.
        """
        pong = asyncio.create_task(self.client.flush(timeout=_NEVER_S), name="pong")
        self._pings.add(pong)
        pong.add_done_callback(self._pings.discard)
        await asyncio.wait_for(asyncio.shield(pong), timeout_s)

    def _forget_pings(self) -> None:
        """The connection that these were sent on is gone, and so are their answers."""
        for pong in self._pings:
            pong.cancel()

    async def _on_error(self, error: Exception) -> None:
        if isinstance(error, nats.errors.SlowConsumerError):
            self._on_drop(error.sub.subject)
            return
        _log.debug("bus trouble", reason=reason(error))
        # What the server said (not authorised, say) explains more than the broken socket that follows it.
        if not self._trouble or not isinstance(error, OSError):
            self._trouble = reason(error)

    def _on_drop(self, subject: str) -> None:
        subject = "_INBOX" if subject.startswith("_INBOX.") else subject
        self.dropped[subject] += 1
        # At 1, 2, 4, 8 …: a flood must not become one of complaints.
        if (count := self.dropped[subject]) & (count - 1) == 0:
            _log.warning(
                "messages come faster than they are handled; the newest are dropped",
                subject=subject,
                dropped=count,
            )

    async def _on_disconnect(self) -> None:
        if not self.client.is_closed:
            _log.warning("bus lost", url=self.url, advice="reconnecting for ever")

    async def _on_reconnect(self) -> None:
        _log.info("bus back", url=self.url)
        self._forget_pings()
        for call in list(self._returns):
            call()


async def _abandon(client: Client) -> None:
    """Close a client whose connect failed halfway; what it says then matters to nobody."""
    try:
        await client.close()
    except (AssertionError, OSError, nats.errors.Error) as error:
        # The assertion is nats-py's own, about a client that did not get beyond reading the address.
        _log.debug("while giving up a connection", reason=reason(error))
