"""What the logs and the nodes say, folded: the state from which a coordinator decides.

Guarantees that any bytes in a log are survived (a line that is not understood is counted and skipped), that entries already folded
are skipped by sequence, and that the same entries give the same state however they were cut into sittings or interleaved between logs.
It decides nothing.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bus.errors import Malformed, UnknownKind
from bus.messages import (
    Abandoned,
    Assigned,
    Decision,
    Enrolled,
    Inconclusive,
    Late,
    Leader,
    Refused,
    VerdictStatus,
)
from bus.reader import Entry
from bus.reputation import Reputation
from bus.wire import decode, decoder, split_lines
from coordinator.attempts import Attempts, attempt_key
from coordinator.figures import Figures
from coordinator.intake import Cancel, read_entry
from coordinator.ledger import Ledger
from coordinator.registry import Registry
from coordinator.room import UNKNOWN_MS
from coordinator.settings import Timing
from coordinator.tasks import REPLACED, RUNNING, Holder, Submission, Task
from folds.trimming import Mark
from ledger.payment import share_of
from ledger.reading import CarriedOut, read_anchors

__all__ = ["Fold"]

_ENVELOPE = b'{"payloadType"'
_MANY_CLAIMS = 100_000


_Place = tuple[Annotated[int, Meta(ge=0, le=2**63 - 1)], Annotated[int, Meta(ge=0, le=2**16 - 1)]]


_Amount = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class _Verdict(msgspec.Struct, tag="verdict", tag_field="kind"):
    """The part of a verdict that is read here; its output stays undecoded."""

    task: str
    status: VerdictStatus
    spec: str = ""
    source: _Place = (0, 0)
    agree: tuple[str, ...] = ()
    dissent: tuple[str, ...] = ()
    faulted: tuple[str, ...] = ()
    evidence: tuple[_Place, ...] = ()
    fuel: _Amount = 0
    reward: _Amount = 0
    price: _Amount = 0


class _Claim(msgspec.Struct):
    """The part of a result that is read here: a hint, its signature is the verifier's affair."""

    decision: int
    task: str
    attempt: int
    node: str
    status: Literal["ok", "failed", "fault"]
    wall_ms: float = 0.0


_DECISION: msgspec.json.Decoder[Decision] = msgspec.json.Decoder(Decision)
_LINE: msgspec.json.Decoder[_Verdict | Inconclusive | Late | Leader] = msgspec.json.Decoder(
    _Verdict | Inconclusive | Late | Leader
)
_CLAIM = decoder(_Claim)


class Fold:
    """The state of a cluster's tasks and nodes.

    `positions` says how far each log is folded, `enrolled` where in ASSIGNMENTS each node's last enrolment stands, `marks`
    how far the logs were folded at some times in the past, the oldest first, `verdicts_from` where VERDICTS begins, as far as is known,
    `figures` where what happens is counted: None but for who leads.
    """

    def __init__(self, timing: Timing) -> None:
        self.registry = Registry()
        self.ledger = Ledger(timing.keep_ms)
        self.attempts = Attempts(self.registry, timing)
        self.positions = {"tasks": 0, "assignments": 0, "results": 0, "verdicts": 0, "anchors": 0}
        self.epoch = 0
        self.judged_to = 0
        self.skipped = 0
        self.figures: Figures | None = None
        self.reputation = Reputation()
        self.enrolled: dict[str, int] = {}
        self.marks: list[Mark] = []
        self.verdicts_from = 0
        self.early_claims: dict[tuple[str, str, int], tuple[int, int]] = {}

    # TASKS

    def fold_tasks(self, entry: Entry) -> None:
        """Clients ask."""
        if self._is_old("tasks", entry):
            return
        ledger, read = self.ledger, 0
        for item in read_entry(entry):
            if isinstance(item, Submission):
                ledger.submit(item)
                read += 1
            elif isinstance(item, Cancel):
                ledger.cancel(item.name, item.sequence)
            else:
                ledger.malformed(item)
        ledger.read_to = entry.sequence
        if self.figures is not None:
            self.figures.read += read

    # ASSIGNMENTS

    def fold_assignments(self, entry: Entry, now_ms: int) -> None:
        """A leader decided; `now_ms` is when the nodes in it are first taken note of."""
        if self._is_old("assignments", entry):
            return
        for line in self._lines(entry):
            try:
                decision = decode(line, _DECISION)
            except UnknownKind:
                continue  # a newer peer's, and no damage
            except Malformed:
                self.skipped += 1
                continue
            self._fold_decision(decision, entry, now_ms)

    def _fold_decision(self, decision: Decision, entry: Entry, now_ms: int) -> None:
        match decision:
            case Assigned():
                self.apply_assigned(decision, entry.at_ms, entry.sequence)
            case Abandoned():
                self.apply_abandoned(decision, entry.at_ms)
                self.abandoned(decision)
            case Refused():
                self.ledger.apply_refused(decision)
            case Enrolled():
                if self.registry.key(decision.node) in (None, decision.key):
                    self.registry.enrol(
                        decision.node, decision.key, decision.capabilities, now_ms, present=False
                    )
                    self.enrolled[decision.node] = entry.sequence
            case Leader():
                self.epoch = max(self.epoch, decision.epoch)

    def apply_assigned(self, decision: Assigned, at_ms: int, sequence: int) -> list[Holder]:
        """Give the attempt to its nodes; `sequence` is 0 while the decision is not durable. Returns the new holders."""
        task = self.ledger.apply_assigned(decision, at_ms)
        if task is None:
            return []
        for holder in task.holders if decision.replaces else ():
            if holder.node in decision.replaces:
                self.attempts.given_up(holder)
                holder.state = REPLACED
        started = [self._start(task, decision.attempt, node, at_ms, sequence) for node in decision.nodes]
        self.ledger.overtaken(task)
        return started

    def _start(self, task: Task, attempt: int, node: str, at_ms: int, sequence: int) -> Holder:
        expected_ms = task.shape.estimate.expected_ms if task.shape is not None else None
        row = self.registry.row(node)
        holder = Holder(
            task,
            attempt,
            node,
            row,
            now_ms=at_ms,
            expected_ms=UNKNOWN_MS if expected_ms is None else expected_ms,
        )
        holder.decision = sequence
        task.holders.append(holder)
        self.attempts.start(holder)
        early = self.early_claims.pop((node, holder.key, sequence), None)
        if early is not None:
            self.attempts.answered(node, holder.key, sequence)
            task.claimed, task.quiet_since_ms = early
        return holder

    def apply_abandoned(self, decision: Abandoned, at_ms: int) -> list[Holder]:
        """Give the task up; returns the holders that were still at it."""
        task = self.ledger.apply_abandoned(decision, at_ms)
        running = [holder for holder in task.holders if holder.state == RUNNING] if task is not None else []
        for holder in running:
            self.attempts.given_up(holder)
        return running

    def abandoned(self, decision: Abandoned) -> None:
        """The log has it that the task is given up: from now on a node may be told."""
        task = self.ledger.open.get(decision.task)
        if task is not None and task.closing and task.source == decision.source:
            task.closing_durable = True

    # RESULTS

    def fold_results(self, entry: Entry) -> None:
        """A node claims results. Only the node whose subject it is may free its own room."""
        if self._is_old("results", entry):
            return
        node = entry.subject.rpartition(".")[2]
        for line in self._lines(entry):
            try:
                claim = decode(line, _CLAIM)
            except Malformed:
                self.skipped += 1
                continue
            if claim.node == node:
                self._fold_claim(claim, entry)

    def _fold_claim(self, claim: _Claim, entry: Entry) -> None:
        key = attempt_key(claim.task, claim.attempt)
        holder = self.attempts.answered(claim.node, key, claim.decision)
        if holder is None:
            # Bound to the decision that it names: an attempt that is only guessed at cannot be claimed ahead.
            if claim.decision > self.positions["assignments"] and len(self.early_claims) < _MANY_CLAIMS:
                self.early_claims[claim.node, key, claim.decision] = (entry.sequence, entry.at_ms)
            return
        task = holder.task
        task.quiet_since_ms, task.claimed = entry.at_ms, entry.sequence
        if self.figures is not None:
            told_ms = holder.sent_ms if holder.deliveries == 1 else holder.since_ms
            self.figures.claimed(entry.at_ms - told_ms)
        if task.shape is not None and claim.status != "fault":
            task.shape.estimate.learn(claim.wall_ms)

    # VERDICTS

    def fold_verdicts(self, entry: Entry) -> None:
        """The verifier accepts, wants more, or notes a late result."""
        if self._is_old("verdicts", entry):
            return
        for line in self._lines(entry):
            try:
                judged = decode(line, _LINE)
            except UnknownKind:
                continue
            except Malformed:
                self.skipped += 1
                continue
            if isinstance(judged, _Verdict):
                self._fold_verdict(judged, (entry.sequence, entry.at_ms))
            elif isinstance(judged, Inconclusive):
                self._fold_inconclusive(judged)
            else:
                self.reputation.fold(judged)

    def _fold_verdict(self, verdict: _Verdict, place: tuple[int, int]) -> None:
        self.reputation.count(agreed=verdict.agree, dissented=verdict.dissent, faulted=verdict.faulted)
        for evidence in verdict.evidence:
            self.judged_to = max(self.judged_to, evidence[0])
        paid = 0
        if verdict.reward:
            share = share_of(verdict.reward, verdict.price, verdict.fuel, verdict.status, verdict.agree)
            paid = share * len(verdict.agree)
        task = self.ledger.apply_verdict(
            verdict.task, place, verdict.status, verdict.spec, verdict.source, paid=paid
        )
        if task is not None:
            if self.figures is not None:
                self._count_verdict(self.figures, task, verdict.status, place[1])
            self.verdict_came(task)
            task.holders = []  # holders know their task: without this cycle both go as soon as nobody needs them

    @staticmethod
    def _count_verdict(figures: Figures, task: Task, status: VerdictStatus, at_ms: int) -> None:
        figures.ended(task.name, status, at_ms - task.arrival_ms)
        if task.claimed:
            figures.judged(at_ms - task.quiet_since_ms)

    def _fold_inconclusive(self, line: Inconclusive) -> None:
        self.reputation.fold(line)
        task = self.ledger.apply_inconclusive(line)
        if task is not None:
            self.need_arose(task)

    # ANCHORS

    def fold_anchors(self, entry: Entry) -> None:
        """Clients deposited."""
        if self._is_old("anchors", entry):
            return
        for said in read_anchors(entry.body):
            if said is None:
                self.skipped += 1
            elif isinstance(said, CarriedOut):
                self.ledger.purses.order(said.order)

    def repute(self) -> None:
        """Bring what the verdicts say of nodes into the registry."""
        for node in self.reputation.changed():
            self.registry.set_reputation(node, *self.reputation.counts(node))

    # For whoever decides

    def need_arose(self, task: Task) -> None:
        """The verifier wants more results for the task; here nobody acts on it."""

    def verdict_came(self, task: Task) -> None:
        """The task has its verdict; here nobody acts on it."""

    def _is_old(self, log: str, entry: Entry) -> bool:
        if entry.sequence <= self.positions[log]:
            return True
        self.positions[log] = entry.sequence
        return False

    def _lines(self, entry: Entry) -> list[bytes]:
        """The members of an entry, without the envelope of a signed one."""
        try:
            lines = split_lines(entry.body)
        except Malformed:
            self.skipped += 1
            return []
        return lines[1:] if lines[0].startswith(_ENVELOPE) else lines
