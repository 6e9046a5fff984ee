"""One connection to a cluster's bus: it reconnects for ever, with jitter, and says who is at fault.

Guarantees: a first connection that cannot be made fails with what to do about it, or keeps trying, as the caller
wishes; a lost one is retried for ever, at any of the servers; one to a server that is cut off from the others, or answers no more to whoever
doubts it, is moved to another; who registered with `on_reconnect` hears when it is back. nats-py's errors
end here. What is published while the connection is down is nats-py's bounded buffer's affair: nothing that
must not be lost travels by `publish` alone (see `bus.writer`).
"""

import asyncio
import os
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Self

import msgspec
import nats
import nats.errors
import nats.js
import structlog
from nats.aio.client import Server
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from bus import nkeys
from bus.acks import AckInbox
from bus.client import Client
from bus.errors import BusUnavailable, Forbidden, Malformed, NoResponder, ServiceFailed, reason
from bus.messages import ErrorReply
from bus.servers import Choice
from bus.signing import Identity
from bus.subjects import DEFAULT_CLUSTER, DEFAULT_URL, Subjects
from bus.wire import decode, encode

__all__ = ["Bus", "Received", "cluster_from_environment", "url_from_environment"]

Received = Msg
"""A message as subscriptions hand it over: `.subject`, `.data`, `.reply`, `.headers`."""

_log = structlog.get_logger("bus")
_PENDING_BYTES = 32 * 1024 * 1024
_PING_INTERVAL_S = 10
_NEVER_S = 10**6
_ANOTHER_S = 0.2
_CUT_OFF_S = 0.5
"""How long a server may see too few others before it is left: others that restart come and go within a moment."""
_LOOK_S = 2.0
_DOUBT_S = 2.0
_NO_LEADER = b'"err_code":10008'
"""JetStream's word for "the servers have no leader", as a server says it that has looked for one for a while."""
_ERROR = msgspec.json.Decoder(ErrorReply)
_DENIED = re.compile(r'permissions violation for (publish|subscription) to "([^"]+)"')
_MOST_DENIED = 64


def url_from_environment() -> str:
    """The address of the bus: `NATS_URL`, or the local default."""
    return os.environ.get("NATS_URL", DEFAULT_URL)


def cluster_from_environment() -> str:
    """The cluster's name: `AMBIENT_CLUSTER`, or `home`."""
    return os.environ.get("AMBIENT_CLUSTER", DEFAULT_CLUSTER)


class Bus:
    """A live connection and the names of one cluster on it. Use as an async context manager."""

    def __init__(self, url: str, subjects: Subjects) -> None:
        addresses = url.split(",")
        self.url = url
        self.subjects = subjects
        self._choice = Choice(len(addresses))
        self.client = client = Client(self._on_servers, learns_servers=len(addresses) == 1)
        self.js = client.jetstream(timeout=5)
        self.acks = AckInbox(client)
        self._returns: list[Callable[[], None]] = []
        self.dropped: Counter[str] = Counter()
        """Messages that came faster than they were handled and were dropped, by the subject subscribed to."""
        self.denied: dict[str, str] = {}
        """What the server does not let this user do: `publish` or `subscription`, by subject (in lower case, as nats-py tells it); the first of them."""
        self._trouble = ""
        self._pings: set[asyncio.Task[None]] = set()
        self._moving: asyncio.Task[None] | None = None
        self._doubting: asyncio.Task[None] | None = None

    @classmethod
    async def connect(
        cls,
        url: str | None = None,
        *,
        cluster: str | None = None,
        name: str = "ambient",
        timeout_s: float | None = 5.0,
        identity: Identity | None = None,
    ) -> Self:
        """Connect to the NATS server(s) at `url` (comma-separated).

        A server that knows users by their keys is shown the one that `NATS_KEY` names, else `identity`; an address with a user and a password goes before.
        Raises `BusUnavailable` when no server answers within `timeout_s`; None waits for ever, as services do. For a key that is none: `Malformed`,
        `IdentityUnusable`.
        """
        address = url or url_from_environment()
        user = None if "@" in address else nkeys.from_environment() or identity
        bus = cls(address, Subjects(cluster or cluster_from_environment()))
        client = bus.client
        if user is not None:
            client.show(user)
        try:
            async with asyncio.timeout(timeout_s):
                await client.connect(
                    servers=address.split(","),
                    signature_cb=None if user is None else partial(nkeys.answer, user),
                    # Of its own, so that nobody else must be allowed to listen there.
                    inbox_prefix="_INBOX" if user is None else nkeys.inbox(user.key),
                    name=name,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.1,  # type: ignore[arg-type]  # a fraction of a second is fine
                    reconnect_to_server_handler=bus._next_server,
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

    @property
    def is_clustered(self) -> bool:
        """Whether the server at the other end is one of several."""
        return self.client.is_clustered

    def on_reconnect(self, call: Callable[[], None]) -> None:
        """Call `call` each time that the connection is back after a loss."""
        self._returns.append(call)

    def forget_reconnect(self, call: Callable[[], None]) -> None:
        """Undo `on_reconnect`; harmless where there is nothing to undo."""
        if call in self._returns:
            self._returns.remove(call)

    def doubt(self) -> None:
        """An answer did not come: look in the background whether the server still does, and go to another one if not."""
        if self._choice.are_many and self.is_connected and (self._doubting is None or self._doubting.done()):
            self._doubting = asyncio.create_task(self._look(), name="doubt")

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

    async def request_each[T](
        self, subject: str, question: bytes, answer: type[T], *, wait_s: float = 1.0
    ) -> list[T]:
        """Ask all who listen on `subject`: the answers in the order in which they came; none where nobody listens.

        The first is waited for up to `wait_s`, each further one for `_ANOTHER_S`. What cannot be decoded is left out. Raises `BusUnavailable` once closed.
        """
        read, answers = msgspec.json.Decoder(answer), list[T]()
        heard: asyncio.Queue[bytes] = asyncio.Queue()

        async def on_answer(message: Msg) -> None:
            heard.put_nowait(message.data)

        inbox = self.client.new_inbox()
        listening = await self.subscribe(inbox, on_answer)
        try:
            await self.publish(subject, question, reply=inbox)
            # An empty one is the server's "no responders".
            while body := await asyncio.wait_for(heard.get(), _ANOTHER_S if answers else wait_s):
                try:
                    answers.append(decode(body, read))
                except Malformed as error:
                    _log.debug("an answer that cannot be read", subject=subject, reason=str(error))
        except TimeoutError:
            pass
        finally:
            if not self.client.is_closed:
                await listening.unsubscribe()
        return answers

    async def request_bytes(self, subject: str, body: bytes, timeout_s: float = 5.0) -> bytes:
        """Like `request`, on bare bytes."""
        try:
            return (await self.client.request(subject, body, timeout=timeout_s)).data
        except nats.errors.NoRespondersError:
            raise NoResponder(
                f"nobody answers {subject} in cluster {self.subjects.cluster!r}: is it running? try `ambient doctor`"
            ) from None
        except (TimeoutError, nats.errors.Error) as error:
            self.forbid(subject)
            raise BusUnavailable(
                f"no answer on {subject} within {timeout_s:g} s ({reason(error)}): try `ambient doctor`"
            ) from None

    def forbid(self, subject: str) -> None:
        """Raise `Forbidden` where the server has said that this user may not publish to `subject`."""
        # The server names the subject that it mapped the question to: `bus.permissions`.
        if "publish" in (
            self.denied.get(subject.lower()),
            self.denied.get(subject.lower().replace("$js.", "$js.hub.", 1)),
        ):
            raise Forbidden(
                f"this user may not publish to {subject}: connect with another one (NATS_KEY), or have an operator add it with `ambient user add`"
            )

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
        for task in (self._moving, self._doubting):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
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
        """Wait for a pong; everything sent before has then reached the server. Raises `TimeoutError`."""
        pong = asyncio.create_task(self.client.flush(timeout=_NEVER_S), name="pong")
        self._pings.add(pong)
        pong.add_done_callback(self._pings.discard)
        # Not its cancellation, should the connection be lost meanwhile: whoever waits here was not told to end.
        await asyncio.wait([pong], timeout=timeout_s)
        if not pong.done():
            pong.cancel()
            raise TimeoutError
        if pong.cancelled():
            raise TimeoutError("the connection was lost")
        pong.result()

    def _forget_pings(self) -> None:
        """The connection that these were sent on is gone, and so are their answers."""
        for pong in self._pings:
            pong.cancel()

    def _next_server(self, servers: list[Server], _info: dict[str, Any]) -> tuple[Server, float]:
        address, pause_s = self._choice.next([(server.uri.netloc, server.reconnects) for server in servers])
        return next(server for server in servers if server.uri.netloc == address), pause_s

    def _on_servers(self, count: int) -> None:
        self._choice.told(count)
        if self._choice.is_cut_off and (self._moving is None or self._moving.done()):
            self._moving = asyncio.create_task(self._move(), name="move")

    async def _move(self) -> None:
        """Leave a server that is cut off, once another one can be reached: until then this one is as good as any."""
        await asyncio.sleep(_CUT_OFF_S)
        while self._choice.is_cut_off:
            if self.is_connected and await self._another_listens():
                _log.warning("the server is cut off from the others: going to another one", url=self._at)
                self._leave()
            await asyncio.sleep(_LOOK_S)

    async def _another_listens(self) -> bool:
        for server in self.client.servers:
            if server.netloc != self._at:
                try:
                    async with asyncio.timeout(_LOOK_S):
                        _, writer = await asyncio.open_connection(server.hostname, server.port)
                except (TimeoutError, OSError):
                    continue
                writer.close()
                return True
        return False

    async def _look(self) -> None:
        at = self._at
        if await self._is_useless() and self.is_connected and self._at == at:
            _log.warning("the server is of no use: going to another one", url=at)
            self._leave()

    async def _is_useless(self) -> bool:
        """Whether the present server is silent; or, where it tells nothing of the others, has looked for their leader in vain."""
        try:
            await self._ping(_DOUBT_S)
        except (TimeoutError, nats.errors.Error):
            return True
        if self._choice.is_told:
            return False
        try:
            answer = (await self.client.request("$JS.API.INFO", b"", timeout=_DOUBT_S)).data
        except (TimeoutError, nats.errors.Error):
            return False  # it is the leader that did not answer, who may just have died
        return _NO_LEADER in answer.replace(b" ", b"")

    @property
    def _at(self) -> str:
        """The address of the present server, empty where there is none."""
        url = self.client.connected_url
        return url.netloc if url is not None else ""

    def _leave(self) -> None:
        self._choice.leaving = self._at
        self.client.leave()

    async def _on_error(self, error: Exception) -> None:
        if isinstance(error, nats.errors.SlowConsumerError):
            self._on_drop(error.sub.subject)
            return
        if (found := _DENIED.search(str(error))) is not None and len(self.denied) < _MOST_DENIED:
            self._on_denied(found[1], found[2])
            return
        _log.debug("bus trouble", reason=reason(error))
        # What the server said (not authorised, say) explains more than the broken socket that follows it.
        if not self._trouble or not isinstance(error, OSError):
            self._trouble = reason(error)

    def _on_denied(self, what: str, subject: str) -> None:
        if subject not in self.denied:
            _log.warning(
                "the server does not let this user do that",
                what=what,
                subject=subject,
                advice="ambient user add",
            )
        self.denied[subject] = what

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
        # Not when it is back: by then others may be under way that will be answered.
        self._forget_pings()
        if not self.client.is_closed:
            _log.warning("bus lost", url=self.url, advice="reconnecting for ever")

    async def _on_reconnect(self) -> None:
        _log.info("bus back", url=self._at)
        self._choice.leaving = ""
        for call in list(self._returns):
            call()


async def _abandon(client: Client) -> None:
    """Close a client whose connect failed halfway; what it says then matters to nobody."""
    try:
        await client.close()
    except (AssertionError, OSError, nats.errors.Error) as error:
        # The assertion is nats-py's own, about a client that did not get beyond reading the address.
        _log.debug("while giving up a connection", reason=reason(error))
