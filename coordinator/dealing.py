"""Places in order, and who gets which: the list work of placement, without nodes or strategies.

Guarantees that a hand never holds a row twice. A place is one attempt on one row; a row has as many as it may take.
"""

from collections import Counter, deque
from collections.abc import Iterable
from heapq import heapify, heappop, heapreplace

__all__ = ["Hand", "Queue", "deal", "merge"]

type Hand = tuple[int, ...] | None
"""The rows of one task, or None if it cannot be placed."""


def merge(
    start: list[float], step: list[float], left: list[int], places: int, draws: list[float] | None
) -> list[int]:
    """The indices of the `places` cheapest of the sequences start, start + step, … with `left` members each."""
    heap = [(key, index) for index, key in enumerate(start)]
    heapify(heap)
    found = []
    for place in range(places):
        key, index = heap[0]
        found.append(index)
        left[index] -= 1
        if left[index]:
            heapreplace(heap, (key + step[index] * (draws[place] if draws else 1.0), index))
        else:
            heappop(heap)
    return found


def deal(order: list[int], count: int, replicas: int) -> Iterable[tuple[int, ...]]:
    """Hands of `replicas` different rows from `count` x `replicas` places, of which no row has more than `count`.

    The places, row by row, are dealt like cards: hand k gets places k, k + count, k + 2 count … A row's places are contiguous
    and at most `count`, so no hand meets it twice (McNaughton's wrap-around rule).
    """
    if replicas == 1:
        return ((row,) for row in order)
    flat = [row for row, places in Counter(order).items() for _ in range(places)]
    return zip(*(flat[start : start + count] for start in range(0, len(flat), count)), strict=True)


class Queue:
    """Places in order, from which requests take the first that they may have; what they pass over is offered again."""

    def __init__(self, order: list[int]) -> None:
        self._ahead = deque(order)
        self._passed: Counter[int] = Counter()

    def take(self, replicas: int, excluded: frozenset[int]) -> Hand:
        """The first `replicas` different rows that are not excluded; None, and nothing taken, if there are fewer."""
        found = [row for row, places in self._passed.items() if places and row not in excluded][:replicas]
        self._passed.subtract(found)
        while len(found) < replicas and self._ahead:
            row = self._ahead.popleft()
            if row in excluded or row in found:
                self._passed[row] += 1
            else:
                found.append(row)
        if len(found) == replicas:
            return tuple(found)
        self._passed.update(found)
        return None
