"""How many requests a token may make: a bucket each, refilled at a steady rate. Pure: the time is passed in.

Guarantees that within any span of t seconds a token makes at most `burst + t * per_s` requests, and that memory is bounded by `_MOST` buckets: of
more tokens, the one that was idle longest begins anew, which never allows less than was due.
"""

from collections import OrderedDict

__all__ = ["Buckets"]

_MOST = 10_000


class Buckets:
    """Buckets by name; `per_s` 0 allows everything."""

    def __init__(self, per_s: float, burst: float) -> None:
        self.per_s = per_s
        self.burst = max(1.0, burst)
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __repr__(self) -> str:
        """The limits, and for how many."""
        return f"Buckets({self.per_s:g}/s, burst {self.burst:g}, {len(self._held)} tokens)"

    def take(self, name: str, now_s: float) -> float:
        """Take one: 0.0 where it is there, else after how many seconds it will be."""
        if self.per_s <= 0:
            return 0.0
        level, at_s = self._held.get(name, (self.burst, now_s))
        level = min(self.burst, level + max(0.0, now_s - at_s) * self.per_s)
        if level < 1.0:
            return (1.0 - level) / self.per_s
        self._held[name] = (level - 1.0, now_s)
        self._held.move_to_end(name)
        if len(self._held) > _MOST:
            self._held.popitem(last=False)
        return 0.0
