"""The writing side of the logs: group commit, and the fence.

Both writers send what there is as soon as there is anything, up to `MAX_BATCH` lines a message and `WINDOW` messages in
flight, without any timer: one line alone goes out at once, and under load lines gather while earlier messages are
being written. `on_durable` is called, in order, once the server has a message on disk; nobody should act on a line before.

`FencedWriter` is for the logs with one writer: each message names the sequence it expects to follow, so the server
refuses it if anybody else wrote. What it tells nobody is whether it *should* lead; see `bus.lease`.
`OpenWriter` is for the logs with many writers: each message has an id, so that a retry after a lost answer is stored once.
"""

import asyncio
import secrets
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import nats.errors
import nats.js.errors
import structlog

from bus.acks import FULL, NO_STREAM, UNSENT, StreamRefusal
from bus.connection import Bus
from bus.errors import (
    BusError,
    BusUnavailable,
    Fenced,
    LogFull,
    Malformed,
    Stopped,
    StreamMissing,
    reason,
)
from bus.wire import MAX_LINE_BYTES, join_lines

__all__ = ["MAX_BATCH", "WINDOW", "FencedWriter", "OpenWriter", "Writer"]

_log = structlog.get_logger("bus.writer")

MAX_BATCH = 128
"""Lines in a message at most: enough to make a durable write cheap, few enough to keep latency low."""
WINDOW = 4
"""Messages in flight at most."""
_MAX_BATCH_BYTES = 512 * 1024
_ACK_TIMEOUT_S = 5.0
_RETRY_S = 0.25
_ADVICE = "set the cluster up with `ambient up`, or correct AMBIENT_CLUSTER"

Seal = Callable[[Sequence[bytes]], bytes]


@dataclass(slots=True, eq=False)
class _Batch[T]:
    """One message of the log: its lines, who waits for them, and the answer to come."""

    body: bytes
    tokens: list[T]
    expected: int = 0
    message_id: str = ""
    answer: asyncio.Future[int] | None = field(default=None, repr=False)


class Writer[T](ABC):
    """What both writers share. `T` is whatever the owner wants back with `on_durable(sequence, tokens)`.

    The tokens are in the order of the lines, so line `i` of that message carries `tokens[i]`.
    """

    def __init__(
        self,
        bus: Bus,
        stream: str,
        subject: str,
        *,
        on_durable: Callable[[int, list[T]], None],
        seal: Seal = join_lines,
    ) -> None:
        self._bus = bus
        self._stream = stream
        self._subject = subject
        self._on_durable = on_durable
        self._seal = seal
        self._waiting: deque[tuple[bytes, T]] = deque()
        self._in_flight: deque[_Batch[T]] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        """How much is on its way."""
        name = type(self).__name__
        return f"{name}({self._subject}, waiting={len(self._waiting)}, in_flight={len(self._in_flight)})"

    @property
    def backlog(self) -> int:
        """Lines that have not yet been sent."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin to write, in the background."""
        self._bus.on_reconnect(self._doubt_all)
        self._task = asyncio.create_task(self._run(), name=f"write {self._stream}")

    def append(self, line: bytes, token: T) -> None:
        """Queue one line; never blocks. Raises what ended the writer (`Fenced`), `Stopped` after `stop`.

        Raises `Malformed` for a line that fits into no message: queued, it would be tried for ever and hold up the rest.
        """
        self._raise_if_ended()
        if len(line) > MAX_LINE_BYTES:
            raise Malformed("", f"a line holds at most {MAX_LINE_BYTES} bytes, this one has {len(line)}")
        self._waiting.append((line, token))
        self._idle.clear()
        self._wake.set()

    async def flushed(self) -> None:
        """Wait until everything appended so far is durable; raises what ended the writer before that."""
        await self._idle.wait()
        if self._waiting or self._in_flight:
            self._raise_if_ended()

    async def ended(self) -> None:
        """Wait for the writer's end, which is `stop` or an error that this raises (`Fenced`, `StreamMissing`)."""
        if self._task is not None:
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.result()

    def _raise_if_ended(self) -> None:
        if self._task is None or not self._task.done():
            return
        if self._task.cancelled():
            raise Stopped(f"{self!r} was stopped: start a new one")
        self._task.result()

    async def stop(self) -> None:
        """Stop writing; lines not yet durable stay unsent or undecided."""
        if self._task is None:
            return
        self._bus.forget_reconnect(self._doubt_all)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._doubt_all()

    def _doubt_all(self) -> None:
        """The connection was lost: answers under way will not come, so do not wait for their time-outs."""
        for batch in self._in_flight:
            if batch.answer is not None:
                batch.answer.cancel()

    async def _run(self) -> None:
        try:
            while True:
                await self._fill_window()
                if not self._in_flight:
                    self._idle.set()
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                await self._settle_first()
        finally:
            self._idle.set()

    async def _fill_window(self) -> None:
        while self._waiting and len(self._in_flight) < WINDOW:
            batch = self._gather()
            self._in_flight.append(batch)
            await self._send(batch)

    def _gather(self) -> _Batch[T]:
        lines: list[bytes] = []
        tokens: list[T] = []
        size = 0
        while self._waiting and len(lines) < MAX_BATCH:
            line, token = self._waiting[0]
            size += len(line) + 1
            if lines and size > _MAX_BATCH_BYTES:
                break
            self._waiting.popleft()
            lines.append(line)
            tokens.append(token)
        return self._number(_Batch(self._seal(lines), tokens))

    async def _send(self, batch: _Batch[T]) -> None:
        batch.answer = await self._bus.acks.publish(self._subject, batch.body, self._headers(batch))

    async def _settle_first(self) -> None:
        """Wait for the oldest message's answer, sending more as lines come in."""
        batch = self._in_flight[0]
        assert batch.answer is not None  # noqa: S101 -- _send sets it
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _ACK_TIMEOUT_S
        while not batch.answer.done() and (left := deadline - loop.time()) > 0:
            events: list[asyncio.Future[Any]] = [batch.answer]
            if len(self._in_flight) < WINDOW:
                self._wake.clear()
                events.append(asyncio.ensure_future(self._wake.wait()))
            await asyncio.wait(events, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            for wake in events[1:]:
                wake.cancel()
            await self._fill_window()
        try:
            if not batch.answer.done():
                batch.answer.cancel()
                raise TimeoutError  # noqa: TRY301 -- handled as any other lack of an answer
            sequence = batch.answer.result()
        except (TimeoutError, asyncio.CancelledError, StreamRefusal) as error:
            await self._recover(error)
        else:
            self._in_flight.popleft()
            self._on_durable(sequence, batch.tokens)

    async def _last(self) -> int | None:
        """The stream's last sequence, or None where the server knows no such stream; raises nats-py's errors.

        "No responders" alone does not say so: a stream that is just electing its leader has none either.
        """
        try:
            return (await self._bus.js.stream_info(self._stream)).state.last_seq
        except nats.js.errors.NotFoundError:
            return None

    @abstractmethod
    def _number(self, batch: _Batch[T]) -> _Batch[T]:
        """Give a new batch its place or its id."""

    @abstractmethod
    def _headers(self, batch: _Batch[T]) -> dict[str, str]:
        """The headers that make this write safe."""

    @abstractmethod
    async def _recover(self, error: BaseException) -> None:
        """The oldest batch has no good answer: bring `_in_flight` back into a known state, or raise."""

    async def _resend(self) -> None:
        """Send everything in flight again, in order, after a pause."""
        for batch in self._in_flight:
            if batch.answer is not None and not batch.answer.done():
                batch.answer.cancel()
            elif batch.answer is not None and not batch.answer.cancelled():
                batch.answer.exception()  # retrieved: it is answered by sending again
        await asyncio.sleep(_RETRY_S)
        for batch in self._in_flight:
            await self._send(batch)


class FencedWriter[T](Writer[T]):
    """The one writer of a log, beginning after sequence `last`.

    Ends with `Fenced` when another writer's message is where its own should be. A lost answer is resolved by
    reading the log: either the very bytes are there, or they are sent again.
    """

    def __init__(
        self,
        bus: Bus,
        stream: str,
        subject: str,
        *,
        last: int,
        on_durable: Callable[[int, list[T]], None],
        seal: Seal = join_lines,
    ) -> None:
        super().__init__(bus, stream, subject, on_durable=on_durable, seal=seal)
        self._next = last + 1

    def _number(self, batch: _Batch[T]) -> _Batch[T]:
        batch.expected = self._next
        self._next += 1
        return batch

    def _headers(self, batch: _Batch[T]) -> dict[str, str]:
        return {"Nats-Expected-Last-Sequence": str(batch.expected - 1)}

    async def _recover(self, error: BaseException) -> None:
        if isinstance(error, StreamRefusal) and error.code in FULL:
            _log.error(
                "log full: waiting for room", stream=self._stream, advice="raise max_bytes or trim the log"
            )
        # Whatever was said, the log itself knows: a refusal for the sequence may follow our own write whose answer was lost.
        batch = self._in_flight[0]
        stored = await self._stored(batch.expected)
        if stored is None:
            await self._resend()
        elif stored == batch.body:
            self._in_flight.popleft()
            self._on_durable(batch.expected, batch.tokens)
        else:
            raise Fenced(self._stream, batch.expected)

    async def _stored(self, sequence: int) -> bytes | None:
        """The bytes at `sequence`, or None where the log does not reach that far; waits for a server to ask."""
        while True:
            try:
                last = await self._last()
                if last is None:
                    raise StreamMissing(f"{self._stream} does not exist: {_ADVICE}")
                if last < sequence - 1:
                    raise Fenced(self._stream, sequence)  # the log was cut behind our back
                if last < sequence:
                    return None
                return (await self._bus.js.get_msg(self._stream, seq=sequence)).data or b""
            except nats.js.errors.NotFoundError:
                raise Fenced(self._stream, sequence) from None  # removed, so it was never ours to rely on
            except (TimeoutError, nats.errors.Error) as error:
                _log.debug("asking the log", stream=self._stream, reason=reason(error))
                await asyncio.sleep(_RETRY_S)


class OpenWriter[T](Writer[T]):
    """One of many writers of a log. It retries for ever, except where the log is full or missing.

    Then `on_refused(error, tokens)` decides: True to keep trying (an outbox), False to give these lines up
    (a client, which tells its user). Without `on_refused` it keeps trying.
    """

    def __init__(
        self,
        bus: Bus,
        stream: str,
        subject: str,
        *,
        on_durable: Callable[[int, list[T]], None],
        seal: Seal = join_lines,
        on_refused: Callable[[BusError, list[T]], bool] | None = None,
    ) -> None:
        super().__init__(bus, stream, subject, on_durable=on_durable, seal=seal)
        self._on_refused = on_refused
        self._name = secrets.token_hex(8)
        self._sent = 0

    def _number(self, batch: _Batch[T]) -> _Batch[T]:
        # Not the digest of the body: two equal submissions without an id are two tasks.
        self._sent += 1
        batch.message_id = f"{self._name}-{self._sent}"
        return batch

    def _headers(self, batch: _Batch[T]) -> dict[str, str]:
        return {"Nats-Msg-Id": batch.message_id}

    async def _recover(self, error: BaseException) -> None:
        refusal = await self._refusal(error)
        if refusal is not None and self._on_refused is not None:
            batch = self._in_flight[0]
            if not self._on_refused(refusal, batch.tokens):
                self._in_flight.popleft()
                return
        await self._resend()

    async def _refusal(self, error: BaseException) -> BusError | None:
        """The error to tell a person, or None for a mere lack of an answer."""
        if not isinstance(error, StreamRefusal) or error.code == UNSENT or not self._bus.is_connected:
            return None
        if error.code in FULL:
            return LogFull(
                f"{self._stream} is full, nothing was stored: wait for it to drain, or raise its max_bytes"
            )
        if error.code == NO_STREAM:
            try:
                missing = await self._last() is None
            except (TimeoutError, nats.errors.Error):
                return None
            return StreamMissing(f"no stream takes {self._subject}: {_ADVICE}") if missing else None
        return BusUnavailable(f"{self._stream} refused a write: {error.description}")
