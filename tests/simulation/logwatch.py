"""What must hold of the logs, looked at with every write.

It reads the logs with the published message types, and knows nothing of the cores: a broken promise is seen here whoever broke it.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from bus.messages import (
    Abandoned,
    Assigned,
    Decision,
    Enrolled,
    Inconclusive,
    Leader,
    Quorum,
    Refused,
    Result,
    Verdict,
    VerdictLine,
)
from bus.reader import Entry
from bus.wire import decode, decoder
from coordinator.intake import read_entry
from coordinator.tasks import Submission
from sandbox.job import Job
from tests.simulation import guest
from tests.simulation.promises import hold, members
from workers.attempt import seed

if TYPE_CHECKING:
    from tests.simulation.server import Log
    from tests.simulation.world import World

__all__ = ["LogWatch"]

_DECISION: msgspec.json.Decoder[Decision] = msgspec.json.Decoder(Decision)
_LINE: msgspec.json.Decoder[VerdictLine] = msgspec.json.Decoder(VerdictLine)
_RESULT = decoder(Result)


@dataclass(slots=True)
class _Task:
    """What the logs say of one name."""

    assigned: dict[int, tuple[int, Assigned]] = field(default_factory=dict)
    abandoned: Abandoned | None = None
    verdict: Verdict | None = None


class LogWatch:
    """The state of the promises. Each `on_…` is called with a stored entry."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.tasks: dict[str, _Task] = {}
        self.submitted: dict[tuple[int, int], Submission | Refused] = {}
        self.refused: dict[tuple[int, int], Refused] = {}
        self.unsettled: set[tuple[int, int]] = set()
        self.decided: list[tuple[int, Assigned]] = []
        self._ids: set[str] = set()
        self._bare: set[bytes] = set()
        self._bodies: dict[str, Submission] = {}
        self._owners: dict[str, str] = {}
        self._epochs = {"assignments": 0, "verdicts": 0}
        self._results: list[list[Result]] = []
        self._marks: dict[str, list[str]] = {"assignments": [], "verdicts": []}
        self._lies = sum(1 for node in world.scenario.nodes if node.lies)

    def task(self, name: str) -> _Task:
        """The record of a name, made if need be."""
        return self.tasks.setdefault(name, _Task())

    # Writes

    def stored(self, log: "Log", entry: Entry, mark: str) -> None:
        """A message is in a log."""
        hold(
            log.last_id not in self._ids, "what is sent again is stored once", f"{log.last_id} in {log.name}"
        )
        self._ids.add(log.last_id)
        if log.name == "tasks":
            self._on_tasks(entry)
        elif log.name == "results":
            self._on_results(entry)
        else:
            self._on_mark(log, mark)
            on = self._on_decision if log.name == "assignments" else self._on_line
            kind: Any = _DECISION if log.name == "assignments" else _LINE
            for line in members(entry.body):
                on(entry.sequence, kind.decode(line))

    def _on_results(self, entry: Entry) -> None:
        results = [decode(line, _RESULT) for line in members(entry.body)]
        self._results.append(results)
        for result in results:
            known = self.task(result.task)
            given = known.assigned.get(result.attempt)
            if given is None or result.node not in given[1].nodes or given[0] != result.decision:
                self._world.met("claim of a node that was not asked")
            elif known.verdict is not None:
                self._world.met("claim after the verdict")

    def _on_mark(self, log: "Log", mark: str) -> None:
        """A writer that has a successor never writes again."""
        marks = self._marks[log.name]
        if not marks or marks[-1] != mark:
            hold(
                mark not in marks,
                "a stale writer is refused",
                f"{mark} wrote to {log.name} after {marks[-1:]}",
            )
            marks.append(mark)

    def _on_tasks(self, entry: Entry) -> None:
        for line, item in enumerate(read_entry(entry)):
            if isinstance(item, Submission | Refused):
                self.submitted[entry.sequence, line] = item
                self.unsettled.add((entry.sequence, line))
                if isinstance(item, Submission):
                    self._check_bare(item)
                    self._count_again(item)
                    known = self.tasks.get(item.name)
                    if known is not None and known.verdict is not None:
                        self._settle(item.name)

    def _count_again(self, item: Submission) -> None:
        body = self._bodies.setdefault(item.name, item)
        if body is not item:
            same = body.digest == item.digest
            self._world.met(f"id used again, {'same' if same else 'other'} body")
            if self.task(item.name).verdict is not None:
                self._world.met(f"{'submitted again' if same else 'other body'} after the verdict")

    def _check_bare(self, item: Submission) -> None:
        """No two lines without id are alike in a scenario, so each is stored once, however often it was sent."""
        if item.spec.id is None:
            hold(item.raw not in self._bare, "what is sent again is stored once", item.name)
            self._bare.add(item.raw)

    def _on_decision(self, sequence: int, decision: Decision) -> None:
        match decision:
            case Assigned():
                self._on_assigned(sequence, decision)
            case Abandoned():
                task = self.task(decision.task)
                hold(task.abandoned is None, "a task is given up once", decision.task)
                task.abandoned = decision
                self._world.met(f"given up: {decision.status}")
            case Refused():
                hold(decision.source in self.submitted, "what is refused was asked", str(decision))
                hold(decision.source not in self.refused, "a submission is refused once", str(decision))
                hold(decision.source in self.unsettled, "what has a verdict is not refused", str(decision))
                self.refused[decision.source] = decision
                self._world.met("refused")
                self.unsettled.discard(decision.source)
            case Enrolled():
                self._owners.setdefault(decision.node, decision.key)
            case Leader():
                self._on_leader("assignments", decision)

    def _on_leader(self, log: str, line: Leader) -> None:
        before = self._epochs[log]
        hold(line.epoch == before + 1, "epochs follow each other", f"{log}, {before}: {line}")
        self._epochs[log] = line.epoch

    def _on_assigned(self, sequence: int, assigned: Assigned) -> None:
        task, key = self.task(assigned.task), f"{assigned.task}#{assigned.attempt}"
        item = self.submitted.get(assigned.source)
        hold(isinstance(item, Submission), "what is assigned was asked", key)
        assert isinstance(item, Submission)
        hold(assigned.attempt not in task.assigned, "one decision for an attempt", key)
        hold(assigned.attempt == len(task.assigned) + 1, "attempts are numbered one by one", key)
        hold(assigned.attempt <= item.spec.max_attempts, "no attempt beyond max_attempts", key)
        hold(task.abandoned is None, "what is given up is not assigned", key)
        nodes = assigned.nodes
        hold(len(set(nodes)) == len(nodes), "replicas are on different nodes", f"{key}: {nodes}")
        hold(all(node in self._owners for node in nodes), "only enrolled nodes get work", f"{key}: {nodes}")
        task.assigned[assigned.attempt] = (sequence, assigned)
        if assigned.attempt > 1:
            self._world.met("retry")
        self.decided.append((sequence, assigned))

    # Verdicts

    def _on_line(self, sequence: int, line: VerdictLine) -> None:
        if isinstance(line, Inconclusive):
            self._world.met("inconclusive")
            hold(self.task(line.task).verdict is None, "no question after the verdict", line.task)
        elif isinstance(line, Leader):
            self._on_leader("verdicts", line)
        if not isinstance(line, Verdict):
            return
        task, name = self.task(line.task), line.task
        hold(task.verdict is None, "one verdict for a task", f"{name} again at {sequence}")
        task.verdict = line
        voters = (*line.agree, *line.dissent)
        hold(len(set(voters)) == len(voters), "a node votes once", f"{name}: {voters}")
        if line.dissent:
            self._world.met("dissent")
        if line.agree:
            self._world.met(line.status)
            self._check_evidence(line, task)
        else:
            hold(task.abandoned is not None, "a verdict has evidence or was given up", name)
            assert task.abandoned is not None
            hold(line.status == task.abandoned.status, "a task ends as it was given up", name)
        self._settle(name)

    def _settle(self, name: str) -> None:
        verdict = self.tasks[name].verdict
        assert verdict is not None
        for source in list(self.unsettled):
            item = self.submitted[source]
            if isinstance(item, Submission) and item.name == name and item.digest.hex() == verdict.spec:
                self.unsettled.discard(source)

    def _check_evidence(self, verdict: Verdict, task: _Task) -> None:
        name, most = verdict.task, verdict.verify.agree if isinstance(verdict.verify, Quorum) else 1
        hold(len(verdict.agree) >= most, "a quorum agrees", f"{name}: {verdict.agree} of {most}")
        item = self.submitted[verdict.source]
        assert isinstance(item, Submission)
        hold(item.spec.verify == verdict.verify, "the policy asked for is applied", name)
        hold(item.digest.hex() == verdict.spec, "a verdict is about what was asked", name)
        for node, (sequence, line) in zip((*verdict.agree, *verdict.dissent), verdict.evidence, strict=True):
            result = self._results[sequence - 1][line]
            same = (result.output_digest, result.trace) == (verdict.output_digest, verdict.trace)
            hold((result.node, result.task) == (node, name), "evidence is what it says", name)
            hold(same == (node in verdict.agree), "who agrees has said so", f"{name}: {node}")
            given = task.assigned.get(result.attempt)
            hold(
                given is not None and node in given[1].nodes and result.decision == given[0],
                "only assigned nodes count", f"{name}: {node}",
            )  # fmt: skip
        if most > self._lies and (most > 1 or not self._lies):
            self._check_answer(verdict, item)

    def _check_answer(self, verdict: Verdict, item: Submission) -> None:
        """With fewer liars than a quorum needs, the answer is the honest one."""
        job = Job(module="", args=list(item.spec.work.args), seed=seed(verdict.task, item.digest.hex()))
        true = guest.run(job, 0.0)
        status = "verified" if true.status == "ok" else true.status
        said = (verdict.status, verdict.output, verdict.trace)
        hold(said == (status, true.output, true.trace), "the answer is right", f"{verdict.task}: {said}")
