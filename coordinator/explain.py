"""Answers to people: why a task is where it is, and which tasks there are.

Guarantees that the reasons come from the checks that placing makes, on the state as it is now. Nothing is changed by asking.
"""

from collections.abc import Iterator
from itertools import islice

from bus.messages import NodeReason, TasksReply, TasksRequest, TaskState, TaskView, WhyReply
from coordinator.core import Core
from coordinator.placement import explain
from coordinator.tasks import ANSWERED, LOST, REPLACED, RUNNING, Holder, Task

__all__ = ["tasks", "why"]

_STATES = {
    RUNNING: "running",
    ANSWERED: "answered",
    LOST: "lost",
    REPLACED: "lost, made good by a later attempt",
}


def why(core: Core, name: str, now_ms: int) -> WhyReply:
    """Where the task of that name stands, and the reason for it, node by node."""
    task = core.ledger.open.get(name)
    if task is not None:
        return _why_open(core, task, now_ms)
    finished = core.ledger.known(name)
    if finished is not None and finished.verdict < core.verdicts_from:
        limit = f"its verdict is no longer kept: VERDICTS begins at {core.verdicts_from}, the verdict stood at {finished.verdict}"
        return WhyReply(task=name, state="unknown", detail=limit, field="task", limit=limit)
    if finished is not None:
        detail = f"its verdict is in VERDICTS at sequence {finished.verdict}"
        return WhyReply(task=name, state=finished.status, detail=detail)
    refused = core.ledger.refused.get(name)
    if refused is not None:
        return WhyReply(
            task=name,
            state="refused",
            detail=f"{refused.field}: {refused.limit}" if refused.field else refused.limit,
            field=refused.field,
            limit=refused.limit,
        )
    detail = (
        "no such task was read yet: is the name <client>.<id> right, and was the submission acknowledged?"
    )
    return WhyReply(task=name, state="unknown", detail=detail)


def _why_open(core: Core, task: Task, now_ms: int) -> WhyReply:
    held = [_reason(holder, now_ms) for holder in task.holders]
    wanted = task.wanted()
    if not wanted or task.shape is None:
        state: TaskState = "assigned" if task.holders else "waiting"
        return WhyReply(task=task.name, state=state, detail=_standing(task), attempt=task.attempt, nodes=held)
    excluded = core.excluded(task)
    reasons = explain(core.registry, core.request(task.shape, wanted, excluded), core.strategy, now_ms)
    return WhyReply(
        task=task.name,
        state="assigned" if task.is_running() else "waiting",
        detail=_waiting(core, task, wanted, reasons, now_ms),
        attempt=task.attempt,
        nodes=held + reasons,
    )


def _reason(holder: Holder, now_ms: int) -> NodeReason:
    since = (now_ms - holder.since_ms) / 1000
    reason = f"attempt {holder.attempt}: {_STATES[holder.state]}, assigned {since:.1f} s ago"
    if holder.state == RUNNING and not holder.decision:
        reason += ", being written to the log"
    return NodeReason(holder.node, chosen=True, reason=reason, score=holder.score)


def _standing(task: Task) -> str:
    if task.closing:
        return "it was given up; the verifier is about to write its verdict"
    if task.shape is None:
        return "known from a decision of an earlier leader; its submission is being read"
    if not task.admitted:
        return "its module or input is being looked up in the blob store"
    if task.is_running():
        running = sum(holder.state == RUNNING for holder in task.holders)
        return f"attempt {task.attempt} of at most {task.max_attempts}: {running} node{'s are' if running != 1 else ' is'} at work"
    return "all its nodes have answered; the verifier judges"


def _waiting(core: Core, task: Task, wanted: int, reasons: list[NodeReason], now_ms: int) -> str:
    told = f"waiting for {wanted} node{'s' if wanted > 1 else ''}"
    if task.attempt:
        told += f" for attempt {task.attempt + 1} of at most {task.max_attempts}"
    if task.retry_at_ms:
        told += f", not before {max(0, task.retry_at_ms - now_ms)} ms from now"
    place = task.shape.place.node if task.shape is not None else None
    if place is not None and core.registry.row(place) is None:
        told += f"; it is pinned to node {place!r}, which never enrolled"
    elif not reasons:
        told += "; no node has enrolled yet"
    elif not any(reason.chosen for reason in reasons):
        told += "; no node can take it now"
    if task.deadline_ms is not None:
        told += f"; its deadline is in {(task.deadline_ms - now_ms) / 1000:.1f} s"
    return told


def tasks(core: Core, asked: TasksRequest) -> TasksReply:
    """The newest tasks that match, newest first: open ones, then finished and refused ones that are still remembered."""
    ledger = core.ledger
    prefix = "" if asked.client is None else f"{asked.client}."
    listed = (
        view for view in _views(core) if view.task.startswith(prefix) and asked.state in (None, view.state)
    )
    return TasksReply(list(islice(listed, asked.limit)), len(ledger.open))


def _views(core: Core) -> Iterator[TaskView]:
    ledger = core.ledger
    for task in reversed(ledger.open.values()):
        yield TaskView(
            task=task.name,
            state="assigned" if task.is_running() else "waiting",
            attempt=task.attempt,
            nodes=tuple(holder.node for holder in task.holders if holder.attempt == task.attempt),
            priority=task.priority,
            submitted_ms=task.arrival_ms,
        )
    for name in reversed(ledger.ended):
        finished = ledger.known(name)
        if finished is not None:
            yield TaskView(task=name, state=finished.status)
    for name in reversed(ledger.refused):
        yield TaskView(task=name, state="refused")
