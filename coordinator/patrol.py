"""The rounds: every open task is looked at once in a while, so that none depends on an event that never comes.

Guarantees that each open task is visited within a round, a few at each tick, so that no tick is long. What is looked for: nodes that
are gone though nobody said so, and claims that the verifier passed over in silence (it does not believe them, so nor may we).
"""

from collections.abc import Mapping

from coordinator.registry import DEAD, LEFT, Registry
from coordinator.settings import Timing
from coordinator.tasks import ANSWERED, LOST, RUNNING, Holder, Task

__all__ = ["VISITED_AT_ONCE", "Patrol"]

VISITED_AT_ONCE = 2_000
"""Tasks visited in one tick: a hundred thousand open ones in twelve seconds, for a millisecond a tick."""

_GONE = (DEAD, LEFT)


class Patrol:
    """Where the round stands. `due` names what is to be given up."""

    def __init__(self, registry: Registry, timing: Timing) -> None:
        self._registry = registry
        self._timing = timing
        self._round: list[Task] = []

    def __repr__(self) -> str:
        """How much of the round is left."""
        return f"Patrol(left={len(self._round)})"

    def next(self, open_tasks: Mapping[str, Task]) -> list[Task]:
        """The next tasks of the round; a new round begins with those that are open then."""
        if not self._round:
            self._round = list(open_tasks.values())
        visited = self._round[-VISITED_AT_ONCE:]
        del self._round[-VISITED_AT_ONCE:]
        return visited

    def gone(self, task: Task) -> list[Holder]:
        """The holders that owe a result on nodes that are not there any more."""
        return [
            holder
            for holder in task.holders
            if holder.state == RUNNING and (holder.row is None or self._registry.state[holder.row] in _GONE)
        ]

    def disbelieve(self, task: Task, judged_to: int, now_ms: int) -> bool:
        """Give up claims that were not judged though later ones were; whether there were any.

        Never because the verifier is slow or away: then nothing later was judged either.
        """
        if task.is_running() or task.wanted() or not task.claimed:
            return False
        if judged_to <= task.claimed or now_ms - task.quiet_since_ms < self._timing.unjudged_ms:
            return False
        claimed = [holder for holder in task.holders if holder.state == ANSWERED]
        for holder in claimed:
            holder.state = LOST
        task.excluded |= {holder.node for holder in claimed}
        return bool(claimed)
