"""How long slots had work: what a guest's own time is compared with to know what running it costs beside. Pure; the time is passed in."""

from typing import NamedTuple

__all__ = ["Spent", "Work"]


class Spent(NamedTuple):
    """What a pool did so far."""

    busy_s: float
    """Time for which slots had at least one job, over all slots."""
    losses: int
    """Slots whose process died or was killed."""
    compile_s: float
    """Processor time of compilers."""


class Work:
    """The stretches in which each slot had work."""

    def __init__(self, slots: int) -> None:
        self.losses = 0
        self._ended_s = 0.0
        self._since_s: list[float | None] = [None] * slots

    def __repr__(self) -> str:
        """How many slots are at work."""
        return f"Work({sum(since is not None for since in self._since_s)} slots busy, {self._ended_s:g} s before)"

    def given(self, slot: int, now_s: float) -> None:
        """The slot is given jobs; it may have some already."""
        if self._since_s[slot] is None:
            self._since_s[slot] = now_s

    def empty(self, slot: int, now_s: float) -> None:
        """Nothing is left at the slot."""
        since, self._since_s[slot] = self._since_s[slot], None
        if since is not None:
            self._ended_s += now_s - since

    def lost(self, slot: int, now_s: float) -> None:
        """The slot's process is gone, and what it had is elsewhere."""
        self.losses += 1
        self.empty(slot, now_s)

    def busy_s(self, now_s: float) -> float:
        """Until now, stretches that go on included."""
        return self._ended_s + sum(now_s - since for since in self._since_s if since is not None)
