"""How each submission ended, or where it stands: in one verdict, in one refusal, or open."""

from collections.abc import Iterator

from ambient.audit.case import Case, Life, Refusal
from ambient.audit.facts import Place, Submission
from ambient.audit.findings import OpenState, OpenTask

__all__ = ["check_ends", "open_tasks"]


def check_ends(case: Case) -> None:
    """Judge that no submission has two ends."""
    for source, asked in case.facts.submissions.items():
        case.tally.examined("one-end")
        refusals = case.sight.refused.get(source)
        if refusals:
            _check_refused(case, asked, refusals)


def _check_refused(case: Case, asked: Submission, refusals: list[Refusal]) -> None:
    where = f"{asked.place[0]}, line {asked.place[1]} of TASKS"
    for again in refusals[1:]:
        case.violated("one-end", "assignments", again.place, f"refuses {where} again")
    end, life = case.first_end(asked.place), case.lives.get(asked.place)
    if end is not None:
        case.violated("one-end", "verdicts", end.place, f"ends {where}, which was refused")
    elif life is not None:
        case.violated("one-end", "assignments", life.first.place, f"decides {where}, which was refused")
    first = refusals[0]
    if first.id_taken and not any(other.bound != asked.bound for other in case.facts.submissions.values()):
        hidden = case.sight.trimmed("tasks")
        detail = f"refuses {where} for its id, which no other body has"
        case.missed("one-end", hidden=hidden, log="assignments", place=first.place, detail=detail)


def open_tasks(case: Case, now_ms: int) -> Iterator[OpenTask]:
    """The tasks of this name that have no end; copies of an open task are that task."""
    facts, sight = case.facts, case.sight
    accepted = {end.bound for end in facts.verdicts} if facts.submissions else set()
    ended = {end.source for end in facts.verdicts}
    open_bodies = {life.first.bound for source, life in case.lives.items() if source not in ended}
    for source, asked in facts.submissions.items():
        if source in sight.refused or source in ended:
            continue
        life = case.lives.get(source)
        if life is None:
            if asked.bound in accepted or asked.bound in open_bodies:
                continue
            open_bodies.add(asked.bound)
        if sight.may_have_ended("verdicts", asked.at_ms):
            case.tally.trimmed("one-end")
            continue
        yield _open(case, source, life, asked.at_ms, now_ms)
    for source, life in case.lives.items():
        if source in facts.submissions or source in ended or not sight.hidden("tasks", source[0]):
            continue
        if sight.may_have_ended("verdicts", life.decisions[-1].at_ms):
            case.tally.trimmed("one-end")
        else:
            yield _open(case, source, life, life.first.at_ms, now_ms)


def _open(case: Case, source: Place, life: Life | None, since_ms: int, now_ms: int) -> OpenTask:
    last = life.assigned[-1] if life is not None and life.assigned else None
    return OpenTask(
        task=case.name,
        source=source,
        state=_state(case, source, life),
        since_ms=since_ms,
        age_ms=max(0, now_ms - since_ms),
        attempt=0 if last is None else last.attempt,
        nodes=() if last is None else case.sight.names.names(last.nodes),
    )


def _state(case: Case, source: Place, life: Life | None) -> OpenState:
    if life is None:
        return "unrefused" if _is_owned(case, source) else "waiting"
    if life.abandoned:
        return "abandoned"
    last = life.assigned[-1]
    claimed = {
        c.node for c in case.facts.claims.values() if c.attempt == last.attempt and case.counts(c, source)
    }
    return "claimed" if claimed.issuperset(last.nodes) else "assigned"


def _is_owned(case: Case, source: Place) -> bool:
    """Whether another body has the name of this submission: the coordinator owes it a refusal."""
    ends = case.facts.verdicts
    if any(case.first_end(other) is None for other in case.lives):
        return True
    return bool(ends) and not case.returned(ends[-1], source)
