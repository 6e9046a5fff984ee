"""The tasks that are remembered, newest last: who asked, what was decided, who claimed what, what was accepted. Pure.

The logs are read side by side, so that a decision may come before the submission that it is about: a record is begun by whatever comes first.
Guarantees that at most `most` tasks are remembered, the ones begun last, each with at most `_MOST_STEPS` decisions and claims; and that a second
submission under an id changes nothing of the first.
"""

from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from itertools import count

from bus.messages import Abandoned, Assigned, Refused, TaskState
from gateway.resources.tasks import Claimed, Decided, TaskSummary
from gateway.view.lines import AskedLine, ClaimedLine, VerdictLine

__all__ = ["Book", "Record", "Settled"]

_MOST_STEPS = 64
type Place = tuple[int, int]


class Settled:
    """A verdict, where it stands, and when it was written."""

    __slots__ = ("at_ms", "line", "place")

    def __init__(self, line: VerdictLine, place: Place, at_ms: int) -> None:
        self.line = line
        self.place = place
        self.at_ms = at_ms


class Record:
    """One task. `number` grows with each record; `digest` is the SHA-256 of the submitted line."""

    __slots__ = (
        "abandoned",
        "asked_ms",
        "attempt",
        "claimed",
        "client",
        "decided",
        "digest",
        "entry",
        "module",
        "name",
        "nodes",
        "number",
        "priority",
        "refused",
        "settled",
        "source",
    )

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.client = name.partition(".")[0]
        self.number = number
        self.source: Place | None = None
        self.asked_ms = 0
        self.digest = b""
        self.module = ""
        self.entry = ""
        self.priority = 4
        self.attempt = 0
        self.nodes: tuple[str, ...] = ()
        self.decided: list[Decided] = []
        self.claimed: list[Claimed] = []
        self.refused: tuple[Place, Decided] | None = None
        self.abandoned = False
        self.settled: Settled | None = None

    def __repr__(self) -> str:
        """Name and state."""
        return f"Record({self.name}, {self.state})"

    @property
    def is_refused(self) -> bool:
        """Whether the very submission of this record was refused, not a later one under its id."""
        return self.refused is not None and self.source in (None, self.refused[0])

    @property
    def state(self) -> TaskState:
        """Where the task stands, as far as the logs were read."""
        if self.settled is not None:
            return self.settled.line.status  # type: ignore[return-value]  # a verdict's status is one of a task's states
        if self.is_refused:
            return "refused"
        return "assigned" if self.attempt else "waiting"

    def summary(self) -> TaskSummary:
        """As a list shows it."""
        settled = self.settled
        reason = settled.line.reason if settled is not None else ""
        if self.is_refused and self.refused is not None:
            reason = f"{self.refused[1].field}: {self.refused[1].limit}".removeprefix(": ")
        return TaskSummary(
            task=self.name,
            client=self.client,
            state=self.state,
            asked_ms=self.asked_ms,
            ended_ms=settled.at_ms if settled is not None else 0,
            attempt=self.attempt,
            nodes=self.nodes,
            module=self.module,
            entry=self.entry,
            priority=self.priority,
            reason=reason,
        )


class Book:
    """Records by name, oldest first."""

    def __init__(self, most: int) -> None:
        self.records: dict[str, Record] = {}
        self._most = most
        self._numbers = count(1)

    def __repr__(self) -> str:
        """How many are remembered, of how many at most."""
        return f"Book({len(self.records)} of {self._most})"

    def get(self, name: str) -> Record | None:
        """The record of that name, if it is remembered."""
        return self.records.get(name)

    def newest(self, before: int | None = None) -> Iterator[Record]:
        """Records, newest first; those with a number below `before`."""
        for record in reversed(self.records.values()):
            if before is None or record.number < before:
                yield record

    def states(self) -> dict[str, int]:
        """How many are in each state."""
        return dict(Counter(record.state for record in self.records.values()))

    # What the logs say

    def asked(self, name: str, source: Place, at_ms: int, line: AskedLine | None, raw: bytes) -> None:
        """A submission."""
        record = self._record(name)
        if record.source is not None and record.source <= source:
            return
        record.source = source
        record.asked_ms = at_ms
        record.digest = sha256(raw).digest()
        if line is not None:
            record.module, record.entry, record.priority = line.work.module, line.work.entry, line.priority

    def assigned(self, line: Assigned, sequence: int, at_ms: int) -> None:
        """An attempt was given to nodes."""
        record = self._record(line.task)
        if record.settled is None and line.attempt >= record.attempt:
            record.attempt, record.nodes = line.attempt, line.nodes
        self._decide(
            record,
            Decided(
                kind="assigned",
                at_ms=at_ms,
                sequence=sequence,
                attempt=line.attempt,
                nodes=line.nodes,
                replaces=line.replaces,
            ),
        )

    def abandoned(self, line: Abandoned, sequence: int, at_ms: int) -> None:
        """The coordinator gave it up."""
        record = self._record(line.task)
        record.abandoned = True
        reason = f"{line.reason}: {line.detail}" if line.detail else line.reason
        self._decide(record, Decided(kind="abandoned", at_ms=at_ms, sequence=sequence, reason=reason))

    def refused(self, line: Refused, sequence: int, at_ms: int) -> None:
        """A submission is no task."""
        source = (line.source[0], line.source[1])
        name = line.task or f"{line.client}.{source[0]}"
        record = self._record(name)
        decided = Decided(kind="refused", at_ms=at_ms, sequence=sequence, field=line.field, limit=line.limit)
        if record.refused is None:
            record.refused = (source, decided)
        self._decide(record, decided)

    def claimed(self, line: ClaimedLine, place: Place, at_ms: int) -> None:
        """A node's claim."""
        record = self._record(line.task)
        if len(record.claimed) < _MOST_STEPS:
            record.claimed.append(
                Claimed(
                    node=line.node,
                    at_ms=at_ms,
                    sequence=place[0],
                    line=place[1],
                    attempt=max(0, line.attempt),
                    status=line.status,
                    reason=line.reason,
                    wall_ms=line.wall_ms,
                    fuel=max(0, line.fuel),
                    energy_j=line.energy_j,
                    energy_method=line.energy_method,
                )
            )

    def accepted(self, line: VerdictLine, place: Place, at_ms: int) -> Record:
        """The verdict."""
        record = self._record(line.task)
        if record.settled is None:
            record.settled = Settled(line, place, at_ms)
            if record.source is None and line.source[0]:
                record.source = line.source
            if line.agree:
                record.nodes = line.agree
        return record

    def _decide(self, record: Record, decided: Decided) -> None:
        if len(record.decided) < _MOST_STEPS:
            record.decided.append(decided)

    def _record(self, name: str) -> Record:
        record = self.records.get(name)
        if record is None:
            record = self.records[name] = Record(name, next(self._numbers))
            if len(self.records) > self._most:
                del self.records[next(iter(self.records))]
        return record
