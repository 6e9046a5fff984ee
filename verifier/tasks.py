"""What the verifier remembers of a task that has no verdict yet.

Guarantees that what an `OpenTask` says depends only on what was folded into it, not on the order in which the three logs were
interleaved. What remains of a task after its verdict is `verifier.settled`'s.
"""

from msgspec import Struct

from bus.messages import Abandoned, Assigned, Result
from verifier.policies import Standing

__all__ = ["Attempts", "OpenTask", "Place", "Vote", "find_attempt"]

type Place = tuple[int, int]
type Attempts = tuple[tuple[int, Assigned], ...]


class Vote(Struct, frozen=True, gc=False):
    """What one node said: the agreement key, where in RESULTS, and what it cost. `attempt` is the one it answered."""

    key: bytes
    place: Place
    attempt: int
    energy_j: float
    energy_method: str


def find_attempt(attempts: Attempts, attempt: int) -> tuple[int, Assigned] | None:
    """The decision's sequence and the assignment of that attempt."""
    for found in attempts:
        if found[1].attempt == attempt:
            return found
    return None


class OpenTask:
    """A task without a verdict. `attempts` are (sequence in ASSIGNMENTS, line), `samples` one result per agreement key."""

    __slots__ = ("abandoned", "asked_after", "attempts", "faults", "named", "samples", "votes")

    def __init__(self) -> None:
        self.attempts: Attempts = ()
        self.votes: dict[str, Vote] = {}
        self.faults: tuple[tuple[str, int], ...] = ()
        self.samples: dict[bytes, Result] = {}
        self.named: tuple[str, ...] = ()
        self.asked_after = 0
        self.abandoned: Abandoned | None = None

    def __repr__(self) -> str:
        """Who said what."""
        said = ", ".join(f"{node}={vote.key.hex()[:6]}" for node, vote in self.votes.items())
        return f"OpenTask(attempts={len(self.attempts)}, votes=[{said}], faults={self.faults})"

    @property
    def path(self) -> str:
        """How the task came in, as far as it is known."""
        return self.attempts[0][1].path if self.attempts else ""

    @property
    def highest(self) -> int:
        """The highest attempt that is known."""
        if len(self.attempts) == 1:
            return self.attempts[0][1].attempt
        return max((assigned.attempt for _, assigned in self.attempts), default=0)

    @property
    def faulted(self) -> tuple[str, ...]:
        """The nodes that failed of themselves, each once."""
        return tuple(dict.fromkeys(node for node, _ in self.faults))

    @property
    def unnamed(self) -> tuple[str, ...]:
        """The faulted nodes that no line of VERDICTS has named yet for this task."""
        return tuple(node for node in self.faulted if node not in self.named)

    @property
    def need_is_open(self) -> bool:
        """Whether more results were asked for and no later attempt has answered that.

        An attempt that only makes lost nodes good answers nothing.
        """
        return self.asked_after > 0 and not any(
            a.attempt > self.asked_after and not a.replaces for _, a in self.attempts
        )

    def heard(self, node: str, attempt: int) -> bool:
        """Whether an answer by `node` to `attempt` changes nothing any more.

        A node votes once per task. A fault is no vote: a node that failed of itself may vote in a later attempt.
        """
        return node in self.votes or (node, attempt) in self.faults

    def vote(self, node: str, vote: Vote, result: Result) -> None:
        """Count a vote; the first result of each answer is kept as its sample."""
        self.votes[node] = vote
        self.samples.setdefault(vote.key, result)

    def standing(self) -> Standing:
        """What a policy judges by."""
        votes = {node: vote.key for node, vote in self.votes.items()}
        if len(self.attempts) == 1 and not self.faults:
            # Nearly every task: who voted was assigned, so the rest is what is outstanding.
            return Standing(votes, (), len(self.attempts[0][1].nodes) - len(votes))
        return Standing(votes, self.faulted, len(self.outstanding()))

    def outstanding(self) -> set[str]:
        """The nodes whose vote may still come: assigned, not heard, and not given up since."""
        return {
            node
            for _, a in self.attempts
            for node in a.nodes
            if not self.heard(node, a.attempt) and not self._replaced(node, a.attempt)
        }

    def _replaced(self, node: str, attempt: int) -> bool:
        return any(a.attempt > attempt and node in a.replaces for _, a in self.attempts)
