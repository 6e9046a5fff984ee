"""The reading side of a log: every message once, in order, from a sequence on, for ever.

Guarantees: `deliver` is called with each entry exactly once and in sequence, whatever happens to connection, server or
consumer; the reader keeps the position itself, so the consumer on the server is disposable. What is in
memory is bounded: entries are pulled, a window at a time, and `pause` stops the pulling. A log that was cut beyond the
position ends the reading with `Trimmed`; messages that an operator removed one by one are passed over.

A consumer is placed on one server by the leader of all servers. When either is lost, making another can take as long as an election, and as
often as the lost server is chosen for it. As long as there is none, entries are asked of the log's leader, one by one.

Why not nats-py's ordered consumer: it is pushed to, with an unbounded queue between, and answers flow
control on a quarter-second timer. A pull with `AckPolicy.NONE` costs no more and paces itself.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import nats.errors
import nats.js.errors
import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from bus import leader
from bus.connection import Bus
from bus.errors import BusUnavailable, Stopped, Trimmed, reason
from bus.steps import path_of

__all__ = ["Entry", "LogReader"]

_log = structlog.get_logger("bus.reader")

_WINDOW = 512
_WINDOW_BYTES = 8 * 1024 * 1024
_EXPIRES_S = 30
_HEARTBEAT_S = 0.5
_SILENT_BEATS = 3
"""After so many without a word the consumer's server is taken for lost. Beats and not time: who was paused itself has heard nothing either."""
_BEHIND_S = 5.0
"""How long a reader that hears beats and no entries waits before it asks whether the log has any: its consumer's server may lag or be cut off."""
_ATTACH_S = 1.0
_ATTACH_MOST_S = 5.0
_POLL_S = 0.05
_RETRY_S = 0.25
_SHORT_REPLY_TOKENS = 9


class Entry(NamedTuple):
    """One message of a log: its sequence, the server's time in ms since the epoch, its subject and its bytes; and the path (`bus.steps`) of its tasks."""

    sequence: int
    at_ms: int
    subject: str
    body: bytes
    path: str = ""


class LogReader:
    """Follows one log and hands its entries to a synchronous `deliver`."""

    def __init__(self, bus: Bus, log: str, deliver: Callable[[Entry], None], *, start: int = 1) -> None:
        self.position = start - 1
        self._bus = bus
        self._stream = bus.subjects.stream(log)
        self._deliver = deliver
        self._subscription: Subscription | None = None
        self._consumer = ""
        self._consumed = 0
        self._asked = 0
        self._paused = False
        self._silent_beats = 0
        self._attach_s = _ATTACH_S
        self._generation = 0
        self._gap = 0
        self._failure: Exception | None = None
        self._complained = False
        self._broken = asyncio.Event()
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        """Where the reader stands."""
        return f"LogReader({self._stream}, position={self.position}, paused={self._paused})"

    def start(self) -> None:
        """Begin to read behind `position`, in the background."""
        self._bus.on_reconnect(self._broken.set)
        self._task = asyncio.create_task(self._follow(), name=f"read {self._stream}")

    async def stop(self) -> None:
        """Stop reading; no entry is delivered afterwards."""
        if self._task is None or self._task.cancelled():
            return
        self._bus.forget_reconnect(self._broken.set)
        self._generation += 1  # a message that is already on its way into `_on_message` belongs to the past
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._drop_subscription()

    async def ended(self) -> None:
        """Wait for the end of the reading: only `stop`, `Trimmed`, or a fold that raised, whose error this raises."""
        if self._task is not None:
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.result()

    async def reached(self, sequence: int) -> None:
        """Wait until the entry of that sequence has been delivered; raises what ended the reading, `Stopped` after `stop`."""
        while self.position < sequence:
            if self._task is not None and self._task.done():
                if self._task.cancelled():
                    raise Stopped(f"{self!r} was stopped before it reached {sequence}: start a new one")
                self._task.result()
            self._moved.clear()
            await self._moved.wait()

    def pause(self) -> None:
        """Ask for no more; what is under way (at most a window) still comes."""
        self._paused = True

    def resume(self) -> None:
        """Undo `pause`."""
        if self._paused:
            self._paused = False
            self._broken.set()

    async def _follow(self) -> None:
        try:
            while self._failure is None:
                try:
                    await self._attach_or_ask()
                    await self._watch()
                except (TimeoutError, nats.errors.Error) as error:
                    self._complain(error)
                    _log.debug("reader retries", stream=self._stream, reason=reason(error))
                    self._attach_s = min(2 * self._attach_s, _ATTACH_MOST_S)
                    await asyncio.sleep(_RETRY_S)
                else:
                    self._attach_s = _ATTACH_S
            raise self._failure
        finally:
            self._moved.set()

    def _complain(self, error: Exception) -> None:
        """Say once that there is no such log: somebody may still make it, so the reader waits, but not in silence."""
        if isinstance(error, nats.js.errors.NotFoundError) and not self._complained:
            self._complained = True
            _log.warning("no such log yet: waiting for it", stream=self._stream, advice="run `ambient up`")

    async def _look_for_gap(self) -> None:
        """Raise `Trimmed` where the log no longer holds what comes next; a message that was removed alone is no reason."""
        first = (await self._bus.js.stream_info(self._stream)).state.first_seq
        if first > self.position + 1:
            raise Trimmed(
                f"{self._stream} begins at {first} and was read to {self.position}: begin again from a checkpoint"
            )
        if self._gap > self.position + 1:
            _log.warning(
                "messages are missing in a log", stream=self._stream, read=self.position, next=self._gap
            )

    async def _attach_or_ask(self) -> None:
        """Attach; meanwhile, if that takes long, ask the log's leader for what comes next."""
        attaching = asyncio.create_task(self._attach(), name=f"attach {self._stream}")
        try:
            if self._attach_s == _ATTACH_S:  # the first try
                await asyncio.wait((attaching,), timeout=_ATTACH_S / 2)
            while not attaching.done():
                if self._paused or self._failure or not await self._ask_for_one():
                    await asyncio.wait((attaching,), timeout=_POLL_S)
            attaching.result()
        finally:
            attaching.cancel()
            await asyncio.gather(attaching, return_exceptions=True)

    async def _ask_for_one(self) -> bool:
        """Whether the leader had a next entry. Raises `Trimmed`."""
        position = self.position
        try:
            message = await leader.first_from(self._bus, self._stream, position + 1)
        except BusUnavailable:
            return False
        if message is None:
            return False
        if message.seq != position + 1:
            self._gap = message.seq
            await self._look_for_gap()
        if self.position == position:  # the consumer may have been quicker
            self._take(Entry(message.seq, message.at_ms, message.subject, message.data, message.path))
        return True

    def _take(self, entry: Entry) -> bool:
        try:
            self._deliver(entry)
        except Exception as error:  # noqa: BLE001 -- the fold is the service; without it there is nothing to go on with
            _log.exception("a fold refused an entry", stream=self._stream, sequence=entry.sequence)
            self._failure = error
            self._broken.set()
            return False
        self.position = entry.sequence
        self._moved.set()
        return True

    async def _attach(self) -> None:
        """A new subscription and a new consumer from the next sequence on. Raises `Trimmed`."""
        await self._look_for_gap()
        await self._drop_subscription()
        self._broken.clear()
        self._generation += 1
        inbox = self._bus.client.new_inbox()
        handle = partial(self._on_message, self._generation)
        self._subscription = await self._bus.client.subscribe(inbox, cb=handle)
        info = await self._bus.js.add_consumer(
            self._stream,
            ConsumerConfig(
                ack_policy=AckPolicy.NONE,
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=self.position + 1,
                inactive_threshold=60,
                mem_storage=True,
                num_replicas=1,
            ),
            # It may have been placed on a server that has just died: the next try goes elsewhere.
            timeout=self._attach_s,
        )
        self._consumer, self._consumed, self._asked = info.name, 0, 0
        await self._ask()

    async def _watch(self) -> None:
        """Return when the consumer must be replaced: it is broken, silent for too long, or on a server that lags behind the log."""
        loop = asyncio.get_running_loop()
        self._silent_beats = 0
        position, moved_at = self.position, loop.time()
        while not self._broken.is_set():
            try:
                async with asyncio.timeout(_HEARTBEAT_S):
                    await self._broken.wait()
            except TimeoutError:
                self._silent_beats += 1
                if self._asked and self._silent_beats > _SILENT_BEATS:
                    _log.debug("reader hears nothing", stream=self._stream)
                    self._bus.doubt()
                    return
            if self.position != position or self._paused:
                position, moved_at = self.position, loop.time()
            elif loop.time() - moved_at > _BEHIND_S:
                if await self._end() > position == self.position:
                    _log.info("reader lags: looking for a better server", stream=self._stream)
                    return
                moved_at = loop.time()

    async def _end(self) -> int:
        """Where the log ends, or 0 where nobody says so."""
        try:
            return (await leader.state(self._bus, self._stream, timeout_s=_ATTACH_S)).last
        except BusUnavailable:
            return 0

    async def _ask(self) -> None:
        """Top up what the server may send, unless paused."""
        if self._paused or self._asked > _WINDOW // 2:
            return
        self._asked += _WINDOW
        request = b'{"batch":%d,"max_bytes":%d,"expires":%d,"idle_heartbeat":%d}' % (
            _WINDOW,
            _WINDOW_BYTES,
            _EXPIRES_S * 10**9,
            int(_HEARTBEAT_S * 10**9),
        )
        assert self._subscription is not None  # noqa: S101 -- set by _attach, the only way here
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}"
        await self._bus.client.publish(subject, request, reply=self._subscription.subject)

    async def _on_message(self, generation: int, message: Msg) -> None:
        if generation != self._generation or self._broken.is_set():
            return
        self._silent_beats = 0
        if not message.reply:
            await self._on_status(message)
            return
        tokens = message.reply.split(".")
        at = 5 if len(tokens) == _SHORT_REPLY_TOKENS else 7
        sequence, consumed = int(tokens[at]), int(tokens[at + 1])
        if consumed != self._consumed + 1:
            # A gap in the consumer's own count: something was lost on the way here. Begin again after `position`.
            self._broken.set()
            return
        if sequence > self.position + 1 and sequence != self._gap:
            self._gap = sequence
            self._broken.set()
            return
        self._consumed = consumed
        self._asked -= 1
        # Others are those that were asked of the leader while the consumer was being made.
        if sequence <= self.position or self._take(
            Entry(
                sequence,
                int(tokens[at + 2]) // 1_000_000,
                message.subject,
                message.data,
                path_of(message.headers),
            )
        ):
            await self._ask()

    async def _on_status(self, message: Msg) -> None:
        headers = message.headers or {}
        status = headers.get("Status", "")
        if status == "100":
            return
        pending = headers.get("Nats-Pending-Messages")
        if status in ("408", "409") and pending is not None:
            # This pull ended (expired, or its bytes are used up); what it still owed will not come.
            self._asked = max(0, self._asked - int(pending))
            await self._ask()
            return
        self._broken.set()

    async def _drop_subscription(self) -> None:
        if self._subscription is not None and not self._bus.client.is_closed:
            try:
                await self._subscription.unsubscribe()
            except nats.errors.Error as error:
                _log.debug("unsubscribe", reason=reason(error))
        self._subscription = None
