"""Rules broken on purpose, one each: what the simulator must see to be worth anything.

Each is a small change to one part, in the place where a person would make the mistake.
"""

from typing import Any

from bus.messages import Assigned, Leader, Result, VerdictLine
from bus.reader import Entry
from coordinator.core import Core as CoordinatorCore
from coordinator.tasks import Holder, Task
from tests.simulation.coordinators import CoordinatorTerm
from tests.simulation.server import Log, Server
from tests.simulation.verifiers import VerifierTerm
from tests.simulation.world import Parts
from tests.simulation.writers import FencedFlight
from verifier import agreement
from verifier.core import Core as VerifierCore
from verifier.core import Emission
from verifier.tasks import Place, Vote

__all__ = ["MUTATIONS"]


def _without(headers: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in names}


class _AcknowledgesBeforeWriting(Server):
    """The answer is sent at once; the message is on disk a little later, if the server still runs then."""

    _restarts = 0

    def store(self, log: Log, subject: str, body: bytes, headers: dict[str, str]) -> int | str:
        if log.name != "tasks" or log.full:
            return super().store(log, subject, body, headers)
        restarts, then = self._restarts, super().store

        def write() -> None:
            if restarts == self._restarts:
                then(log, subject, body, headers)

        self._world.at(self._world.now + 20.0, write, ())
        return log.last + 1

    def restarted(self) -> None:
        super().restarted()
        self._restarts += 1


class _ForgetsFences(Server):
    """The expected sequence is not looked at."""

    def store(self, log: Log, subject: str, body: bytes, headers: dict[str, str]) -> int | str:
        return super().store(log, subject, body, _without(headers, "Nats-Expected-Last-Sequence"))


class _ForgetsIds(Server):
    """Message ids are not kept over a restart, so what is sent again is stored again."""

    def restarted(self) -> None:
        super().restarted()
        for log in self.logs.values():
            log.ids.clear()


class _TrustingFlight(FencedFlight):
    """Writes wherever the log ends: it holds the lease, so who else could write."""

    def _headers(self, batch: Any) -> dict[str, str]:
        return _without(super()._headers(batch), "Nats-Expected-Last-Sequence", "Nats-Expected-Last-Msg-Id")

    def _learn(self, batch: Any, stored: tuple[dict[str, str], bytes] | None) -> None:
        del stored
        super()._learn(batch, None)


class _SequenceAlone(FencedFlight):
    """Pipelines by sequence, without naming the message that is to be followed."""

    def _headers(self, batch: Any) -> dict[str, str]:
        return _without(super()._headers(batch), "Nats-Expected-Last-Msg-Id")


class _FencesBySequence(CoordinatorTerm):
    flight = _SequenceAlone


class _VerifierFencesBySequence(VerifierTerm):
    flight = _SequenceAlone


class _TrustsItsLease(CoordinatorTerm):
    flight = _TrustingFlight


class _VerifierTrustsItsLease(VerifierTerm):
    flight = _TrustingFlight


class _RepeatsAttempts(CoordinatorCore):
    """A retry is given out under the number of the attempt that it replaces."""

    def _assign(self, task: Task, rows: tuple[int, ...], scores: Any, now_ms: int) -> None:
        if task.attempt > 1:
            task.attempt -= 1
        super()._assign(task, rows, scores, now_ms)


class _ForgetsTheFinished(CoordinatorCore):
    """After a restart it does not know that a task was done: it reads only the newest verdicts, and nothing of them from checkpoints."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.ledger.finished.unpack = lambda *_: None  # type: ignore[method-assign]

    def fold_verdicts(self, entry: Entry) -> None:
        if self.leading:
            super().fold_verdicts(entry)


class _AssignsTwice(CoordinatorCore):
    """What an earlier leader assigned is assigned again from the first attempt on."""

    def apply_assigned(self, decision: Assigned, at_ms: int, sequence: int) -> list[Holder]:
        return super().apply_assigned(decision, at_ms, sequence) if self.leading else []


class _TellsBeforeDurable(CoordinatorCore):
    """Nodes are told of decisions that are on their way to the log."""

    def decide(self, now_ms: int) -> Any:
        out = super().decide(now_ms)
        end = self.positions["assignments"] + 1
        super().durable(end, [token for _, token in out.lines], now_ms)
        out.publish.extend(self.take_instructions().publish)
        return out


class _BelievesAnybody(VerifierCore):
    """A result counts whether or not its node was given the attempt."""

    def _claim(self, node: str, result: Result, place: Place) -> str:
        task = self.open.get(result.task)
        if (
            task is not None
            and task.attempts
            and not task.heard(node, result.attempt)
            and result.status != "fault"
        ):
            vote = Vote(agreement.of_result(result), place, result.attempt, 0.0, "")
            task.vote(node, vote, result)
            self._dirty[result.task] = None
            return ""
        return super()._claim(node, result, place)


class _CountsVotesTwice(VerifierCore):
    """It judges without having read what was judged before it, only by whom."""

    def _fold_line(self, message: VerdictLine, place: Place) -> None:
        if isinstance(message, Leader):
            super()._fold_line(message, place)


class _LeadsUnderAnOldEpoch(VerifierCore):
    """It does not look who led before it."""

    def lead(self, leader: str) -> Emission:
        self.epoch = 0
        return super().lead(leader)


class _NoticesBeforeDurable(VerifierTerm):
    """Clients are told of verdicts when they are judged, not when they are written."""

    def _judge(self) -> None:
        assert self._writer is not None
        emissions = self.core.judge()
        for emission in emissions:
            self._writer.append(emission.line, emission)
        self.notify(emissions)


class _KeepsTheUndecided(CoordinatorTerm):
    """A checkpoint is made while decisions are on their way to the log."""

    def _is_quiet(self) -> bool:
        super()._is_quiet()
        return True


MUTATIONS: dict[str, Parts] = {
    "the server acknowledges before it writes": Parts(server=_AcknowledgesBeforeWriting),
    "no expected sequence": Parts(server=_ForgetsFences),
    "pipelined by sequence alone": Parts(
        coordinator_term=_FencesBySequence, verifier_term=_VerifierFencesBySequence
    ),
    "message ids forgotten after a restart": Parts(server=_ForgetsIds),
    "the coordinator trusts its lease instead of the fence": Parts(coordinator_term=_TrustsItsLease),
    "the verifier trusts its lease instead of the fence": Parts(verifier_term=_VerifierTrustsItsLease),
    "a retry without a new attempt number": Parts(coordinator_core=_RepeatsAttempts),
    "finished tasks forgotten after a restart": Parts(coordinator_core=_ForgetsTheFinished),
    "decisions forgotten after a restart": Parts(coordinator_core=_AssignsTwice),
    "a checkpoint of what is not durable": Parts(coordinator_term=_KeepsTheUndecided),
    "nodes told before it is durable": Parts(coordinator_core=_TellsBeforeDurable),
    "results of unassigned nodes believed": Parts(verifier_core=_BelievesAnybody),
    "verdicts forgotten after a restart": Parts(verifier_core=_CountsVotesTwice),
    "a leadership under an old epoch": Parts(verifier_core=_LeadsUnderAnOldEpoch),
    "notices before it is durable": Parts(verifier_term=_NoticesBeforeDurable),
}
