"""Verification policies: from what is known of a task's results to whether they decide it.

A policy is a pure function of `Standing`. It guarantees that what it accepts was said by enough nodes, and it never reconsiders:
the votes are in the order of RESULTS, and the first answer to gather enough of them wins, so that judging early and judging late
(a standby that takes over) come to the same answer. Left to `verifier.core`: which results may count at all.

A new policy (adaptive, re-execution, proof) is a class with `decide` and a line in `policy_for`.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

from bus.messages import Quorum, Signature, VerifyPolicy

__all__ = [
    "Accept",
    "Decision",
    "Inconclusive",
    "Policy",
    "QuorumPolicy",
    "SignaturePolicy",
    "Standing",
    "Wait",
    "policy_for",
]


class Standing(NamedTuple):
    """What is known of a task: one agreement key per node that voted, in the order of RESULTS.

    `faulted` are the nodes that failed of themselves, `outstanding` is how many more votes may still come unasked.
    """

    votes: Mapping[str, bytes]
    faulted: tuple[str, ...]
    outstanding: int


class Accept(NamedTuple):
    """The answer of `agreeing` stands; `dissenting` gave another one."""

    agreeing: tuple[str, ...]
    dissenting: tuple[str, ...]


class Inconclusive(NamedTuple):
    """Even if all that is outstanding agreed, `need` more votes are missing; nodes in `exclude` have had theirs."""

    need: int
    exclude: tuple[str, ...]
    reason: str


class Wait(NamedTuple):
    """What is outstanding may still decide."""


Decision = Accept | Inconclusive | Wait
_WAIT = Wait()


class Policy(Protocol):
    """What every policy is."""

    def decide(self, standing: Standing) -> Decision:
        """Judge a task by what is known of it."""
        ...


class SignaturePolicy:
    """Believe the first node that was assigned and signed."""

    def decide(self, standing: Standing) -> Decision:
        """Accept the first vote; ask for one more where only faults came."""
        if standing.votes:
            return _accept(standing.votes, next(iter(standing.votes.values())))
        return _missing(standing, need=1 - standing.outstanding)


@dataclass(frozen=True, slots=True)
class QuorumPolicy:
    """Believe what `agree` different nodes say alike."""

    agree: int

    def decide(self, standing: Standing) -> Decision:
        """Accept the first answer that `agree` nodes gave; ask for what is missing once it cannot come by itself."""
        counts: Counter[bytes] = Counter()
        best = 0
        for key in standing.votes.values():
            counts[key] += 1
            best = max(best, counts[key])
            if best >= self.agree:
                return _accept(standing.votes, key)
        return _missing(standing, need=self.agree - best - standing.outstanding)


def _accept(votes: Mapping[str, bytes], key: bytes) -> Accept:
    if len(votes) == 1:
        return Accept(tuple(votes), ())
    return Accept(
        tuple(node for node, said in votes.items() if said == key),
        tuple(node for node, said in votes.items() if said != key),
    )


def _missing(standing: Standing, *, need: int) -> Decision:
    if need <= 0:
        return _WAIT
    exclude = tuple(dict.fromkeys((*standing.votes, *standing.faulted)))
    reason = "disagreement" if len(set(standing.votes.values())) > 1 else "fault"
    return Inconclusive(need, exclude, reason if standing.faulted or reason != "fault" else "too few results")


@lru_cache(maxsize=256)
def policy_for(verify: VerifyPolicy) -> Policy:
    """The policy that a task's `verify` names."""
    match verify:
        case Signature():
            return SignaturePolicy()
        case Quorum():
            return QuorumPolicy(verify.agree)
