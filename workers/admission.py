"""How many guests fit into the node's memory at once. Pure.

Guarantees: whatever the pool chooses to run at the same time out of the jobs it was given, their memory limits add
up to no more than the node offers. The pool runs one guest a slot, so that is: the largest `slots` limits
among its jobs. A job that does not fit waits, and those behind it wait with it, so that a large one is never starved.
"""

__all__ = ["MemoryGate"]


class MemoryGate:
    """Counts the memory limits (MB) of the jobs that are with the pool."""

    def __init__(self, *, slots: int, memory_mb: int) -> None:
        self._slots = slots
        self._memory_mb = memory_mb
        self._with_pool: dict[int, int] = {}
        self._heaviest = 0

    def __repr__(self) -> str:
        """The worst case of what may run at once, and the limit."""
        return f"MemoryGate({self._worst(0)} of {self._memory_mb} MB)"

    @property
    def memory_mb(self) -> int:
        """All that the node offers."""
        return self._memory_mb

    def could_ever(self, limit_mb: int) -> bool:
        """Whether a job of this limit fits when it is alone."""
        return limit_mb <= self._memory_mb

    def admits(self, limit_mb: int) -> bool:
        """Whether a job of this limit may join those with the pool now."""
        # The usual case, without looking at every job: even the heaviest in all slots would fit.
        if max(limit_mb, self._heaviest) * self._slots <= self._memory_mb:
            return True
        return self._worst(limit_mb) <= self._memory_mb

    def enter(self, limit_mb: int) -> None:
        """A job was handed to the pool."""
        self._with_pool[limit_mb] = self._with_pool.get(limit_mb, 0) + 1
        self._heaviest = max(self._heaviest, limit_mb)

    def leave(self, limit_mb: int) -> None:
        """A job has left the pool."""
        left = self._with_pool[limit_mb] - 1
        if left:
            self._with_pool[limit_mb] = left
            return
        del self._with_pool[limit_mb]
        if limit_mb == self._heaviest:
            self._heaviest = max(self._with_pool, default=0)

    def _worst(self, joining_mb: int) -> int:
        """The sum of the largest `slots` limits, `joining_mb` counted in (0: nobody joins)."""
        free, total = self._slots, 0
        counts = dict(self._with_pool)
        if joining_mb:
            counts[joining_mb] = counts.get(joining_mb, 0) + 1
        for limit_mb in sorted(counts, reverse=True):
            taken = min(free, counts[limit_mb])
            total += taken * limit_mb
            free -= taken
            if not free:
                break
        return total
