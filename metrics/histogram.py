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
    """Values by buckets; a value on a bound belongs below it, as Prometheus' `le` says.

    `scale` is how many of the units in which values come make one of the units of the bounds (1000 for milliseconds against seconds): so that
    nothing is divided for each value.
    """

    __slots__ = ("_counts", "_edges", "_examples", "_scale", "_sum", "bounds")

    def __init__(self, bounds: Sequence[float], scale: int = 1) -> None:
        self.bounds = tuple(bounds)
        self._scale = scale
        # Rounded: 0.3 s are 300 ms, and not 299.99999999999994.
        self._edges = [round(bound * scale, 9) for bound in self.bounds]
        self._sum = 0.0
        self._counts = [0] * (len(self.bounds) + 1)
        self._examples: list[tuple[str, float] | None] = [None] * len(self._counts)

    def __repr__(self) -> str:
        """How much was counted."""
        return f"Histogram({self.count} values, sum {self.sum:g})"

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self._counts)

    @property
    def sum(self) -> float:
        """Of all values, in the unit of the bounds."""
        return self._sum / self._scale

    def observe(self, value: float) -> None:
        """Count one value; a negative one (clocks that differ) counts as 0, as a sum must never fall."""
        self._counts[bisect_left(self._edges, value)] += 1
        if value > 0:
            self._sum += value

    def observe_of(self, value: float, of: str) -> None:
        """Count one value, and remember what it was of."""
        at = bisect_left(self._edges, value)
        self._counts[at] += 1
        self._examples[at] = (of, value)
        if value > 0:
            self._sum += value

    def buckets(self) -> Iterator[Bucket]:
        """Cumulative, the last one with the bound infinity."""
        bounds = (*self.bounds, float("inf"))
        return map(Bucket, bounds, accumulate(self._counts), map(self._example, self._examples))

    def _example(self, kept: tuple[str, float] | None) -> Example | None:
        return None if kept is None else Example(kept[0], max(0.0, kept[1]) / self._scale)
