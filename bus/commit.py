"""Group commit: what every writer of a log does, whoever else may write to it.

Sends what there is as soon as nothing is in flight, up to `MAX_BATCH` lines a message, and up to `WINDOW` messages at a time
where enough waits to be worth another one; no timer. So one line alone goes out at once, and under load lines gather while
earlier messages are being written.
What waits is the owner's: one that cannot bound it otherwise awaits `accepting` before each `append`.
`on_durable` is called, in order, once the server has a message on disk; nobody should act on a line before.

Left to the two writers in `bus.writer`: what makes a write safe, and what to do where it was not acknowledged.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from bus import leader
from bus.acks import StreamRefusal
from bus.connection import Bus
from bus.errors import BusError, Malformed, Stopped
from bus.wire import MAX_LINE_BYTES, join_lines

__all__ = ["HELD_BYTES", "HELD_LINES", "MAX_BATCH", "RETRY_S", "WINDOW", "Batch", "Seal", "Writer"]

_log = structlog.get_logger("bus.writer")

MAX_BATCH = 128
"""Lines in a message at most: enough to make a durable write cheap, few enough to keep latency low."""
WINDOW = 4
"""Messages in flight at most; a writer may be bound to fewer."""
HELD_LINES = 16_384
HELD_BYTES = 32 * 1024 * 1024
"""What may wait, unsent, before `accepting` makes its caller wait, too: many full batches, and little memory."""
_MAX_BATCH_BYTES = 512 * 1024
_WORTH_LINES = 32
_WORTH_BYTES = 64 * 1024
"""What must wait before a further message goes out beside one in flight: a message costs far more than a line."""
_ACK_TIMEOUT_S = 2.0
"""How long an answer is waited for: one that got lost with its server must not cost much more than the election of another."""
_ASK_S = 0.5
RETRY_S = 0.25

Seal = Callable[[Sequence[bytes]], bytes]


@dataclass(slots=True, eq=False)
class Batch[T]:
    """One message of the log: its lines, who waits for them, and the answer to come."""

    body: bytes
    tokens: list[T]
    expected: int = 0
    message_id: str = ""
    doubtful: bool = False
    """Whether it was sent and had no answer: it may be stored."""
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
        self._window = WINDOW
        self._waiting: deque[tuple[bytes, T]] = deque()
        self._waiting_bytes = 0
        self._in_flight: deque[Batch[T]] = deque()
        self._wake = asyncio.Event()
        self._sent_some = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        self._complained = False

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
        self._waiting_bytes += len(line)
        self._idle.clear()
        if self._is_worth_sending():
            self._wake.set()

    @property
    def is_idle(self) -> bool:
        """Whether everything appended so far is durable, or was given up."""
        return not self._waiting and not self._in_flight

    @property
    def _is_laden(self) -> bool:
        return len(self._waiting) >= HELD_LINES or self._waiting_bytes >= HELD_BYTES

    async def accepting(self) -> None:
        """Wait until less waits than the bounds; raises what ended the writer. Costs nothing where there is room."""
        while self._is_laden:
            self._raise_if_ended()
            self._sent_some.clear()
            await self._sent_some.wait()

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
            await self._prepare()
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
            self._sent_some.set()

    async def _prepare(self) -> None:  # noqa: B027 -- most have nothing to
        """What a writer finds out before its first message."""

    def _is_worth_sending(self) -> bool:
        """Whether what waits should go out now, or rather gather until a message under way is acknowledged."""
        if not self._in_flight:
            return bool(self._waiting)
        much = len(self._waiting) >= _WORTH_LINES or self._waiting_bytes >= _WORTH_BYTES
        return much and len(self._in_flight) < self._window

    async def _fill_window(self) -> None:
        while self._is_worth_sending():
            batch = self._gather()
            self._in_flight.append(batch)
            await self._send(batch)

    def _gather(self) -> Batch[T]:
        lines: list[bytes] = []
        tokens: list[T] = []
        size = 0
        while self._waiting and len(lines) < MAX_BATCH:
            line, token = self._waiting[0]
            size += len(line) + 1
            if lines and size > _MAX_BATCH_BYTES:
                break
            self._waiting.popleft()
            self._waiting_bytes -= len(line)
            lines.append(line)
            tokens.append(token)
        self._sent_some.set()
        return self._number(Batch(self._seal(lines), tokens))

    async def _send(self, batch: Batch[T]) -> None:
        batch.answer = await self._bus.acks.publish(self._subject, batch.body, self._headers(batch))

    async def _settle_first(self) -> None:
        """Wait for the oldest message's answer, sending more as lines come in."""
        batch = self._in_flight[0]
        assert batch.answer is not None  # noqa: S101 -- _send sets it
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _ACK_TIMEOUT_S
        while not batch.answer.done() and (left := deadline - loop.time()) > 0:
            events: list[asyncio.Future[Any]] = [batch.answer]
            if len(self._in_flight) < self._window:
                self._wake.clear()
                events.append(asyncio.ensure_future(self._wake.wait()))
            await asyncio.wait(events, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            for wake in events[1:]:
                wake.cancel()
            await self._fill_window()
        try:
            if not batch.answer.done():
                batch.answer.cancel()
                self._bus.doubt()
                raise TimeoutError  # noqa: TRY301 -- handled as any other lack of an answer
            sequence = batch.answer.result()
        except (TimeoutError, asyncio.CancelledError, StreamRefusal) as error:
            await self._recover(error)
        else:
            self._complained = False
            self._in_flight.popleft()
            self._on_durable(sequence, batch.tokens)

    def _complain(self, error: BusError) -> None:
        """Log what keeps the writer from writing, once until it writes again: it tries four times a second."""
        if not self._complained:
            self._complained = True
            _log.error("a log takes nothing: trying on", stream=self._stream, reason=str(error))

    async def _end(self) -> int:
        """The stream's last sequence; raises `StreamMissing` where the cluster knows no such stream, `BusUnavailable` soon where nobody answers.

        "No responders" alone does not say that it is missing: a stream that is just electing its leader has none either.
        """
        return (await leader.state(self._bus, self._stream, timeout_s=_ASK_S)).last

    @abstractmethod
    def _number(self, batch: Batch[T]) -> Batch[T]:
        """Give a new batch its place or its id."""

    @abstractmethod
    def _headers(self, batch: Batch[T]) -> dict[str, str]:
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
        await asyncio.sleep(RETRY_S)
        for batch in self._in_flight:
            await self._send(batch)
