"""Places in order, and who gets which: the list work of placement, without nodes or strategies.

Guarantees that a hand never holds a row twice. A place is one attempt on one row; a row has as many as it may take.
"""

from collections import Counter, deque
from collections.abc import Iterable
from heapq import heapify, heappop, heapreplace

import numpy as np
from numpy.typing import NDArray

from coordinator.health import Floats

__all__ = ["Hand", "Queue", "deal", "merge", "merge_many"]

type Hand = tuple[int, ...] | None
"""The rows of one task, or None if it cannot be placed."""


def merge(
    cost: list[float], step: list[float], left: list[int], places: int, draws: list[float] | None
) -> list[int]:
    """The indices of the `places` cheapest of the sequences cost, cost + step, … of `left` members each, cheapest first.

    Each step is multiplied by the next of `draws`, if given. There must be as many members; `left` is used up.
    """
    heap = [(key, index) for index, key in enumerate(cost)]
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


def merge_many(
    cost: Floats, step: Floats, left: NDArray[np.int32], places: int, rng: np.random.Generator | None
) -> NDArray[np.intp]:
    """What `merge` finds, in arrays, for `places` sequences or more; steps are drawn from `rng`, if given.

    The first members alone would do, so nothing dearer than the dearest of the `places` cheapest can matter: wave by wave, the
    next members are added that are cheaper than that.
    """
    index = np.arange(len(cost))
    if len(cost) > places:
        index = np.argpartition(cost, places - 1)[:places]
        cost = cost[index]
    bound, members = cost.max(), 1
    costs, indices = [cost], [index]
    while len(index):
        more = left[index] > members
        index, cost = index[more], cost[more]
        draws = rng.standard_exponential(len(index)) if rng is not None else 1.0
        cost = cost + step[index] * draws
        near = cost < bound
        index, cost = index[near], cost[near]
        costs.append(cost)
        indices.append(index)
        members += 1
    order = np.argsort(np.concatenate(costs), kind="stable")[:places]
    return np.concatenate(indices)[order]


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
