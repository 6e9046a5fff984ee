"""What one node counts of its attempts since it started. Pure."""

from collections import Counter

from metrics.histogram import Histogram
from metrics.metric import GUEST_S, MEMORY_BYTES
from sandbox.job import Outcome

__all__ = ["Figures"]

_MS = 1000


class Figures:
    """Counts and histograms of what the sandbox said; guests that never ran (refused, lost with their slot) have no time."""

    def __init__(self) -> None:
        self.attempts: Counter[tuple[str, str]] = Counter()
        self.guest_s = Histogram(GUEST_S, _MS)
        self.peak_bytes = Histogram(MEMORY_BYTES)
        self.fuel = 0

    def __repr__(self) -> str:
        """How much was counted."""
        return f"Figures(attempts={self.attempts.total()})"

    def answered(self, outcome: Outcome) -> None:
        """An attempt ended so."""
        self.attempts[outcome.status, outcome.reason] += 1
        if outcome.wall_ms:
            self.guest_s.observe(outcome.wall_ms)
            self.peak_bytes.observe(outcome.peak_memory_bytes)
            self.fuel += outcome.fuel
