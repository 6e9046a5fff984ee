"""The verifier's core: a pure fold over ASSIGNMENTS, RESULTS and VERDICTS, and the judging of what was folded.

Folding and judging are apart. `fold_*` take in facts, in any interleaving of the three logs, and decide nothing; `judge` decides all
that the facts allow and is called by the leader only. So a standby is the same fold without the last call, a restart is a
standby that takes over, and what is already in VERDICTS wins by being folded before `judge` is called.

Guarantees: at most one verdict per task comes out of `judge`, ever, also across restarts if VERDICTS was folded to its end before;
a node counts once per task; nothing that a node or client wrote makes a fold raise.

Left to the shell: the order between RESULTS and ASSIGNMENTS (`verifier.merge`), making lines durable, telling anyone.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

import msgspec
import structlog

from bus.errors import BadSignature, Malformed, UnknownKind
from bus.messages import (
    Abandoned,
    Assigned,
    Decision,
    Enrolled,
    Inconclusive,
    Late,
    Leader,
    Result,
    Verdict,
    VerdictLine,
)
from bus.reputation import Reputation
from bus.signing import VERDICTS, open_signed
from bus.wire import decode, encode, split_lines
from verifier import agreement, lines, policies
from verifier.claims import UNUSABLE, Claims, Refusal, contradiction
from verifier.figures import Figures
from verifier.settled import Settled
from verifier.tasks import Attempts, OpenTask, Place, Vote, find_attempt

__all__ = ["Core", "Emission"]

_log = structlog.get_logger("verifier.core")
_DECISION: msgspec.json.Decoder[Decision] = msgspec.json.Decoder(Decision)
_LINE: msgspec.json.Decoder[VerdictLine] = msgspec.json.Decoder(VerdictLine)


class Emission(NamedTuple):
    """A line for VERDICTS. `together` says how the task was submitted, and so how its client is told."""

    line: bytes
    message: VerdictLine
    together: bool


class Core:
    """Everything one verifier knows. `counters` counts ignored input by reason."""

    def __init__(self, figures: Figures | None = None) -> None:
        self.decided = 0
        self.epoch = 0
        self.figures = figures or Figures()
        self.counters = self.figures.ignored
        self.reputation = Reputation()
        self.owners: dict[str, str] = {}
        self.open: dict[str, OpenTask] = {}
        self.settled = Settled()
        self._dirty: dict[str, None] = {}

    def __repr__(self) -> str:
        """How much is known."""
        return f"Core(decided={self.decided}, open={len(self.open)}, {self.settled!r})"

    @property
    def open_tasks(self) -> int:
        """Tasks without a verdict."""
        return len(self.open)

    @property
    def nodes(self) -> int:
        """Enrolled nodes."""
        return len(self.owners)

    def place(self, name: str) -> Place | None:
        """Where in VERDICTS (sequence, line) the task's verdict is; None until it is durable."""
        return self.settled.place(name)

    def owner(self, node: str) -> str | None:
        """The key (hex) that owns a node id, None where nobody enrolled it."""
        return self.owners.get(node)

    def reopen(self, name: str, task: OpenTask) -> None:
        """Go on with a task that was kept; it is judged anew."""
        self.open[name] = task
        self._dirty[name] = None

    # -- ASSIGNMENTS -----------------------------------------------------------------------------------

    def fold_decisions(self, sequence: int, body: bytes) -> None:
        """Take in one entry of ASSIGNMENTS."""
        for line in _split(body):
            try:
                decision = decode(line, _DECISION)
            except UnknownKind:
                continue  # a newer peer's, and no damage
            except Malformed as error:
                self._ignore("malformed decision", sequence=sequence, detail=str(error))
                continue
            if type(decision) is Assigned:
                self._assigned(sequence, decision)
            elif type(decision) is Enrolled:
                # The first key to claim a node id owns it, for ever: a later claim is a take-over attempt.
                self.owners.setdefault(decision.node, decision.key)
            elif type(decision) is Abandoned:
                self._abandoned(decision)
        self.decided = sequence

    def _abandoned(self, decision: Abandoned) -> None:
        name = decision.task
        if name in self.open or not self.settled.has(name, decision.source):
            self._task(name).abandoned = decision
            self._dirty[name] = None

    def _assigned(self, sequence: int, assigned: Assigned) -> None:
        name = assigned.task
        if name not in self.open and self.settled.has(name, assigned.source):
            self.settled.owe(name, sequence, assigned)
            return
        task = self._task(name)
        if task.attempts:
            first = task.attempts[0][1]
            same = (first.spec, first.module, first.input) == (assigned.spec, assigned.module, assigned.input)
            if not same or find_attempt(task.attempts, assigned.attempt) is not None:
                self._ignore("contradicting decision", sequence=sequence, task=name, path=assigned.path)
                return
        task.attempts += ((sequence, assigned),)
        if task.votes or task.faults:
            self._dirty[name] = None

    def _task(self, name: str) -> OpenTask:
        task = self.open.get(name)
        if task is None:
            task = self.open[name] = OpenTask()
        return task

    # -- RESULTS ---------------------------------------------------------------------------------------

    def refuse(self, refusal: Refusal) -> None:
        """Count an entry of RESULTS that could not be opened."""
        self._ignore(refusal.reason, sequence=refusal.sequence, detail=refusal.detail)

    def refuse_future(self, count: int) -> None:
        """Count answers to decisions that the log does not hold."""
        self.counters["future decision"] += count

    def fold_claims(self, claims: Claims) -> None:
        """Take in one opened entry of RESULTS; ASSIGNMENTS must be folded up to its horizon."""
        if claims.malformed:
            self.counters["malformed"] += claims.malformed
        owner = self.owners.get(claims.node)
        if owner != claims.key:
            reason = "unknown node" if owner is None else "wrong key"
            self.counters[reason] += len(claims.members)
            _log.debug("claims ignored", reason=reason, sequence=claims.sequence, node=claims.node)
            return
        for line, result in claims.members:
            reason = self._claim(claims.node, result, (claims.sequence, line))
            if reason:
                task = self.open.get(result.task)
                self._ignore(
                    reason,
                    sequence=claims.sequence,
                    line=line,
                    task=result.task,
                    path=task.path if task is not None else "",
                    node=claims.node,
                )

    def _claim(self, node: str, result: Result, place: Place) -> str:
        """Count one result, or say why not."""
        if result.node != node:
            return "wrong node"
        if result.decision > self.decided:
            return "future decision"
        name = result.task
        task = self.open.get(name)
        if task is None:
            return self._claim_late(node, result, place)
        reason = _unfit(task.attempts, node, result)
        if reason and reason not in UNUSABLE:
            return reason
        if task.heard(node, result.attempt):
            return "duplicate"
        if reason or result.status == "fault":
            task.faults += ((node, result.attempt),)
        else:
            key = agreement.of_result(result)
            vote = Vote(key, place, result.attempt, result.energy_j, result.energy_method)
            task.vote(node, vote, result)
        self._dirty[name] = None
        return reason

    def _claim_late(self, node: str, result: Result, place: Place) -> str:
        attempts = self.settled.owed(result.task, node, result.attempt)
        if not attempts:
            return "settled" if result.task in self.settled else "not assigned"
        reason = _unfit(attempts, node, result)
        if reason and reason not in UNUSABLE:
            return reason
        if reason or result.status == "fault":  # neither honest nor false: there is nothing to agree with
            self.settled.fault(result.task, node, result.attempt)
        elif self.settled.hear(result.task, node):
            key, path = agreement.of_result(result), attempts[0][1].path
            self.settled.add_late(result.task, node, key, place, path)
        return reason

    # -- VERDICTS --------------------------------------------------------------------------------------

    def fold_verdicts(self, sequence: int, body: bytes) -> None:
        """Take in one entry of VERDICTS that was written before or by another verifier.

        Any key may have signed it: who may write to this log is the bus' permission, and verifiers have keys of their own.
        """
        try:
            _, members = open_signed(body, VERDICTS)
        except (BadSignature, Malformed) as error:
            self._ignore("foreign verdicts", sequence=sequence, detail=str(error))
            return
        for at, line in enumerate(members):
            try:
                message = decode(line, _LINE)
            except UnknownKind:
                continue
            except Malformed as error:
                self._ignore("foreign verdicts", sequence=sequence, detail=str(error))
                continue
            self._fold_line(message, (sequence, at))

    def _fold_line(self, message: VerdictLine, place: Place) -> None:
        if type(message) is Verdict:
            if self.settled.has(message.task, message.source):
                self._ignore("second verdict", sequence=place[0], task=message.task, path=message.path)
                return
            counted = (*message.agree, *message.dissent)
            self._close(message.task, agreement.of_verdict(message), counted, message.source, place)
        elif type(message) is Inconclusive:
            # Also where there is a verdict under this name already: then that was of an earlier task.
            task = self._task(message.task)
            task.asked_after = max(task.asked_after, message.after)
            task.named += message.faulted
        elif type(message) is Late:
            self.settled.forget_late(message.task, message.node)
        elif type(message) is Leader:
            self.epoch = max(self.epoch, message.epoch)
        self.reputation.fold(message)

    def placed(self, sequence: int, emissions: Iterable[Emission]) -> None:
        """The lines of `emissions` are durable, together at `sequence`."""
        for at, (_, message, _) in enumerate(emissions):
            if type(message) is Verdict:
                self.settled.set_place(message.task, (sequence, at))
            self.figures.wrote(message)
            self.reputation.fold(message)

    # -- judging ---------------------------------------------------------------------------------------

    def lead(self, leader: str) -> Emission:
        """Begin to judge, under the next epoch; VERDICTS must be folded to its end. Returns the line to write before any other."""
        self.epoch += 1
        line = Leader(epoch=self.epoch, leader=leader)
        return Emission(encode(line), line, together=False)

    def judge(self) -> list[Emission]:
        """Decide all that can be decided; the lines to write, in order. Each is given out once."""
        emissions: list[Emission] = []
        dirty, self._dirty = self._dirty, {}
        for name in dirty:
            task = self.open.get(name)
            if task is not None:
                emissions.extend(self._judge(name, task))
        emissions.extend(Emission(encode(late), late, together=False) for late in self.settled.take_late())
        return emissions

    def _judge(self, name: str, task: OpenTask) -> Iterable[Emission]:
        outcome: policies.Decision = policies.Wait()
        # Answers may only be weighed once it is known what was asked.
        if task.attempts and (task.votes or task.faults):
            outcome = policies.policy_for(task.attempts[0][1].verify).decide(task.standing())
        if isinstance(outcome, policies.Accept):
            verdict = lines.accepted(name, task, outcome)
            key = task.votes[outcome.agreeing[0]].key
            self._close(name, key, task.votes, verdict.source)
            return (Emission(encode(verdict), verdict, task.attempts[0][1].together),)
        if task.abandoned is not None:
            verdict = lines.given_up(task, task.abandoned)
            self._close(name, agreement.NOTHING, (), verdict.source)
            return (Emission(encode(verdict), verdict, task.abandoned.together),)
        if isinstance(outcome, policies.Inconclusive) and not task.need_is_open:
            need = lines.undecided(name, task, outcome)
            task.asked_after = need.after
            task.named += need.faulted
            return (Emission(encode(need), need, together=False),)
        return ()

    def _close(
        self, name: str, key: bytes, counted: Collection[str], source: Place, place: Place = (0, 0)
    ) -> None:
        task = self.open.pop(name, None) or OpenTask()
        self._dirty.pop(name, None)
        self.settled.close(name, task, key, counted, source=source, place=place)

    def _ignore(self, reason: str, **facts: object) -> None:
        self.counters[reason] += 1
        _log.debug("ignored", reason=reason, **facts)


def _unfit(attempts: Attempts, node: str, result: Result) -> str:
    """Why a result cannot count for a task with these attempts; empty if it can."""
    found = find_attempt(attempts, result.attempt)
    if found is None or node not in found[1].nodes:
        return "not assigned"
    return contradiction(result, *found)


def _split(body: bytes) -> list[bytes]:
    try:
        return split_lines(body)
    except Malformed:
        return []
