"""Reading the five logs into a `View`, for ever: the I/O around `gateway.view.core`.

Guarantees that the view follows each log in order, through restarts of servers and cuts of logs. It begins at most `_BEHIND` entries before a log's
end: what is older is read from the logs when it is asked for. A cut beyond where it stood begins that log anew.
"""

import asyncio
from functools import partial

import structlog

from bus.connection import Bus
from bus.errors import BusUnavailable, StreamMissing, Trimmed, reason
from bus.reader import LogReader
from bus.streams import extent
from gateway.view.core import View
from gateway.view.ring import ALL_LOGS

__all__ = ["Following"]

_log = structlog.get_logger("gateway.view")

_BEHIND = 20_000
_RETRY_S = 0.5


class Following:
    """The readers of one gateway. `moved` is set, and made anew, with every entry: who waits for news waits for it."""

    def __init__(self, bus: Bus, view: View) -> None:
        self.view = view
        self.moved = asyncio.Event()
        self._bus = bus
        self._readers: dict[str, LogReader] = {}
        self._targets: dict[str, int] = {}
        self._caught_up = asyncio.Event()
        self._told = False

    def __repr__(self) -> str:
        """How far."""
        return f"Following({self.view!r}, caught_up={self.is_caught_up})"

    @property
    def is_caught_up(self) -> bool:
        """Whether everything is read that the logs held when this began."""
        return self._caught_up.is_set()

    @property
    def positions(self) -> dict[str, int]:
        """The last entry read of each log."""
        return {log: ring.last for log, ring in self.view.rings.items()}

    async def run(self) -> None:
        """Read until cancelled; raises only what a fold of ours raised."""
        async with asyncio.TaskGroup() as group:
            for log in ALL_LOGS:
                group.create_task(self._follow(log), name=f"follow {log}")

    async def news(self) -> None:
        """Wait for the next entry of any log."""
        await self.moved.wait()

    async def _follow(self, log: str) -> None:
        while True:
            reader = await self._begin(log)
            reader.start()
            try:
                await reader.ended()
            except Trimmed as error:
                _log.warning("a log was cut: beginning behind the cut", log=log, reason=str(error))
            finally:
                await reader.stop()

    async def _begin(self, log: str) -> LogReader:
        """A reader from near the end of the log; waits until somebody has made it."""
        while True:
            try:
                held = await extent(self._bus, log)
            except (BusUnavailable, StreamMissing) as error:
                _log.debug("no extent yet", log=log, reason=reason(error))
                await asyncio.sleep(_RETRY_S)
                continue
            start = max(held.first, held.last + 1 - _BEHIND)
            self.view.rings[log].start(start)
            self._targets[log] = held.last
            self._look()
            return LogReader(self._bus, log, partial(self._deliver, log), start=start)

    def _deliver(self, log: str, entry: object) -> None:
        self.view.deliver(log, entry)  # type: ignore[arg-type]  # partial() hides that it is an `Entry`
        if not self._told:
            self._told = True
            asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        """Wake who waits, once for all entries of this turn of the loop."""
        self._told = False
        self.moved.set()
        self.moved = asyncio.Event()
        if not self.is_caught_up:
            self._look()

    def _look(self) -> None:
        rings = self.view.rings
        if len(self._targets) == len(ALL_LOGS) and all(
            rings[log].last >= end for log, end in self._targets.items()
        ):
            self._caught_up.set()
