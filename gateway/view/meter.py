"""Counting what happens each second: rates and latencies of the last minutes. Pure: moments (ms) are passed in.

Guarantees that memory is bounded whatever the load, and that a quantile is right within 5 %, as latencies are counted in geometric bins.
"""

from collections import Counter
from math import exp, log

from gateway.resources.cluster import Latency, Rates

__all__ = ["HISTORY_S", "Meter"]

HISTORY_S = 120
_RATE_S = 10
_LATENCY_S = 60
_STEP = log(1.05)


class _Second:
    __slots__ = ("bins", "counts", "energy_j")

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.bins: Counter[int] = Counter()
        self.energy_j = 0.0


class Meter:
    """Seconds by their number; the newest `HISTORY_S`."""

    def __init__(self) -> None:
        self._seconds: dict[int, _Second] = {}
        self.energy_j = 0.0
        self.fuel = 0

    def __repr__(self) -> str:
        """How far back it goes."""
        return f"Meter({len(self._seconds)} s)"

    def count(self, what: str, at_ms: int) -> None:
        """Something happened (a field of `Rates`)."""
        self._at(at_ms).counts[what] += 1

    def accepted(self, at_ms: int, waited_ms: int | None, energy_j: float, fuel: int) -> None:
        """A verdict, how long after the task was asked (None: not known), and what it took."""
        second = self._at(at_ms)
        if waited_ms is not None:
            second.bins[round(log(max(1.0, waited_ms)) / _STEP)] += 1
        second.energy_j += energy_j
        self.energy_j += energy_j
        self.fuel += fuel

    def _at(self, at_ms: int) -> _Second:
        number = at_ms // 1000
        second = self._seconds.get(number)
        if second is None:
            second = self._seconds[number] = _Second()
            while len(self._seconds) > HISTORY_S:
                del self._seconds[min(self._seconds)]
        return second

    def rates(self, now_ms: int) -> Rates:
        """Per second, over the last ten whole seconds."""
        end = now_ms // 1000
        return _rates([self._seconds[n] for n in range(end - _RATE_S, end) if n in self._seconds], _RATE_S)

    def history(self, now_ms: int, seconds: int) -> list[Rates]:
        """Each of the last whole seconds, oldest first."""
        end = now_ms // 1000
        nothing = _Second()
        return [_rates([self._seconds.get(n, nothing)], 1) for n in range(end - seconds, end)]

    def latency(self, now_ms: int) -> Latency:
        """Over the last minute."""
        end = now_ms // 1000
        bins: Counter[int] = Counter()
        for number, second in self._seconds.items():
            if end - _LATENCY_S <= number <= end:
                bins.update(second.bins)
        total = bins.total()
        if not total:
            return Latency()
        p50, p95, p99 = (_quantile(bins, total, share) for share in (0.5, 0.95, 0.99))
        return Latency(p50_ms=p50, p95_ms=p95, p99_ms=p99, tasks=total)


def _quantile(bins: Counter[int], total: int, share: float) -> float:
    left = share * total
    for number in sorted(bins):
        left -= bins[number]
        if left <= 0:
            return round(exp(number * _STEP), 1)
    return round(exp(max(bins) * _STEP), 1)


def _rates(seconds: list[_Second], span_s: int) -> Rates:
    counts: Counter[str] = Counter()
    bins: Counter[int] = Counter()
    energy_j = 0.0
    for second in seconds:
        counts.update(second.counts)
        bins.update(second.bins)
        energy_j += second.energy_j
    said = {name: round(count / span_s, 3) for name, count in counts.items()}
    total = bins.total()
    p50, p99 = (_quantile(bins, total, share) if total else None for share in (0.5, 0.99))
    return Rates(**said, energy_w=round(energy_j / span_s, 6), p50_ms=p50, p99_ms=p99)
