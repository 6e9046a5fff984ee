"""One task before the auditor: its facts, what else must be known to judge them, and where the view ends.

A log that was trimmed says nothing of what lay before its first kept sequence. So a fact that is not found is a violation only if it
would have to be in the kept part; otherwise it is counted as out of sight.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ambient.audit.facts import Assignment, Claim, End, GivenUp, Names, Offer, Place, Policy, Task
from ambient.audit.findings import Tally

__all__ = ["Case", "Life", "Owner", "Refusal", "Sight"]


class Owner(NamedTuple):
    """Whose a node's name is: the number of the key, and where in ASSIGNMENTS it was enrolled first."""

    key: int
    place: Place


class Refusal(NamedTuple):
    """A `refused` line: where it is, and whether it says that the id was taken."""

    place: Place
    id_taken: bool


@dataclass(frozen=True)
class Sight:
    """What cases are judged by. `kept` and `since_ms`: the first kept sequence of each log, and when that was stored."""

    kept: Mapping[str, int]
    since_ms: Mapping[str, int]
    owners: Mapping[int, Owner]
    names: Names
    unsigned: Collection[int]
    refused: Mapping[Place, list[Refusal]]
    retention_ms: int

    def hidden(self, log: str, sequence: int) -> bool:
        """Whether that sequence was there once, and was trimmed."""
        return 0 < sequence < self.kept[log]

    def trimmed(self, log: str) -> bool:
        """Whether anything of that log was trimmed."""
        return self.kept[log] > 1

    def may_have_ended(self, log: str, at_ms: int) -> bool:
        """Whether what follows in `log` on something of `at_ms` may have been trimmed."""
        return self.trimmed(log) and at_ms <= self.since_ms[log]


@dataclass
class Life:
    """What was decided for one submission: a name may have another one after the retention span."""

    assigned: list[Assignment] = field(default_factory=list)
    abandoned: list[GivenUp] = field(default_factory=list)

    @property
    def decisions(self) -> list[Assignment | GivenUp]:
        """All of them, in the order of the log."""
        found: list[Assignment | GivenUp] = [*self.assigned, *self.abandoned]
        return sorted(found, key=lambda decision: decision.place)

    @property
    def first(self) -> Assignment | GivenUp:
        """The first decision."""
        return self.assigned[0] if self.assigned and not self.abandoned else self.decisions[0]

    @property
    def highest(self) -> int:
        """The highest attempt."""
        return max((assigned.attempt for assigned in self.assigned), default=0)


class Case:
    """The facts of one name, arranged for judging."""

    def __init__(self, name: str, facts: Task, sight: Sight, tally: Tally) -> None:
        self.name = name
        self.facts = facts
        self.sight = sight
        self.tally = tally
        self.decided: dict[tuple[int, int], Assignment] = {}
        self.lives: dict[Place, Life] = {}
        for assigned in facts.assigned:
            self.decided.setdefault((assigned.place[0], assigned.attempt), assigned)
            self.life(assigned.source).assigned.append(assigned)
        for given_up in facts.abandoned:
            self.life(given_up.source).abandoned.append(given_up)

    def life(self, source: Place) -> Life:
        """What was decided for the submission at `source`, made if need be."""
        life = self.lives.get(source)
        if life is None:
            life = self.lives[source] = Life()
        return life

    def violated(self, promise: str, log: str, place: Place, detail: str) -> None:
        """A line breaks a promise about this task."""
        self.tally.violated(promise, self.name, log, place, detail)

    def missed(self, promise: str, *, hidden: bool, log: str, place: Place, detail: str) -> None:
        """What a line rests on is not there: out of sight if it may be `hidden`, a violation otherwise."""
        if hidden:
            self.tally.trimmed(promise)
        else:
            self.violated(promise, log, place, detail)

    def node(self, number: int) -> str:
        """The name of a node."""
        return self.sight.names.name(number)

    def first_end(self, source: Place) -> End | None:
        """The first verdict for the submission at `source`."""
        return next((end for end in self.facts.verdicts if end.source == source), None)

    def returned(self, ended: End | None, source: Place) -> bool | None:
        """Whether the submission at `source` came so long after the verdict `ended` that it is a new task; None: out of sight."""
        submission = self.facts.submissions.get(source)
        if ended is None:
            return None if self.sight.trimmed("verdicts") else False
        if submission is None:
            return None if self.sight.hidden("tasks", source[0]) else False
        return submission.at_ms - ended.at_ms > self.sight.retention_ms

    def check_asked(self, source: Place, bound: bytes, policy: Policy, log: str, place: Place) -> None:
        """A decision or verdict must be about the very line of TASKS that it names."""
        self.tally.examined("asked")
        asked = self.facts.submissions.get(source)
        where = f"{source[0]}, line {source[1]}"
        if asked is None:
            hidden = self.sight.hidden("tasks", source[0])
            self.missed(
                "asked", hidden=hidden, log=log, place=place, detail=f"TASKS holds no such task at {where}"
            )
        elif asked.bound != bound:
            self.violated("asked", log, place, f"names another spec, module or input than TASKS {where}")
        elif asked.policy != policy:
            self.violated("asked", log, place, f"names another policy than TASKS {where}")

    def check_offer(self, source: Place, offer: Offer, log: str, place: Place) -> None:
        """What is set aside or paid is what the client offered. Where TASKS no longer says, `check_asked` has counted that."""
        self.tally.examined("reward")
        asked = self.facts.submissions.get(source)
        if asked is not None and asked.offer != offer:
            reward, price = asked.offer
            self.violated(
                "reward",
                log,
                place,
                f"names {offer[0]} msat at {offer[1]}, where its client offered {reward} at {price}",
            )

    def counts(self, claim: Claim, source: Place) -> bool:
        """Whether a claim is by the owner of its node's name, and answers an attempt of this life that was given to the node."""
        owner = self.sight.owners.get(claim.node)
        given = self.decided.get((claim.decision, claim.attempt))
        return (
            owner is not None
            and owner.key == claim.key
            and given is not None
            and given.source == source
            and claim.node in given.nodes
        )

    def failed(self, claim: Claim) -> bool:
        """Whether a claim is a fault, or cannot be judged, which counts as one."""
        given = self.decided.get((claim.decision, claim.attempt))
        return claim.fault or not claim.sound or (given is not None and claim.bound != given.bound)

    @property
    def claims_hidden(self) -> bool:
        """Whether a claim that is not found, or the decision that it answers, may have been trimmed."""
        return self.sight.trimmed("results") or self.sight.trimmed("assignments")
