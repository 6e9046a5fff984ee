"""Sending what the core wants told: assignments to nodes, notices to clients; and verdicts that are asked for a second time.

Guarantees order per subject, and that a bus that is away or slow costs deliveries, never the leader's turn: what is not delivered is found
by the next heartbeat and sent again, and a client that missed a notice asks.
"""

import asyncio
from collections import deque
from collections.abc import Iterable

import msgspec
import structlog

from bus.connection import Bus
from bus.errors import BusUnavailable, Malformed, reason
from bus.leader import stored
from bus.wire import split_lines

__all__ = ["Courier"]

_log = structlog.get_logger("coordinator.courier")
_MAX_QUEUED = 65_536


class _Named(msgspec.Struct, tag="verdict", tag_field="kind"):
    task: str


_NAMED = msgspec.json.Decoder(_Named)


class Courier:
    """Publishes in the background; `dropped` counts what could not be sent."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._queue: deque[tuple[str, bytes]] = deque()
        self._again: dict[int, set[str]] = {}
        self._wake = asyncio.Event()
        self.dropped = 0

    def __repr__(self) -> str:
        """How much waits."""
        return f"Courier(queued={len(self._queue)}, again={len(self._again)}, dropped={self.dropped})"

    def send(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Publish these, in order."""
        self._queue.extend(messages)
        while len(self._queue) > _MAX_QUEUED:
            self._queue.popleft()
            self.dropped += 1
        if self._queue:
            self._wake.set()

    def repeat(self, verdicts: Iterable[tuple[str, int]]) -> None:
        """Publish these verdicts, (task, sequence in VERDICTS), again: their clients submitted the tasks again."""
        for task, sequence in verdicts:
            # By sequence: a batch that is submitted again is read again once, not once for each of its tasks.
            if sequence in self._again or len(self._again) < _MAX_QUEUED:
                self._again.setdefault(sequence, set()).add(task)
        if self._again:
            self._wake.set()

    async def run(self) -> None:
        """Publish for ever."""
        while True:
            self._wake.clear()
            await self.flush()
            if self._again:
                sequence = next(iter(self._again))
                await self._repeat(sequence, self._again.pop(sequence))
            else:
                await self._wake.wait()

    async def flush(self) -> None:
        """Publish all that is queued."""
        while self._queue:
            await self._publish(*self._queue.popleft())

    async def _publish(self, subject: str, body: bytes) -> None:
        try:
            await self._bus.publish(subject, body)
        except BusUnavailable as error:
            self.dropped += 1
            _log.debug("not delivered", subject=subject, reason=str(error))

    async def _repeat(self, sequence: int, tasks: set[str]) -> None:
        try:
            found = await stored(self._bus, self._bus.subjects.stream("verdicts"), sequence=sequence)
            lines = split_lines(found.data or b"") if found is not None else []
        except (BusUnavailable, Malformed) as error:
            _log.debug("verdicts not repeated", sequence=sequence, reason=reason(error))
            return
        for line in lines:
            task = _judged(line)
            if task in tasks:
                await self._publish(self._bus.subjects.done(task), line)


def _judged(line: bytes) -> str:
    """The task of a verdict, empty for any other line."""
    try:
        return _NAMED.decode(line).task
    except msgspec.DecodeError:
        return ""
