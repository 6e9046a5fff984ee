"""Submitting and waiting until it is durable, with a bounded window, and through refusals for want of room.

Guarantees that at most `WINDOW_TASKS` tasks and `WINDOW_BYTES` of their lines are handed over and not yet durable, however many there are to
submit; that what was refused for want of room is submitted again, first one task and then the rest; and that any other error is raised.
"""

from collections import deque

from ambient.courier import Courier
from ambient.errors import LogFull
from ambient.outstanding import Entry
from ambient.room import Patience
from ambient.task import Task

__all__ = ["WINDOW_BYTES", "WINDOW_TASKS", "Storing"]

WINDOW_TASKS = 4096
"""Enough to fill the batches of a log, several times."""
WINDOW_BYTES = 16 * 1024 * 1024


class Storing:
    """One caller's submissions, oldest first."""

    def __init__(self, courier: Courier, patience: Patience) -> None:
        self._courier = courier
        self._patience = patience
        self._pending: deque[tuple[Entry, Task, int]] = deque()
        self._bytes = 0

    def __repr__(self) -> str:
        """How much is under way."""
        return f"Storing(pending={len(self._pending)}, bytes={self._bytes})"

    async def add(self, entry: Entry, task: Task) -> None:
        """Submit; waits while the window is full. Raises what `submit` raises."""
        await self._courier.accepting()
        self._pending.append((entry, task, len(entry.line)))
        self._bytes += len(entry.line)
        self._courier.submit(entry)
        while len(self._pending) >= WINDOW_TASKS or self._bytes >= WINDOW_BYTES:
            await self._settle_first()

    async def finish(self) -> None:
        """Wait until all of them are durable."""
        while self._pending:
            await self._settle_first()

    async def _settle_first(self) -> None:
        entry, task, size = self._pending[0]
        refused = False
        while True:
            try:
                await task.until_stored()
                break
            except LogFull as error:
                await self._patience.wait(error)
                refused = True
                self._again(entry, task)
        self._pending.popleft()
        self._bytes -= size
        self._patience.stored()
        if refused:
            # There is room again: the others that were refused meanwhile follow at once.
            for other, waiting, _ in self._pending:
                if waiting.refused:
                    self._again(other, waiting)

    def _again(self, entry: Entry, task: Task) -> None:
        task.reopen()
        self._courier.again(entry)
