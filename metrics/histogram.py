"""A histogram that costs its owner next to nothing: one bisection and two additions for each value.

Pure, and without prometheus-client: services and nodes count into it whether or not somebody ever looks.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

__all__ = ["Bucket", "Example", "Histogram"]


class Example(NamedTuple):
    """One value that fell into a bucket, and what it was of: an exemplar in OpenMetrics."""

    of: str
    value: float


class Bucket(NamedTuple):
    """How many values were at most `bound`, and the newest example among those above the bound before."""

    bound: float
    total: int
    example: Example | None


class Histogram:
    """Values by buckets; a value on a bound belongs below it, as Prometheus' `le` says."""

    __slots__ = ("_counts", "_examples", "bounds", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.sum = 0.0
        self._counts = [0] * (len(self.bounds) + 1)
        self._examples: list[Example | None] = [None] * len(self._counts)

    def __repr__(self) -> str:
        """How much was counted."""
        return f"Histogram({self.count} values, sum {self.sum:g})"

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self._counts)

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def observe_of(self, value: float, of: str) -> None:
        """Count one value, and remember what it was of."""
        at = bisect_left(self.bounds, value)
        self._counts[at] += 1
        self._examples[at] = Example(of, value)
        self.sum += value

    def buckets(self) -> Iterator[Bucket]:
        """Cumulative, the last one with the bound infinity."""
        bounds = (*self.bounds, float("inf"))
        return map(Bucket, bounds, accumulate(self._counts), self._examples)
