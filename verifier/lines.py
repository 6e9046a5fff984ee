"""How an outcome is put into a line of VERDICTS. Pure construction; what the outcome is was decided before."""

import math
from collections.abc import Sequence

from bus.messages import Abandoned, Inconclusive, Verdict
from verifier import policies
from verifier.tasks import OpenTask, Vote

__all__ = ["accepted", "given_up", "undecided"]


def accepted(name: str, task: OpenTask, outcome: policies.Accept) -> Verdict:
    """The verdict that the policy reached: the agreeing nodes' answer, with what it cost and where it is written."""
    votes = [task.votes[node] for node in (*outcome.agreeing, *outcome.dissenting)]
    sample = task.samples[votes[0].key]
    asked = task.attempts[0][1]
    return Verdict(
        task=name,
        status="verified" if sample.status == "ok" else "failed",
        reason=sample.reason,
        detail=sample.detail,
        exit_code=sample.exit_code,
        output=sample.output,
        output_digest=sample.output_digest,
        output_size=sample.output_size,
        stderr=sample.stderr,
        agree=outcome.agreeing,
        dissent=outcome.dissenting,
        faulted=task.unnamed if task.faults else (),
        evidence=tuple([vote.place for vote in votes]),
        verify=asked.verify,
        spec=asked.spec,
        module=asked.module,
        input=asked.input,
        trace=sample.trace,
        attempts=task.highest,
        fuel=sample.fuel,
        peak_memory_bytes=sample.peak_memory_bytes,
        wall_ms=sample.wall_ms,
        energy_j=math.fsum([vote.energy_j for vote in votes]),
        energy_method=votes[0].energy_method if len(votes) == 1 else _method(votes),
        energy_each=() if len(votes) == 1 else tuple([(vote.energy_j, vote.energy_method) for vote in votes]),
        reward=asked.reward,
        price=asked.price,
        source=asked.source,
        path=asked.path,
    )


def given_up(task: OpenTask, why: Abandoned) -> Verdict:
    """The verdict on a task that the coordinator abandoned: no answer is accepted, so nobody agreed or dissented."""
    return Verdict(
        task=why.task,
        status=why.status,
        reason=why.reason,
        detail=why.detail,
        faulted=task.unnamed,
        verify=why.verify,
        spec=why.spec,
        module=why.module,
        input=why.input,
        attempts=task.highest,
        source=why.source,
        path=why.path,
    )


def undecided(name: str, task: OpenTask, outcome: policies.Inconclusive) -> Inconclusive:
    """The request for more results."""
    return Inconclusive(
        task=name,
        need=outcome.need,
        after=task.highest,
        exclude=outcome.exclude,
        faulted=task.unnamed,
        reason=outcome.reason,
        path=task.path,
    )


def _method(votes: Sequence[Vote]) -> str:
    """How the summed energy is known; `mixed` where nodes know theirs differently."""
    methods = {vote.energy_method for vote in votes}
    return methods.pop() if len(methods) == 1 else "mixed"
