"""Telling clients of verdicts, once they are durable.

The answer takes the form of the question: a task submitted alone is noticed alone on `done.<client>.<id>`, tasks submitted together
are noticed together, in batches of lines on `done.<client>`. Notices are not durable: whoever misses one asks `svc.verifier.verdict`
or reads VERDICTS. So a bus that is away costs notices, never verdicts, and nothing waits for them.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

import structlog

from bus.connection import Bus
from bus.errors import BusUnavailable
from bus.messages import Verdict
from bus.subjects import Subjects
from bus.wire import MAX_LINES, join_lines
from verifier.core import Emission

__all__ = ["MAX_NOTICE_BYTES", "Notices", "compose"]

MAX_NOTICE_BYTES = 512 * 1024
"""A batch of notices closes at this size: half of what a server takes in one message."""
_MAX_QUEUED = 4096

_log = structlog.get_logger("verifier.notices")

type Notice = tuple[str, bytes]


def compose(subjects: Subjects, emissions: Sequence[Emission]) -> list[Notice]:
    """The notices, (subject, body), of the lines of one durable message, in the order of its verdicts."""
    notices: list[Notice] = []
    gathered: dict[str, list[bytes]] = {}
    sizes: dict[str, int] = {}
    for line, message, together in emissions:
        if type(message) is not Verdict:
            continue
        if not together:
            notices.append((subjects.done(message.task), line))
            continue
        client = message.task.partition(".")[0]
        batch = gathered.setdefault(client, [])
        size = sizes.get(client, 0) + len(line) + 1
        if batch and (size > MAX_NOTICE_BYTES or len(batch) == MAX_LINES):
            notices.append((subjects.done(client), join_lines(batch)))
            batch = gathered[client] = []
            size = len(line) + 1
        batch.append(line)
        sizes[client] = size
    notices.extend((subjects.done(client), join_lines(batch)) for client, batch in gathered.items())
    return notices


class Notices:
    """Publishes notices in the background, in order; at most `_MAX_QUEUED` wait, then the oldest are dropped."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._queue: deque[Notice] = deque(maxlen=_MAX_QUEUED)
        self._wake = asyncio.Event()
        self.dropped = 0

    def send(self, emissions: Sequence[Emission]) -> None:
        """Queue the notices of one durable message."""
        notices = compose(self._bus.subjects, emissions)
        self.dropped += max(0, len(self._queue) + len(notices) - _MAX_QUEUED)
        self._queue.extend(notices)
        self._wake.set()

    async def run(self) -> None:
        """Publish for ever."""
        while True:
            self._wake.clear()
            await self.flush()
            await self._wake.wait()

    async def flush(self) -> None:
        """Publish all that is queued."""
        while self._queue:
            subject, body = self._queue.popleft()
            try:
                await self._bus.publish(subject, body)
            except BusUnavailable as error:
                self.dropped += 1
                _log.warning("notice dropped", subject=subject, reason=str(error))
