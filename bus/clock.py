"""The time as the servers have it, whatever the clock of this machine says: what the logs are stamped with, and services count by.

Guarantees that `now_ms` never jumps: it is the server's time as of the first look, carried on by the monotonic clock, which nobody sets. What
lasts is measured by it (silence, leases, pauses). A server whose clock is set later is followed by `ahead_ms`, which is for points in time that
somebody named (deadlines). So a service on a machine whose clock is wrong, or is put right, neither gives nodes up, nor forgets, nor waits.
"""

import time
from collections.abc import Callable

from bus import leader
from bus.connection import Bus

__all__ = ["ServerClock"]


class ServerClock:
    """One service's clock. Before the first `look` it shows this machine's time.

    `instead` is another clock (seconds since the epoch), which is then followed alone: no server is asked.
    """

    def __init__(
        self,
        bus: Bus,
        log: str = "tasks",
        *,
        instead: Callable[[], float] | None = None,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bus = bus
        self._stream = bus.subjects.stream(log)
        self._steady = instead or steady
        self._is_own = instead is not None
        self._offset_s = 0.0 if self._is_own else time.time() - steady()
        self._looked = self._is_own
        self.ahead_ms = 0
        """By how much the server's time is ahead of `now_ms`, or behind it (negative), as of the last look."""

    def __repr__(self) -> str:
        """Whose time it is, and how far that has moved away."""
        return f"ServerClock({self._stream}, looked={self._looked}, ahead_ms={self.ahead_ms})"

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return int((self._steady() + self._offset_s) * 1000)

    async def look(self) -> None:
        """Ask the leader of the log for its time. Raises `StreamMissing`, `BusUnavailable`."""
        if self._is_own:
            return
        begun_s = self._steady()
        at_s = (await leader.state(self._bus, self._stream)).at_s
        if at_s is None:
            return  # a server that tells no time
        # It was this time somewhere between question and answer.
        offset_s = at_s - (begun_s + self._steady()) / 2
        if not self._looked:
            self._looked, self._offset_s = True, offset_s
        self.ahead_ms = round((offset_s - self._offset_s) * 1000)
