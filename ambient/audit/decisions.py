"""What ASSIGNMENTS may hold of a task: attempts in order, on different nodes, of the body that was asked, with an end."""

from itertools import pairwise

from ambient.audit.case import Case, Life
from ambient.audit.facts import Assignment, GivenUp, Place

__all__ = ["check_decisions"]

_LOG = "assignments"


def check_decisions(case: Case) -> None:
    """Judge all that was decided."""
    for source, life in case.lives.items():
        _check_attempts(case, source, life)
        for given_up in life.abandoned:
            _check_given_up(case, life, given_up)
    _check_bodies(case)


def _check_attempts(case: Case, source: Place, life: Life) -> None:
    tally, asked = case.tally, case.facts.submissions.get(source)
    seen: set[int] = set()
    expected = 1
    for assigned in life.assigned:
        case.check_asked(source, assigned.bound, assigned.policy, _LOG, assigned.place)
        case.check_offer(source, assigned.offer, _LOG, assigned.place)
        tally.examined("one-decision")
        tally.examined("attempts")
        attempt, place = assigned.attempt, assigned.place
        if attempt in seen:
            case.violated("one-decision", _LOG, place, f"decides attempt {attempt} again")
        elif attempt != expected:
            # The first attempt that is kept may follow on others that were trimmed.
            hidden = not seen and attempt > 1 and case.sight.trimmed(_LOG)
            case.missed("attempts", hidden=hidden, log=_LOG, place=place, detail=f"is attempt {attempt}, where {expected} is next")  # fmt: skip
        if asked is not None and attempt > asked.max_attempts:
            case.violated("attempts", _LOG, place, f"is attempt {attempt} of at most {asked.max_attempts}")
        if any(given_up.place < place for given_up in life.abandoned):
            case.violated("attempts", _LOG, place, f"gives out attempt {attempt} of a task that was given up")
        seen.add(attempt)
        expected = attempt + 1
        _check_replicas(case, assigned)


def _check_replicas(case: Case, assigned: Assignment) -> None:
    case.tally.examined("replicas")
    nodes = assigned.nodes
    if not nodes or len(set(nodes)) < len(nodes):
        said = " ".join(case.sight.names.names(nodes)) or "nobody"
        case.violated("replicas", _LOG, assigned.place, f"gives attempt {assigned.attempt} to {said}")
    for node in nodes:
        owner = case.sight.owners.get(node)
        if owner is None or owner.place > assigned.place:
            hidden = case.sight.trimmed(_LOG)
            detail = f"gives an attempt to {case.node(node)}, whom nobody had enrolled"
            case.missed("replicas", hidden=hidden, log=_LOG, place=assigned.place, detail=detail)


def _check_given_up(case: Case, life: Life, given_up: GivenUp) -> None:
    place, source = given_up.place, given_up.source
    case.check_asked(source, given_up.bound, given_up.policy, _LOG, place)
    case.tally.examined("one-decision")
    if given_up is not life.abandoned[0]:
        case.violated("one-decision", _LOG, place, "gives the task up again")
    case.tally.examined("cause")
    asked = case.facts.submissions.get(source)
    hidden = case.sight.hidden("tasks", source[0])
    if given_up.status == "cancelled":
        if not any(cancel.sequence > source[0] for cancel in case.facts.cancels):
            case.missed("cause", hidden=hidden, log=_LOG, place=place, detail="cancels a task that its client did not withdraw")  # fmt: skip
    elif given_up.status == "expired" and (asked is None or not asked.deadline):
        case.missed("cause", hidden=hidden, log=_LOG, place=place, detail="lets a task expire that has no deadline")  # fmt: skip


def _check_bodies(case: Case) -> None:
    """A name has one life; another one, only after the retention span."""
    if not case.lives:
        return
    case.tally.examined("one-body")
    for life in case.lives.values():
        first = life.first
        for decision in life.decisions:
            if decision.bound != first.bound:
                case.violated("one-body", _LOG, decision.place, "decides another body than before")
    lives = sorted(case.lives.items())
    for (before, earlier), (source, life) in pairwise(lives):
        new = case.returned(case.first_end(before), source)
        if new:
            continue
        first = life.first
        promise = "one-decision" if first.bound == earlier.first.bound else "one-body"
        detail = f"decides {source[0]}, line {source[1]} of TASKS, though {before[0]}, line {before[1]} has this name"
        case.missed(promise, hidden=new is None, log=_LOG, place=first.place, detail=detail)
