"""The two writers of logs: the fenced one, which is alone, and the open one, which is one of many.

`FencedWriter` is for the logs with one writer: each message names the sequence it expects to follow and, as long as that is
in doubt, the very message, so the server refuses it if anybody else wrote. What it tells nobody is whether it *should* lead; see `bus.lease`.
`OpenWriter` is for the logs with many writers: each message has an id, so that a retry after a lost answer is stored once.
How both gather lines and report them durable: see `bus.commit`.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping

import structlog
from nats.js.api import RawStreamMsg

from bus import leader
from bus.acks import FULL, NO_STREAM, UNDECIDED, UNSENT, StreamRefusal
from bus.commit import RETRY_S, WINDOW, Batch, Seal, Writer
from bus.connection import Bus
from bus.errors import BusError, BusUnavailable, Fenced, LogFull, StreamMissing, reason
from bus.fence import Fence, Leadership
from bus.gate import FULL_LOG
from bus.wire import join_lines

__all__ = ["FencedWriter", "OpenWriter", "Writer"]

_log = structlog.get_logger("bus.writer")

_ADVICE = "set the cluster up with `ambient up`, or correct AMBIENT_CLUSTER"
_NO_ANSWER = UNDECIDED | {UNSENT}
"""What a server or our own connection says that leaves open whether the message is stored, or will be."""


class FencedWriter[T](Writer[T]):
    """The one writer of a log, beginning after sequence `last`; what it writes names `leadership`.

    Ends with `Fenced` when another writer's message is where its own should be. A lost answer is resolved by
    reading the log: either this writer's message is there, or it is sent again. The rules are `bus.fence`'s.
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
        leadership: Leadership | None = None,
    ) -> None:
        super().__init__(bus, stream, subject, on_durable=on_durable, seal=seal)
        self._fence = Fence(secrets.token_hex(8), last, leadership)
        self._window = 1

    async def _prepare(self) -> None:
        """Take a wider window where nothing is at stake: see `bus.fence`."""
        try:
            if not (await leader.state(self._bus, self._stream)).silent_s:
                self._window = WINDOW
        except StreamMissing:
            raise
        except BusUnavailable as error:
            _log.debug("one message at a time", stream=self._stream, reason=reason(error))

    def _number(self, batch: Batch[T]) -> Batch[T]:
        batch.expected = self._fence.number()
        return batch

    def _headers(self, batch: Batch[T]) -> dict[str, str]:
        return self._fence.headers(batch.expected, decided=batch is self._in_flight[0])

    async def _recover(self, error: BaseException) -> None:
        if isinstance(error, StreamRefusal) and error.code in FULL:
            self._complain(LogFull("the log is full: raise its max_bytes, or trim it"))
        # Whatever was said, the log itself knows: a refusal for the sequence may follow our own write whose answer was lost.
        batch = self._in_flight[0]
        stored = await self._stored(batch.expected)
        if stored is None:
            await self._resend()
        elif self._fence.wrote(stored.headers, stored.data or b"", batch.body):
            self._in_flight.popleft()
            self._on_durable(batch.expected, batch.tokens)
        else:
            raise Fenced(self._stream, batch.expected)

    async def _stored(self, sequence: int) -> RawStreamMsg | None:
        """The message at `sequence`, or None where the log does not reach that far; waits for a server to ask."""
        while True:
            try:
                end = await self._end()
                found = (
                    await leader.stored(self._bus, self._stream, sequence=sequence)
                    if end >= sequence
                    else None
                )
                if found is not None or end == sequence - 1:
                    return found
                # The log was cut behind our back; unless a leader said so that others have replaced.
                if await self._is_gone(sequence):
                    raise Fenced(self._stream, sequence)
            except StreamMissing:
                raise
            except BusUnavailable as error:
                _log.debug("asking the log", stream=self._stream, reason=reason(error))
                await asyncio.sleep(RETRY_S)

    async def _is_gone(self, sequence: int) -> bool:
        """Whether what was at `sequence`, or before it, is certainly no longer there: then it was never ours to rely on."""
        log = await leader.confirmed(self._bus, self._stream)
        if log.last < sequence:
            return log.last < sequence - 1
        return await leader.stored(self._bus, self._stream, sequence=sequence) is None


class OpenWriter[T](Writer[T]):
    """One of many writers of a log. It retries for ever, except where the log is full or missing.

    Then `on_refused(error, tokens)` decides: True to keep trying (an outbox), False to give these lines up
    (a client, which tells its user). Without `on_refused` it keeps trying. What was sent before and had no answer may be stored, so
    a gate that was shut meanwhile (`bus.gate`) is no reason to give it up. `headers` go with each message.
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
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(bus, stream, subject, on_durable=on_durable, seal=seal)
        self._on_refused = on_refused
        self._more = dict(headers or {})

    def _number(self, batch: Batch[T]) -> Batch[T]:
        # Not the digest of the body: two equal submissions without an id are two tasks. And nothing that can be guessed: ids count
        # for all writers of a log together, and whoever is first with the next one has this message acknowledged and thrown away.
        batch.message_id = secrets.token_hex(12)
        return batch

    def _headers(self, batch: Batch[T]) -> dict[str, str]:
        return {"Nats-Msg-Id": batch.message_id, **self._more}

    async def _recover(self, error: BaseException) -> None:
        batch = self._in_flight[0]
        refusal = await self._refusal(error)
        if refusal is not None:
            was_open = batch.doubtful and self._is_gate(error)
            if not was_open and self._on_refused is not None and not self._on_refused(refusal, batch.tokens):
                self._in_flight.popleft()
                return
            self._complain(refusal)
        await self._resend()

    async def _resend(self) -> None:
        """Send again what was refused or has no answer, after a pause in which answers may still come; what is stored is not asked for twice."""
        await asyncio.sleep(RETRY_S)
        for batch in self._in_flight:
            answer = batch.answer
            if answer is not None and answer.done() and not answer.cancelled():
                if answer.exception() is None:
                    continue
            elif answer is not None:
                batch.doubtful = True
                answer.cancel()
            await self._send(batch)

    def _is_gate(self, error: BaseException) -> bool:
        return isinstance(error, StreamRefusal) and error.stream == self._bus.subjects.stream(FULL_LOG)

    async def _refusal(self, error: BaseException) -> BusError | None:
        """The error to tell a person, or None for a mere lack of an answer."""
        if not isinstance(error, StreamRefusal) or error.code in _NO_ANSWER or not self._bus.is_connected:
            return None
        if self._is_gate(error):
            return LogFull(
                "the cluster is full and takes no new tasks: nothing was stored, submit again later"
            )
        if error.code in FULL:
            return LogFull(
                f"{self._stream} is full, nothing was stored: wait for it to drain, or raise its max_bytes"
            )
        if error.code == NO_STREAM:
            try:
                await self._end()
            except StreamMissing:
                return StreamMissing(f"no stream takes {self._subject}: {_ADVICE}")
            except BusUnavailable:
                _log.debug("no leader yet", stream=self._stream)
            return None
        return BusUnavailable(f"{self._stream} refused a write: {error.description}")
