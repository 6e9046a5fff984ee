"""When to submit again: asked of the coordinator once a submission was refused, and how long to wait then.

Guarantees that a client asks one question at a time, however many submissions were refused at once, and none while nothing is refused; and
that who waits waits with jitter, longer each time, so that clients that were refused together do not return together.
"""

import asyncio
import random
import time

import structlog

from ambient.errors import DEFAULT_RETRY_S, LogFull
from bus.connection import Bus
from bus.errors import BusError
from bus.messages import RoomReply

__all__ = ["Patience", "Room"]

_log = structlog.get_logger("ambient")

_QUESTION_S = 2.0
_FRESH_S = 0.5
"""How long an answer holds for others that are refused."""
_GROWTH = 1.5
_MOST_TIMES = 2.0
"""Of what was told: beyond, a cluster that has room again would stand idle while its clients sleep."""


class Room:
    """Turns a refusal into the error that says when to try again."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._asking = asyncio.Lock()
        self._answer: RoomReply | None = None
        self._answered_at = float("-inf")

    async def explain(self, refusal: str) -> LogFull:
        """The error for a submission that was refused with these words."""
        async with self._asking:
            if time.monotonic() - self._answered_at > _FRESH_S:
                self._answer = await self._ask()
                self._answered_at = time.monotonic()
        room = self._answer
        if room is None or not room.full:
            return LogFull(refusal)
        retry_after_s = room.retry_after_ms / 1000 or DEFAULT_RETRY_S
        return LogFull(
            f"cluster {self._bus.subjects.cluster!r} is full ({room.full}): nothing was stored, "
            f"submit again in {retry_after_s:.0f} s",
            retry_after_s=retry_after_s,
        )

    async def _ask(self) -> RoomReply | None:
        try:
            return await self._bus.request(
                self._bus.subjects.service("coordinator", "room"), b"{}", RoomReply, timeout_s=_QUESTION_S
            )
        except BusError as error:
            _log.debug("nobody says when there is room", reason=str(error))
            return None


class Patience:
    """The pauses of one submitter. `deadline_s` (monotonic) is when it gives up; None: never. `refusal` is what it last waited for."""

    def __init__(self, deadline_s: float | None = None) -> None:
        self.refusal: LogFull | None = None
        self._deadline_s = deadline_s
        self._refusals = 0

    def stored(self) -> None:
        """There was room: the next refusal is a first one."""
        self._refusals = 0
        self.refusal = None

    async def wait(self, error: LogFull) -> None:
        """Wait as long as the refusal says, or longer; raises it where that is beyond the deadline."""
        self.refusal = error
        if self._refusals == 0:
            _log.warning("waiting for room", advice=str(error))
        pause_s = error.retry_after_s * min(_GROWTH**self._refusals, _MOST_TIMES)
        pause_s *= random.uniform(0.75, 1.25)  # noqa: S311 -- jitter
        self._refusals = min(self._refusals + 1, 20)
        if self._deadline_s is not None and time.monotonic() + pause_s > self._deadline_s:
            raise error
        await asyncio.sleep(pause_s)
