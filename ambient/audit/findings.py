"""What an audit finds: a row for each promise, every violation with its place, what is open, who signed and who led.

Records and their tally only. `trimmed` counts instances that could not be examined, because what they rest on lies before the
first kept sequence of a log.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from ambient.audit.promises import PROMISES

__all__ = [
    "Leadership",
    "LogSpan",
    "OpenState",
    "OpenTask",
    "Promise",
    "Report",
    "Signer",
    "Tally",
    "Violation",
]

OpenState = Literal["waiting", "assigned", "claimed", "abandoned", "unrefused"]
"""Where an open task stands: no decision yet; its nodes are at it; they have claimed; given up, and not yet a verdict; owed a refusal."""


class Violation(msgspec.Struct, frozen=True):
    """One broken promise: `line` of `sequence` in `log` breaks it. `task` is empty where the promise is not about one."""

    promise: str
    """Its name."""
    task: str
    """`<client>.<id>`; empty where the promise is not about one."""
    log: str
    """The log in which the line is."""
    sequence: int
    """Of the message."""
    line: int
    """Of the message, from 0."""
    detail: str
    """What is wrong with it."""


class Promise(msgspec.Struct, frozen=True):
    """How many instances of a promise were examined, violated, and out of sight in what was trimmed."""

    name: str
    """By which violations name it."""
    sentence: str
    """What holds."""
    examined: int
    """Instances that were looked at."""
    violated: int
    """Instances that break it."""
    trimmed: int
    """Instances that could not be looked at, because what they rest on is trimmed from its log."""


class OpenTask(msgspec.Struct, frozen=True):
    """A task without an end. `source` is its (sequence, line) in TASKS, `nodes` have its last attempt; `since_ms` is since the epoch.

    `task` is empty for what is no task, and has not been refused yet.
    """

    task: str
    """`<client>.<id>`; empty for what is no task, and has not been refused yet."""
    source: tuple[int, int]
    """Its place (sequence, line) in TASKS."""
    state: OpenState
    """No decision yet (`waiting`); its nodes are at it; they have claimed; given up, and not yet a verdict; owed a refusal."""
    since_ms: int
    """When it was stored, in milliseconds since 1970."""
    age_ms: int
    """How long ago that was, in milliseconds."""
    attempt: int
    """The number of the last attempt, from 1; 0 before the first."""
    nodes: tuple[str, ...]
    """Nodes that have its last attempt."""


class LogSpan(msgspec.Struct, frozen=True):
    """What was read of a log: from the sequence `first` on (1 unless it was trimmed) to `last`, `lines` in all."""

    log: str
    """Its name."""
    first: int
    """The first sequence that was read; more than 1 where what was before is trimmed."""
    last: int
    """The last sequence."""
    lines: int
    """How many there are."""


class Signer(msgspec.Struct, frozen=True):
    """A key (hex) that signed VERDICTS: how many messages and lines, and from which sequence to which."""

    key: str
    """In hex."""
    messages: int
    """Signed with it."""
    lines: int
    """In these messages."""
    first: int
    """The first sequence in VERDICTS."""
    last: int
    """The last sequence in VERDICTS."""


class Leadership(msgspec.Struct, frozen=True):
    """An epoch of ASSIGNMENTS: who led, from which sequence on, and how many lines are of it."""

    epoch: int
    """Its number."""
    leader: str
    """The name of the coordinator."""
    sequence: int
    """In ASSIGNMENTS, from which on it led."""
    lines: int
    """That it wrote."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an audit found. `holds` is whether nothing violates a promise; open tasks violate none."""

    holds: bool
    """Whether nothing violates a promise; open tasks violate none."""
    promises: tuple[Promise, ...]
    """A row for each."""
    violations: tuple[Violation, ...]
    """All of them."""
    open: tuple[OpenTask, ...]
    """Tasks without an end."""
    tasks: int
    """That were asked for."""
    verdicts: dict[str, int]
    """How many, by status."""
    refused: int
    """Submissions that were refused."""
    claims: int
    """Results that nodes claimed."""
    claims_ignored: int
    """Of these, what nodes may not say, which counts for nothing."""
    logs: tuple[LogSpan, ...]
    """What was read."""
    signers: tuple[Signer, ...]
    """Of VERDICTS."""
    leaders: tuple[Leadership, ...]
    """Of ASSIGNMENTS, by epoch."""

    def broken(self) -> tuple[str, ...]:
        """The names of the promises that do not hold."""
        return tuple(promise.name for promise in self.promises if promise.violated)


class Tally:
    """Counts what is examined, and keeps what is found."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(PROMISES, 0)
        self.out_of_sight = dict.fromkeys(PROMISES, 0)
        self.violations: list[Violation] = []

    def copy(self) -> "Tally":
        """Another one that begins with what this has."""
        other = Tally()
        other.counts, other.out_of_sight = dict(self.counts), dict(self.out_of_sight)
        other.violations = list(self.violations)
        return other

    def examined(self, promise: str, instances: int = 1) -> None:
        """So many instances were looked at."""
        self.counts[promise] += instances

    def trimmed(self, promise: str, instances: int = 1) -> None:
        """So many could not be looked at: what they rest on was trimmed."""
        self.out_of_sight[promise] += instances

    def violated(self, promise: str, task: str, log: str, place: tuple[int, int], detail: str) -> None:
        """An instance breaks its promise."""
        self.violations.append(Violation(promise, task, log, *place, detail))

    def promises(self, found: Sequence[Violation]) -> tuple[Promise, ...]:
        """A row for each promise."""
        broken = dict.fromkeys(PROMISES, 0)
        for violation in found:
            broken[violation.promise] += 1
        return tuple(
            Promise(name, sentence, self.counts[name], broken[name], self.out_of_sight[name])
            for name, sentence in PROMISES.items()
        )
