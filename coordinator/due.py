"""What becomes due at a time: deadlines, retries.

Guarantees that what comes first is given out first, of equals the one noted first, and that tasks which ended long before their time hold no
memory: a deadline may be a year away, and most of the tasks that have one end within a second. Pure.
"""

import heapq
from collections.abc import Iterator

from coordinator.tasks import Task

__all__ = ["Due"]

_FEW = 1024
"""So many are kept, whether they ended or not: to look for those that did costs more than they do."""


class Due:
    """Tasks by the time at which they are to be looked at, in ms; one task may be noted for several times."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Task]] = []
        self._serial = 0
        self._most = _FEW

    def __len__(self) -> int:
        return len(self._heap)

    def __repr__(self) -> str:
        """How many are noted, and the first time."""
        return f"Due({len(self._heap)}, first={self._heap[0][0] if self._heap else None})"

    def add(self, due_ms: int, task: Task) -> None:
        """Note a task. Now and then, in the mean at a constant cost, this lets go of those that have ended."""
        self._serial += 1
        heapq.heappush(self._heap, (due_ms, self._serial, task))
        if len(self._heap) > self._most:
            self._heap = [each for each in self._heap if not each[2].closing]
            heapq.heapify(self._heap)
            self._most = max(_FEW, 2 * len(self._heap))

    def until(self, now_ms: int) -> Iterator[tuple[int, Task]]:
        """Give out what is due, (due_ms, task), without the tasks that have ended; more may be noted meanwhile."""
        while self._heap and self._heap[0][0] <= now_ms:
            due_ms, _, task = heapq.heappop(self._heap)
            if not task.closing:
                yield due_ms, task
