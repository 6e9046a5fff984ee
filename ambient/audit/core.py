"""The audit's core: a pure fold over the four logs, and the judging of what was folded.

Guarantees that the report depends on the entries alone, each log in its own order, not on how the logs were interleaved; that whatever
bytes a log holds, nothing raises; and that a promise is judged from what the logs say and the contract of `bus`, by no service's rule.

A task costs some hundred bytes until the report, in which each name is unpacked, judged and let go. Left to others: reading a cluster's
logs up to fitting ends (`replay`).
"""

from collections.abc import Iterator

import msgspec

from ambient.audit import asked, facts
from ambient.audit.case import Case, Owner, Refusal, Sight
from ambient.audit.decisions import check_decisions
from ambient.audit.ends import check_ends, open_tasks
from ambient.audit.findings import OpenTask, Report, Tally
from ambient.audit.records import Records
from ambient.audit.verdicts import check_verdicts
from bus.errors import BadSignature, Malformed
from bus.messages import (
    INLINE_LIMIT_BYTES,
    Abandoned,
    Assigned,
    Decision,
    Enrolled,
    Inconclusive,
    Late,
    Leader,
    Refused,
    Result,
    Verdict,
    VerdictLine,
)
from bus.reader import Entry
from bus.signing import RESULTS, VERDICTS, open_signed
from bus.streams import KEEP_MS
from bus.wire import decode, decoder, sha256_hex, split_lines

__all__ = ["Audit"]

_DECISION: msgspec.json.Decoder[Decision] = msgspec.json.Decoder(Decision)
_LINE: msgspec.json.Decoder[VerdictLine] = msgspec.json.Decoder(VerdictLine)
_RESULT = decoder(Result)
_LONGEST_NAME = 129  # a client, a dot and an id, each of at most 64 letters


class Audit:
    """Feed it entries with `fold`, each log in order; ask for the `report` whenever it is wanted.

    `retention_ms`: a submission that comes so long after the verdict under its name is a new task.
    """

    def __init__(self, *, retention_ms: int = KEEP_MS) -> None:
        self._retention_ms = retention_ms
        self._facts: dict[str, facts.Packed] = {}
        self._names = facts.Names()
        self._records = Records()
        self._tally = Tally()
        self._owners: dict[int, Owner] = {}
        self._unreadable: dict[facts.Place, int] = {}
        self._refused: dict[facts.Place, list[Refusal]] = {}
        self._unsigned: set[int] = set()
        self._claims = 0
        self._ignored = 0

    def __repr__(self) -> str:
        """How much was read."""
        return f"Audit({self._records!r}, names={len(self._facts)})"

    def spans(self, log: str, first: int, last: int = 0) -> None:
        """The log keeps what is from the sequence `first` to `last` now: what came before is no longer there to be found.

        Without this, a log spans what was folded of it.
        """
        self._records.spans(log, first, last)

    def fold(self, log: str, entry: Entry) -> None:
        """Take in the next entry of `log`, one of `bus.subjects.LOGS`; entries that were folded before are skipped."""
        if not self._records.read(log, entry):
            return
        if log == "tasks":
            self._fold_tasks(entry)
        elif log == "assignments":
            self._fold_assignments(entry)
        elif log == "results":
            self._fold_results(entry)
        else:
            self._fold_verdicts(entry)

    # TASKS

    def _fold_tasks(self, entry: Entry) -> None:
        for item in asked.read(entry):
            self._records.line("tasks")
            match item:
                case asked.Asked(name, line, spec, digests):
                    fact = facts.Submission(
                        (entry.sequence, line), entry.at_ms, facts.binding(*digests), facts.policy(spec.verify),
                        spec.max_attempts, spec.deadline is not None, (spec.reward, spec.price),
                    )  # fmt: skip
                    self._add(name, fact)
                case asked.Withdrawn(name):
                    self._add(name, facts.Cancel(entry.sequence))
                case asked.Unreadable(line):
                    self._unreadable[entry.sequence, line] = entry.at_ms

    # ASSIGNMENTS

    def _fold_assignments(self, entry: Entry) -> None:
        for line, member in enumerate(self._members("assignments", entry)):
            place = (entry.sequence, line)
            try:
                self._decided(decode(member, _DECISION), place, entry.at_ms)
            except (Malformed, OverflowError) as error:
                self._not_understood("assignments", place, error)
            self._records.decided()

    def _decided(self, decision: Decision, place: facts.Place, at_ms: int) -> None:
        match decision:
            case Assigned() | Abandoned():
                self._add(decision.task, self._decision(decision, place, at_ms))
            case Refused():
                self._refused.setdefault(decision.source, []).append(Refusal(place, decision.field == "id"))
            case Enrolled():
                self._enrolled(decision, place)
            case Leader():
                self._tally.examined("epochs")
                before = self._records.epoch
                if not self._records.lead(decision, place[0]):
                    self._violated("epochs", "assignments", place, f"epoch {decision.epoch} after {before}")
        if not self._records.leaders and not self._records.is_trimmed("assignments"):
            self._violated("epochs", "assignments", place, "is decided before anybody leads")

    def _decision(self, decision: Assigned | Abandoned, place: facts.Place, at_ms: int) -> facts.Fact:
        bound = facts.binding(decision.spec, decision.module, decision.input)
        verify = facts.policy(decision.verify)
        if isinstance(decision, Assigned):
            nodes = self._names.numbers(decision.nodes)
            offer = (decision.reward, decision.price)
            return facts.Assignment(
                place, at_ms, decision.source, decision.attempt, bound, verify, nodes, offer
            )
        said = facts.words(decision.reason, decision.detail)
        return facts.GivenUp(place, at_ms, decision.source, decision.status, bound, verify, said)

    def _enrolled(self, decision: Enrolled, place: facts.Place) -> None:
        self._tally.examined("owners")
        node, key = self._names.number(decision.node), self._names.number(decision.key)
        owner = self._owners.setdefault(node, Owner(key, place))
        if owner.key != key:
            detail = f"enrols {decision.node} under another key than {owner.place[0]}, line {owner.place[1]}"
            self._violated("owners", "assignments", place, detail)

    # RESULTS

    def _fold_results(self, entry: Entry) -> None:
        """Nodes may write what they like: what is no signed claim is passed over, and missed where a verdict counts it."""
        try:
            key, members = open_signed(entry.body, RESULTS)
        except (BadSignature, Malformed):
            self._unsigned.add(entry.sequence)
            self._ignored += 1
            return
        node = entry.subject.rpartition(".")[2]
        for line, member in enumerate(members):
            self._records.line("results")
            try:
                result = decode(member, _RESULT)
                if result.node != node or len(result.task) > _LONGEST_NAME:
                    self._ignored += 1
                    continue
                self._add(result.task, self._claim(result, key, (entry.sequence, line)))
                self._claims += 1
            except (Malformed, OverflowError):
                self._ignored += 1

    def _claim(self, result: Result, key: str, place: facts.Place) -> facts.Claim:
        return facts.Claim(
            place=place,
            node=self._names.number(result.node),
            key=self._names.number(key),
            attempt=result.attempt,
            decision=result.decision,
            fault=result.status == "fault",
            sound=_sound(result, result.status == "ok"),
            bound=facts.binding(result.spec, result.module, result.input),
            answer=facts.answer_of(result),
            cost=facts.cost_of(result),
            energy_j=result.energy_j,
        )

    # VERDICTS

    def _fold_verdicts(self, entry: Entry) -> None:
        self._tally.examined("signed")
        try:
            key, members = open_signed(entry.body, VERDICTS)
        except (BadSignature, Malformed) as error:
            self._violated("signed", "verdicts", (entry.sequence, 0), str(error))
            return
        self._records.signed(key, entry.sequence, len(members))
        for line, member in enumerate(members):
            self._records.line("verdicts")
            self._tally.examined("understood")
            place = (entry.sequence, line)
            try:
                self._judged(decode(member, _LINE), place, entry.at_ms)
            except (Malformed, OverflowError) as error:
                self._not_understood("verdicts", place, error)

    def _judged(self, said: VerdictLine, place: facts.Place, at_ms: int) -> None:
        numbers = self._names.numbers
        match said:
            case Verdict():
                self._add(said.task, self._end(said, place, at_ms))
                self._records.verdict(said.status)
            case Inconclusive():
                fact = facts.Question(
                    place, said.need, said.after, numbers(said.exclude), numbers(said.faulted)
                )
                self._add(said.task, fact)
            case Late():
                self._add(
                    said.task,
                    facts.LateLine(place, self._names.number(said.node), said.agrees, said.evidence),
                )

    def _end(self, verdict: Verdict, place: facts.Place, at_ms: int) -> facts.End:
        numbers = self._names.numbers
        return facts.End(
            place=place,
            at_ms=at_ms,
            source=verdict.source,
            status=verdict.status,
            sound=_sound(verdict, verdict.status == "verified"),
            empty=verdict.output is None and not verdict.output_digest,
            attempts=verdict.attempts,
            bound=facts.binding(verdict.spec, verdict.module, verdict.input),
            policy=facts.policy(verdict.verify),
            answer=facts.answer_of(verdict),
            cost=facts.cost_of(verdict),
            said=facts.words(verdict.reason, verdict.detail),
            energy_j=verdict.energy_j,
            agree=numbers(verdict.agree),
            dissent=numbers(verdict.dissent),
            faulted=numbers(verdict.faulted),
            evidence=verdict.evidence,
            offer=(verdict.reward, verdict.price),
        )

    # Reporting

    def report(self, now_ms: int | None = None) -> Report:
        """Judge everything that was folded. `now_ms` dates the ages of open tasks; without it, the newest entry does."""
        tally = self._tally.copy()
        self._records.check_whole(tally)
        sight = Sight(
            self._records.kept, self._records.since_ms, self._owners, self._names, self._unsigned, self._refused,
            self._retention_ms,
        )  # fmt: skip
        still: list[OpenTask] = []
        tasks, known = 0, set(self._unreadable)
        now = self._records.newest_ms if now_ms is None else now_ms
        for name, packed in self._facts.items():
            case = Case(name, facts.unpack(packed), sight, tally)
            check_ends(case)
            check_decisions(case)
            check_verdicts(case)
            still += open_tasks(case, now)
            tasks += bool(case.facts.submissions or case.lives or case.facts.verdicts)
            known.update(source for source in case.facts.submissions if source in self._refused)
        still += self._unrefused(tally, sight, now)
        self._check_refusals(tally, sight, known)
        return self._records.report(
            tally,
            open_tasks=sorted(still, key=lambda task: (task.since_ms, task.source)),
            tasks=tasks,
            refused=len(self._refused),
            claims=self._claims,
            ignored=self._ignored,
        )

    def _unrefused(self, tally: Tally, sight: Sight, now_ms: int) -> Iterator[OpenTask]:
        """What is no task is refused once; until then it is open."""
        for source, at_ms in self._unreadable.items():
            tally.examined("one-end")
            refusals = self._refused.get(source, [])
            for again in refusals[1:]:
                detail = f"refuses {source[0]}, line {source[1]} of TASKS again"
                tally.violated("one-end", "", "assignments", again.place, detail)
            if not refusals and sight.may_have_ended("assignments", at_ms):
                tally.trimmed("one-end")
            elif not refusals:
                yield OpenTask("", source, "unrefused", at_ms, max(0, now_ms - at_ms), 0, ())

    def _check_refusals(self, tally: Tally, sight: Sight, known: set[facts.Place]) -> None:
        for source, refusals in self._refused.items():
            tally.examined("asked")
            if source in known:
                continue
            if sight.hidden("tasks", source[0]):
                tally.trimmed("asked")
            else:
                detail = f"refuses {source[0]}, line {source[1]} of TASKS, where nothing was asked"
                tally.violated("asked", "", "assignments", refusals[0].place, detail)

    # Shared

    def _add(self, name: str, fact: facts.Fact) -> None:
        self._facts[name] = facts.add(self._facts.get(name), fact)

    def _members(self, log: str, entry: Entry) -> list[bytes]:
        try:
            members = split_lines(entry.body)
        except Malformed as error:
            self._tally.examined("understood")
            self._not_understood(log, (entry.sequence, 0), error)
            return []
        self._records.line(log, len(members))
        self._tally.examined("understood", len(members))
        return members

    def _not_understood(self, log: str, place: facts.Place, error: Exception) -> None:
        self._violated("understood", log, place, str(error))

    def _violated(self, promise: str, log: str, place: facts.Place, detail: str) -> None:
        self._tally.violated(promise, "", log, place, detail)


def _sound(said: Result | Verdict, needs_output: bool) -> bool:  # noqa: FBT001 -- whether an output must be there
    """Whether an output is the one that its digest and size name; a large one is a blob, and is not here."""
    if said.output is None:
        return not needs_output or said.output_size > INLINE_LIMIT_BYTES
    return len(said.output) == said.output_size and sha256_hex(said.output) == said.output_digest
