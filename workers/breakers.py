"""Circuit breakers: when a node stops taking work, and when it may take work again. Pure; time is passed in.

Each breaker opens at one value and closes at another (hysteresis), so that a node at the threshold does not flap.
The thresholds are those of the specification: 85 °C, 100 ms, 25 consecutive errors. An error is a fault of the
node; a guest that fails is none.
"""

from dataclasses import dataclass

__all__ = ["REASONS", "BreakerLimits", "Breakers"]

REASONS = ("temperature", "latency", "errors", "means")
"""What a breaker may open for; `means` are those of the node itself, e.g. a full disk."""


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """Opening and closing values."""

    temperature_c: float = 85.0
    temperature_closes_c: float = 75.0
    latency_ms: float = 100.0
    latency_closes_ms: float = 70.0
    errors: int = 25
    errors_close_after_s: float = 30.0
    latency_weight: float = 0.3
    """Of the newest measurement in the moving average."""


class Breakers:
    """The three breakers of one node."""

    def __init__(self, limits: BreakerLimits | None = None) -> None:
        self._limits = limits or BreakerLimits()
        self._hot = False
        self._far = False
        self._failing_since: float | None = None
        self._temperature_c = 0.0
        self._trouble = ""
        self._was_open: frozenset[str] = frozenset()
        self.trips = dict.fromkeys(REASONS, 0)
        """How often each opened."""
        self.latency_ms: float | None = None
        """Moving average, None before the first measurement."""
        self.errors = 0
        """Consecutive faults of this node."""

    def __repr__(self) -> str:
        """Open or closed, and why."""
        return f"Breakers({self.reason or 'closed'}, errors={self.errors}, latency_ms={self.latency_ms})"

    @property
    def open(self) -> frozenset[str]:
        """Those of `REASONS` for which the node takes no work now."""
        states = (self._hot, self._far, self._failing_since is not None, bool(self._trouble))
        return frozenset(reason for reason, is_open in zip(REASONS, states, strict=True) if is_open)

    def _count(self) -> None:
        now = self.open
        for reason in now - self._was_open:
            self.trips[reason] += 1
        self._was_open = now

    @property
    def reason(self) -> str:
        """Why the node takes no work; empty when it does."""
        limits, reasons = self._limits, []
        if self._hot:
            reasons.append(f"temperature {self._temperature_c:.0f} °C, over {limits.temperature_c:g} °C")
        if self._far:
            reasons.append(f"latency {self.latency_ms or 0:.0f} ms, over {limits.latency_ms:g} ms")
        if self._failing_since is not None:
            reasons.append(f"{self.errors} consecutive errors, {limits.errors} are allowed")
        if self._trouble:
            reasons.append(self._trouble)
        return "; ".join(reasons)

    def measured(
        self, now_s: float, *, latency_ms: float | None = None, temperature_c: float | None = None
    ) -> None:
        """Take in what was measured; None is a value that could not be (it opens and closes nothing)."""
        limits = self._limits
        if temperature_c is not None:
            self._temperature_c = temperature_c
            self._hot = temperature_c > (limits.temperature_closes_c if self._hot else limits.temperature_c)
        if latency_ms is not None:
            before = latency_ms if self.latency_ms is None else self.latency_ms
            self.latency_ms = before + limits.latency_weight * (latency_ms - before)
            self._far = self.latency_ms > (limits.latency_closes_ms if self._far else limits.latency_ms)
        self.tick(now_s)

    def tick(self, now_s: float) -> None:
        """Let time pass: after the cool-down one more try is allowed, and one more error opens the breaker again."""
        since = self._failing_since
        if since is not None and now_s - since >= self._limits.errors_close_after_s:
            self._failing_since = None
            self.errors = self._limits.errors - 1
        self._count()

    def fault(self, now_s: float) -> None:
        """An attempt ended in a fault of this node."""
        self.errors += 1
        if self.errors >= self._limits.errors and self._failing_since is None:
            self._failing_since = now_s
            self._count()

    def success(self) -> None:
        """An attempt was answered, whatever the guest did: the node works."""
        self.errors = 0
        if self._failing_since is not None:
            self._failing_since = None
            self._count()

    def trouble(self, reason: str) -> None:
        """Open (or with empty text close) the breaker of the node's own means, e.g. a full disk."""
        if reason != self._trouble:
            self._trouble = reason
            self._count()
