"""Carries submissions to the log and brings verdicts back: the only part of the SDK that talks to the bus for long.

Guarantees: an entry handed over ends in exactly one call of its sink, as long as the client is open. A submission is written
until it is durable or refused with a reason; notices of verdicts are heard and, since they are sent at most once, lost ones
are asked for at the verifier (after a reconnect, and ever more patiently while a task is open); a lost rejection
is found by asking the coordinator. Waiting itself, and what it is worth, is left to the sinks.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
import structlog

from ambient.errors import (
    ClientClosed,
    OutputUnavailable,
    TaskRejected,
    from_bus,
)
from ambient.inquiry import Inquiry
from ambient.outstanding import Entry, Outstanding
from ambient.room import Room
from ambient.verdict import TaskVerdict
from bus.blobs import Blobs
from bus.connection import Bus, Received
from bus.errors import BlobCorrupt, BlobMissing, BusError, LogFull, Malformed, Stopped, StreamMissing
from bus.messages import Pending, Refused, Verdict, VerdictLine
from bus.steps import STEPS, about, path_header
from bus.wire import decode, decoder, split_lines
from bus.writer import OpenWriter

__all__ = ["Courier"]

_log = structlog.get_logger("ambient")

_NOTICE: msgspec.json.Decoder[VerdictLine] = msgspec.json.Decoder(VerdictLine)
_ANSWER: msgspec.json.Decoder[Verdict | Pending] = msgspec.json.Decoder(Verdict | Pending)
_REFUSED = decoder(Refused)
_ENVELOPE = b'{"payloadType"'
_ERROR = b'{"kind":"error"'

_QUESTION_S = 2.0
_ASKED_TWICE = 2
"""Questions answered "pending" before the coordinator is asked whether it knows the task at all."""
_WHY_AT_ONCE = 8
_REBIRTH_S = 10.0
"""After a reconnect, streams may be missing for a moment: the server takes connections before it has recovered them."""
_LAST_CANCELS_S = 1.0
_FETCHES = 8
_FETCH_TRIES = 5


class Courier:
    """One client's traffic; `name` is the client's token, `path` how its tasks are said to have come in (`bus.steps`)."""

    def __init__(self, bus: Bus, name: str, path: str) -> None:
        self.bus = bus
        self.name = name
        self._path = path
        self.blobs = Blobs(bus, name)
        self.outstanding = Outstanding(name)
        self._inquiry = Inquiry(bus, self.outstanding, self._settle)
        self._tasks: OpenWriter[Entry] = OpenWriter(
            bus,
            bus.subjects.stream("tasks"),
            bus.subjects.submit(name),
            on_durable=self._on_durable,
            on_refused=self._on_not_stored,
            headers=path_header(path),
        )
        self._cancels: OpenWriter[asyncio.Future[None] | None] = OpenWriter(
            bus,
            bus.subjects.stream("tasks"),
            bus.subjects.cancel(name),
            on_durable=_tell_stored,
            on_refused=_tell_not_stored,
        )
        self._loop = asyncio.get_running_loop()
        self._returned_at = float("-inf")
        self._room = Room(bus)
        self._fetching = asyncio.Semaphore(_FETCHES)
        self._cancelling: set[asyncio.Future[None]] = set()
        self._background: set[asyncio.Task[None]] = set()
        self._closed = False

    async def open(self) -> None:
        """Begin to listen, write and ask."""
        subjects = self.bus.subjects
        await self.bus.subscribe(subjects.done(self.name), self._on_done)
        await self.bus.subscribe(subjects.done(f"{self.name}.>"), self._on_done)
        await self.bus.subscribe(subjects.rejected(self.name), self._on_rejected)
        self.bus.on_reconnect(self._on_return)
        self._tasks.start()
        self._cancels.start()
        self.spawn(self._inquiry.run(), "ask for verdicts")

    async def close(self) -> None:
        """Stop; every open entry is told that the client closed. The tasks themselves go on."""
        if self._closed:
            return
        self._closed = True
        await self._send_cancels()
        self.bus.forget_reconnect(self._on_return)
        await self._tasks.stop()
        await self._cancels.stop()
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        for entry in self.outstanding.take_all():
            entry.sink.broken(entry, ClientClosed(f"the client was closed before {entry.name} had a verdict"))

    async def _send_cancels(self) -> None:
        """Whoever leaves a map early and closes wants the rest cancelled; without a bus nobody waits for that."""
        try:
            async with asyncio.timeout(_LAST_CANCELS_S if self.bus.is_connected else 0):
                await self._cancels.flushed()
        except (TimeoutError, BusError) as error:
            _log.debug("closing with cancels unsent", reason=str(error) or type(error).__name__)
        for waiting in list(self._cancelling):
            if not waiting.done():
                waiting.set_exception(ClientClosed("the client was closed before the cancel was stored"))

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run something beside, for as long as the client is open."""
        task = asyncio.create_task(work, name=name)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def submit(self, entry: Entry) -> None:
        """Write this submission and expect its verdict."""
        self._check_open()
        self._tasks.append(entry.line, entry)
        self.outstanding.add(entry)

    async def accepting(self) -> None:
        """Wait while more is to be written than this client may hold: the connection is down, or slow."""
        try:
            await self._tasks.accepting()
        except Stopped:
            self._check_open()
            raise

    def again(self, entry: Entry) -> None:
        """Submit once more what was refused for want of room."""
        entry.open = True
        self.submit(entry)

    def expect(self, entry: Entry) -> None:
        """Expect the verdict of a task that was submitted before, or by somebody else."""
        self._check_open()
        self.outstanding.add(entry)
        self._inquiry.at_once(entry)

    def forget(self, entry: Entry) -> None:
        """Nobody waits for this entry any more."""
        if entry.open:
            self.outstanding.forget(entry)

    def cancel(self, task_id: str, stored: asyncio.Future[None] | None = None) -> None:
        """Ask for a task of this client to be cancelled; `stored` is told once that request is durable."""
        self._check_open()
        if stored is not None:
            self._cancelling.add(stored)
            stored.add_done_callback(self._cancelling.discard)
        self._cancels.append(b'{"id":"%s"}' % task_id.encode(), stored)

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosed("the client is closed: use it within `async with ambient.connect(...)`")

    def _on_durable(self, sequence: int, entries: list[Entry]) -> None:
        now = self._loop.time()
        refusals = self.outstanding.stored(sequence, entries)
        for entry in entries:
            if entry.open:
                # An id that the caller chose may be that of an old task, of whose verdict no notice will come.
                self._inquiry.later(entry, now, soon=bool(entry.digest))
            entry.sink.stored(entry)
        if STEPS.on:
            for entry in entries:
                STEPS.tell("asked", **self._about(entry.name, self._path), sequence=sequence)
        for entry, refused in refusals:
            _reject(entry, refused)

    def _on_not_stored(self, error: BusError, entries: list[Entry]) -> bool:
        reborn = self._loop.time() - self._returned_at < _REBIRTH_S
        if reborn and isinstance(error, StreamMissing):
            return True
        ended = self.outstanding.not_stored(entries)
        if isinstance(error, LogFull):
            self.spawn(self._tell_full(ended, str(error)), "ask for room")
            return False
        for entry in ended:
            entry.sink.not_stored(entry, from_bus(error))
        return False

    async def _tell_full(self, entries: list[Entry], refusal: str) -> None:
        """Tell whoever waits for these that they were refused, and when to submit them again."""
        try:
            error = await self._room.explain(refusal)
        except asyncio.CancelledError:
            for entry in entries:
                entry.sink.broken(
                    entry, ClientClosed(f"the client was closed before {entry.name} was stored")
                )
            raise
        for entry in entries:
            entry.sink.not_stored(entry, error)

    async def _on_done(self, message: Received) -> None:
        body = message.data
        if body.startswith(_ENVELOPE):
            body = body.partition(b"\n")[2]
        try:
            lines: list[Any] = _NOTICE.decode_lines(body)
        except ValueError:
            lines = _readable(body, message.subject)
        for line in lines:
            if type(line) is Verdict:
                self._settle(line)

    async def _on_rejected(self, message: Received) -> None:
        try:
            refusals = [decode(line, _REFUSED) for line in split_lines(message.data)]
        except Malformed as error:
            _log.warning("a rejection that cannot be read", subject=message.subject, reason=str(error))
            return
        for refused in refusals:
            if (entry := self.outstanding.refused(refused)) is not None:
                _reject(entry, refused)

    def _on_return(self) -> None:
        self._returned_at = self._loop.time()
        self._inquiry.all_at_once()

    def _about(self, task: str, path: str) -> dict[str, str]:
        return about(self.bus.subjects.cluster, task, path)

    def _settle(self, verdict: Verdict) -> None:
        if STEPS.on:
            STEPS.tell("answered", **self._about(verdict.task, verdict.path), status=verdict.status)
        for entry, other_body in self.outstanding.settle(verdict):
            if other_body is not None:
                entry.sink.broken(entry, other_body)
            elif verdict.output is None and verdict.output_size and verdict.output_digest:
                self.spawn(self._fetch(entry, verdict), f"fetch {verdict.task}")
            else:
                entry.sink.settled(entry, verdict, None)

    async def _fetch(self, entry: Entry, verdict: Verdict) -> None:
        """Hand over a verdict whose output is a blob."""
        try:
            async with self._fetching:
                output = await self._blob(verdict.output_digest)
        except BusError as error:
            if verdict.status == "verified":
                reason = f"{verdict.task} is verified, but its output cannot be had: {error}"
                entry.sink.broken(entry, OutputUnavailable(reason, TaskVerdict(verdict)))
            else:
                named = self._about(verdict.task, verdict.path)
                _log.warning("output of a failed task not found", **named, reason=str(error))
                entry.sink.settled(entry, verdict, None)
        except asyncio.CancelledError:
            entry.sink.broken(
                entry, ClientClosed(f"the client was closed while the output of {entry.name} was fetched")
            )
            raise
        else:
            entry.sink.settled(entry, verdict, output)

    async def _blob(self, digest: str) -> bytes:
        for attempt in range(_FETCH_TRIES):
            try:
                return await self.blobs.get(digest.removeprefix("sha256:"))
            except (BlobMissing, BlobCorrupt, Malformed):
                raise
            except BusError as error:
                _log.debug("fetching an output again", digest=digest, reason=str(error))
                await asyncio.sleep(0.2 * 2**attempt)
        return await self.blobs.get(digest.removeprefix("sha256:"))


def _reject(entry: Entry, refused: Refused) -> None:
    entry.sink.broken(entry, TaskRejected(refused.field, refused.limit, task=entry.name))


def _readable(body: bytes, subject: str) -> list[Any]:
    """The lines of a notice that can be read; a newer peer may send others, too."""
    lines = []
    for line in body.splitlines():
        try:
            lines.append(decode(line, _NOTICE))
        except Malformed as error:
            _log.debug("a notice that cannot be read", subject=subject, reason=str(error))
    return lines


def _tell_stored(_: int, waiting: list[asyncio.Future[None] | None]) -> None:
    for future in waiting:
        if future is not None and not future.done():
            future.set_result(None)


def _tell_not_stored(error: BusError, waiting: list[asyncio.Future[None] | None]) -> bool:
    for future in waiting:
        if future is not None and not future.done():
            future.set_exception(from_bus(error))
    # A cancellation that nobody waits for is a courtesy: without room for it, the tasks just run.
    return not isinstance(error, LogFull | StreamMissing)
