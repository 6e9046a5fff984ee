"""The tasks of a cluster as the logs tell them: open ones, finished ones, and submissions that are no tasks.

Guarantees that the logs may be folded in any interleaving, each in its own order: a decision read before its submission, or a
verdict before either, ends in the same state. So nothing that is decided in a log is ever decided again, and the same id is one task.

Left to others: what is decided (`core`), and which nodes hold what (`attempts`).
"""

from collections import OrderedDict, deque

from bus.messages import Abandoned, Assigned, Inconclusive, Refused, VerdictStatus
from bus.wire import sha256_hex
from coordinator.tasks import (
    FINISHED_BYTES,
    NO_INPUT,
    Finished,
    Shapes,
    Source,
    Submission,
    Task,
    pack_finished,
    unpack_finished,
)
from folds.remembered import Remembered
from ledger.purses import Purses

__all__ = ["Ledger", "client_of"]

_REMEMBERED = 10_000


class Ledger:
    """Every task there is. `open` by full name; `finished` packed; `refusals` not yet written, by source.

    A name is free again for a submission that comes more than `keep_ms` after its verdict. By the server's time stamps of
    the two, so that whoever folds the logs finds the same; what is in `finished` for longer does not count. VERDICTS must not lag
    that far behind the other logs, so it is read first.
    """

    def __init__(self, keep_ms: int) -> None:
        self.keep_ms = keep_ms
        self.open: dict[str, Task] = {}
        self.finished = Remembered(FINISHED_BYTES)
        self.refusals: dict[Source, Refused] = {}
        self.fresh: deque[Task] = deque()
        self.cancels: deque[Task] = deque()
        self.leading = False
        self.again: deque[tuple[int, str, int]] = deque(maxlen=_REMEMBERED)
        self.refused: OrderedDict[str, Refused] = OrderedDict()
        self.ended: deque[str] = deque(maxlen=_REMEMBERED)
        self.shapes = Shapes()
        self.purses = Purses()
        self.read_to = 0
        self.bytes_open = 0
        self.held_open = 0
        self.refused_ahead: set[Source] = set()
        self.early_needs: dict[str, Inconclusive] = {}

    def __repr__(self) -> str:
        """How many tasks are in which state."""
        return f"Ledger(open={len(self.open)}, finished={len(self.finished)}, refusals={len(self.refusals)})"

    # What clients wrote

    def submit(self, submission: Submission) -> None:
        """Fold a well-formed line of TASKS."""
        name, source = submission.name, submission.source
        if source in self.refused_ahead:
            self.refused_ahead.discard(source)
            return
        task = self.open.get(name)
        if task is not None and task.source == source:
            self.attach(task, submission)
            return
        known = self.known(name)
        if known is not None and not self._is_free(known, submission):
            self._submit_finished(submission, known)
        elif task is None:
            self._create(submission)
        elif task.settled:
            self._rival(task, submission)
        else:
            # Who owns the name is open until the first submission is accepted or refused.
            task.rivals = [*(task.rivals or ()), submission]

    def malformed(self, refusal: Refused) -> None:
        """Fold a line of TASKS that is no submission."""
        if refusal.source in self.refused_ahead:
            self.refused_ahead.discard(refusal.source)
        else:
            self.refusals[refusal.source] = refusal

    def lead(self) -> None:
        """From now on, what is new is listed in `fresh` and `cancels` for whoever decides; what is there, at once."""
        self.leading = True
        self.fresh.extend(task for task in self.open.values() if task.raw is not None)
        self.cancels.extend(task for task in self.open.values() if task.cancelled and not task.closing)

    def cancel(self, name: str, sequence: int) -> None:
        """Fold a client's wish to withdraw a task; without an open task of that name there is nothing to withdraw."""
        task = self.open.get(name)
        # A task that is known from a decision may have been submitted only after this.
        if task is None or task.source[0] > sequence:
            return
        if not task.closing:
            if self.leading and not task.cancelled:
                self.cancels.append(task)
            task.cancelled = max(task.cancelled, sequence)

    def unfit(self, task: Task, field: str, limit: str) -> None:
        """A well-formed submission cannot run: it is to be refused, and its name is free for the next."""
        refusal = Refused(
            client=task.name.partition(".")[0],
            source=task.source,
            field=field,
            limit=limit[:2000],
            task=task.name,
            path=task.path,
        )
        self._withdraw(task)
        self.refusals[task.source] = refusal

    def settle(self, task: Task) -> None:
        """The task owns its name from now on: what came under the same name meanwhile is a copy, or refused."""
        rivals, task.rivals = task.rivals, None
        for rival in rivals or ():
            self._rival(task, rival)

    # What was decided

    def apply_assigned(self, decision: Assigned, at_ms: int) -> Task | None:
        """The open task of a decision, made if need be; None where the decision changes nothing any more."""
        task = self.open.get(decision.task)
        if task is None:
            if self._is_finished(decision.task, decision.source):
                return None
            task = self._from_decision(decision, at_ms)
        elif decision.attempt <= task.attempt or decision.source < task.source:
            return None
        task.attempt = decision.attempt
        if decision.attempt == 1 or not decision.replaces:
            task.answered_need = decision.attempt
        if decision.reward and not task.held:
            self.hold(task, decision.reward)
        self.settle(task)
        return task

    def apply_abandoned(self, decision: Abandoned, at_ms: int) -> Task | None:
        """The open task that is given up; None where it already has a verdict."""
        task = self.open.get(decision.task)
        if task is None:
            if self._is_finished(decision.task, decision.source):
                return None
            task = self._from_decision(decision, at_ms)
        task.closing = True
        self.settle(task)
        self._uncount(task)
        return task

    def apply_refused(self, decision: Refused) -> None:
        """A submission is refused, by us or by another leader."""
        name, source = decision.task, decision.source
        self._remember(decision)
        if self.refusals.pop(source, None) is not None:
            return
        task = self.open.get(name) if name is not None else None
        if task is not None and task.source == source:
            self._withdraw(task)
        elif task is not None and task.rivals and any(rival.source == source for rival in task.rivals):
            task.rivals = [rival for rival in task.rivals if rival.source != source]
        elif source[0] > self.read_to:
            self.refused_ahead.add(source)

    # What is held

    def hold(self, task: Task, reward: int) -> None:
        """Set the reward aside until the task has its verdict."""
        task.held = reward
        self.purses.hold(client_of(task.name), reward)

    def release(self, task: Task) -> None:
        """Nothing is held for the task any more."""
        if task.held:
            self.purses.release(client_of(task.name), task.held)
            task.held = 0

    # What was accepted

    def apply_verdict(
        self,
        name: str,
        place: tuple[int, int],
        status: VerdictStatus,
        spec: str,
        source: Source,
        *,
        paid: int = 0,
    ) -> Task | None:
        """Close a task whose verdict stands at `place`, (sequence, time in ms), and cost its client `paid`; returns the task if it was open."""
        task = self.open.pop(name, None)
        if task is None and self._is_finished(name, source):
            return None
        self.early_needs.pop(name, None)
        if paid:
            self.purses.pay(client_of(name), paid)
        if task is not None:
            self.release(task)
            self._own(task, source, spec)
            task.closing = True
            self._uncount(task)
            self.settle(task)
            source = task.source
        digest = task.digest if task is not None else _from_hex(spec)
        sequence, at_ms = place
        finished = Finished(digest, sequence, source, status, at_ms)
        self.finished.put(name, pack_finished(finished), sequence)
        self.ended.append(name)
        return task

    def apply_inconclusive(self, line: Inconclusive) -> Task | None:
        """The verifier wants more results; returns the task if it is open and the need is new."""
        task = self.open.get(line.task)
        if task is None or task.attempt < line.after:
            self.early_needs[line.task] = line
            return None
        return task if self._want(task, line) else None

    def overtaken(self, task: Task) -> bool:
        """Apply an `inconclusive` that was read before the attempt it speaks of; whether there was one."""
        line = self.early_needs.get(task.name)
        if line is None or line.after > task.attempt:
            return False
        del self.early_needs[task.name]
        return self._want(task, line)

    @staticmethod
    def _want(task: Task, line: Inconclusive) -> bool:
        task.excluded = task.excluded.union(line.exclude, line.faulted)
        if line.after < max(task.answered_need, task.need_after):
            return False
        task.need, task.need_after = line.need, line.after
        return True

    # Records

    def _create(self, submission: Submission) -> None:
        task = Task(submission.name, submission.source, submission.at_ms)
        self.open[task.name] = task
        self.attach(task, submission)

    def attach(self, task: Task, submission: Submission) -> None:
        """Give a record what its client wrote."""
        if task.raw is not None:
            return
        spec = submission.spec
        task.raw = submission.raw
        task.digest = submission.digest
        task.arrival_ms = submission.at_ms
        task.shape = self.shapes.of(spec)
        task.priority = spec.priority
        task.deadline_ms = None if spec.deadline is None else int(spec.deadline.timestamp() * 1000)
        task.max_attempts = spec.max_attempts
        task.reward, task.price = spec.reward, spec.price
        task.together = submission.together
        task.path = submission.path
        if spec.work.input_blob is not None:
            task.input = spec.work.input_blob[7:]
        elif spec.work.input:
            task.input = sha256_hex(spec.work.input)
        if task.settled:
            task.admitted = True
        else:
            task.spec = spec
        if task.closing:
            task.raw = None
            return
        if self.leading:
            self.fresh.append(task)
        self.held_open += 1
        self.bytes_open += len(task.raw)

    def _from_decision(self, decision: Assigned | Abandoned, at_ms: int) -> Task:
        """The record of a task whose submission has not been read yet."""
        task = self.open[decision.task] = Task(decision.task, decision.source, at_ms)
        task.digest = _from_hex(decision.spec)
        task.input = decision.input or NO_INPUT
        task.together = decision.together
        task.path = decision.path
        return task

    def _rival(self, task: Task, submission: Submission) -> None:
        """A second submission under a name that is taken: a copy is harmless, anything else is refused.

        Until the log says whose the name is, a copy is kept: a next leader may refuse what this one admitted (its module may be gone by
        then), and then the copy wants an answer of its own.
        """
        if submission.digest != task.digest:
            self._refuse_id(submission)
        elif not task.attempt and not task.closing:
            task.rivals = [*(task.rivals or ()), submission]

    @staticmethod
    def _own(task: Task, source: Source, spec: str) -> None:
        """A verdict names the submission that owned the name: an earlier one was refused, and what says so was not read yet."""
        if task.settled or source in ((0, 0), task.source):
            return
        task.source, task.digest = source, _from_hex(spec)
        task.rivals = [rival for rival in task.rivals or () if rival.source > source]

    def known(self, name: str) -> Finished | None:
        """What is remembered of the last finished task of that name."""
        packed = self.finished.get(name)
        return None if packed is None else unpack_finished(packed)

    def _is_finished(self, name: str, source: Source) -> bool:
        """Whether the task that was submitted at `source` has its verdict."""
        known = self.known(name)
        return known is not None and known.source >= source

    def _is_free(self, known: Finished, submission: Submission) -> bool:
        return known.source < submission.source and known.at_ms + self.keep_ms < submission.at_ms

    def _submit_finished(self, submission: Submission, known: Finished) -> None:
        if known.source == submission.source:
            return
        if known.digest == submission.digest[:8]:
            self.again.append((submission.at_ms, submission.name, known.verdict))
        else:
            self._refuse_id(submission)

    def _refuse_id(self, submission: Submission) -> None:
        self.refusals[submission.source] = Refused(
            client=submission.name.partition(".")[0],
            source=submission.source,
            field="id",
            limit="is taken by a task with another body: choose another id, or send the same bytes again",
            task=submission.name,
            path=submission.path,
        )

    def _withdraw(self, task: Task) -> None:
        """Forget a submission that is no task; the next one under its name takes its place."""
        self._uncount(task)
        self.release(task)
        del self.open[task.name]
        rivals, task.rivals = task.rivals, None
        task.closing = True  # whoever still holds the record must not act on it
        for rival in rivals or ():
            self.submit(rival)
        # What was withdrawn was no task, so the cancel was meant for the one that takes its place, if that was there already.
        self.cancel(task.name, task.cancelled)

    def _uncount(self, task: Task) -> None:
        if task.raw is not None:
            self.held_open -= 1
            self.bytes_open -= len(task.raw)
            task.raw = None

    def _remember(self, refusal: Refused) -> None:
        name = refusal.task or f"{refusal.client}.{refusal.source[0]}"
        self.refused[name] = refusal
        self.refused.move_to_end(name)
        if len(self.refused) > _REMEMBERED:
            self.refused.popitem(last=False)


def client_of(name: str) -> str:
    """Whose task it is."""
    return name.partition(".")[0]


def _from_hex(digest: str) -> bytes:
    """The bytes of a digest; none where it is no hex, which then equals no other digest."""
    try:
        return bytes.fromhex(digest)
    except ValueError:
        return b""
