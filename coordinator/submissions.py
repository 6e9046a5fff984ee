"""What comes of a submission until it is a task that waits for nodes: it is admitted, refused, waits for an answer, or is withdrawn.

Guarantees that a task is admitted once, and only when its module, its input and its reward are known to be there; that of those which wait for one answer
each is seen to when it comes; and that a turn admits so many at most. What is asked of the blob store and of other logs is answered by
`lookups`; what fits is `admission`'s to say, and what follows for an admitted task is `schedule`'s.
"""

import numpy as np

from bus.wire import encode
from coordinator.admission import Admission, Question, Unfit
from coordinator.ledger import client_of
from coordinator.schedule import Schedule
from coordinator.settings import Timing
from coordinator.strategies import Strategy
from coordinator.tasks import Task
from sandbox.module import ModuleReport

__all__ = ["Submissions"]

_ADMIT_AT_ONCE = 1024


class Submissions(Schedule):
    """The schedule, and the door to it."""

    def __init__(self, strategy: Strategy, timing: Timing, rng: np.random.Generator) -> None:
        super().__init__(strategy, timing, rng)
        self.admission = Admission()

    def _admit(self, now_ms: int) -> None:
        fresh = self.ledger.fresh
        for _ in range(min(len(fresh), _ADMIT_AT_ONCE)):
            self._admit_one(fresh.popleft(), now_ms)
        self.out.more = self.out.more or bool(fresh)

    def _admit_one(self, task: Task, now_ms: int) -> None:
        if task.closing or task.raw is None:
            return
        if task.spec is not None and not task.admitted:
            answer = self.admission.check(task.spec)
            if isinstance(answer, Question):
                if self.admission.wait(answer, task):
                    self.out.ask.append(answer)
                return
            if answer is not None:
                self.ledger.unfit(task, answer.field, answer.limit)
                return
            if task.reward and not self._holds(task):
                return
            task.admitted = True
            self.ledger.settle(task)
        task.spec = None
        self.begin(task, now_ms)

    def _holds(self, task: Task) -> bool:
        """Whether the task's reward is held, as of now or before; otherwise it waits until it is sure what its client has."""
        client = client_of(task.name)
        if not task.held:
            if self.ledger.purses.free(client) < task.reward:
                question = Question("purse", client)
                if self.admission.wait(question, task):
                    self.out.ask.append(question)
                return False
            self.ledger.hold(task, task.reward)
        return True

    def purse_waiting(self, question: Question) -> int:
        """How many tasks wait to hear what their client has; whoever finds that out does it for these, and not for later ones."""
        return self.admission.waiting(question)

    def purse_known(self, question: Question, asked: int) -> None:
        """ANCHORS and VERDICTS are folded as far as they went when `asked` tasks waited: of these, what is not covered now is refused."""
        waited = self.admission.missing(question)
        for task in waited[:asked]:
            if not task.closing and not task.admitted:
                self._covered(task, question.digest)
        self.ledger.fresh.extend(waited[asked:])

    def _covered(self, task: Task, client: str) -> None:
        free = self.ledger.purses.free(client)
        if free < task.reward:
            limit = f"must be at most the {max(0, free)} msat that {client} has free: deposit more, or wait for verdicts"
            self.ledger.unfit(task, "reward", limit)
        else:
            self.ledger.hold(task, task.reward)
            self.ledger.fresh.append(task)

    def _refuse(self) -> None:
        refusals = list(self.ledger.refusals.values())
        if self.figures is not None:
            self.figures.refused += len(refusals)
        for decision in refusals:
            self.ledger.apply_refused(decision)
            self.out.lines.append((encode(decision), decision))

    def _cancel(self, now_ms: int) -> None:
        cancels = self.ledger.cancels
        while cancels:
            task = cancels.popleft()
            if not task.closing:
                self.abandon(task, "cancelled", "cancelled", "its client withdrew it", now_ms)

    def blob_found(self, question: Question, report: ModuleReport | None = None) -> None:
        """The blob store has it; `report` for a module."""
        self.ledger.fresh.extend(self.admission.found(question, report))

    def module_unfit(self, question: Question, field: str, limit: str) -> None:
        """The blob is no module that any node could run."""
        self.ledger.fresh.extend(self.admission.unfit(question, Unfit(field, limit)))

    def blob_missing(self, question: Question, reason: str) -> None:
        """The blob store does not have it."""
        field = "work.module" if question.what == "module" else "work.input_blob"
        for task in self.admission.missing(question):
            if not task.closing and not task.admitted:
                self.ledger.unfit(task, field, reason)
