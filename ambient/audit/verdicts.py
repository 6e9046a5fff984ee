"""What VERDICTS may hold of a task: one verdict, with its evidence or its abandonment, and true lines before and after it."""

import math

from ambient.audit.case import Case
from ambient.audit.facts import Claim, End, LateLine, Place, Question

__all__ = ["check_verdicts"]

_LOG = "verdicts"


def check_verdicts(case: Case) -> None:
    """Judge all that was accepted, asked again, and noted late."""
    named: dict[Place, set[int]] = {}
    for question in case.facts.questions:
        _check_question(case, question, named)
    before: End | None = None
    for end in case.facts.verdicts:
        _check_single(case, before, end)
        case.check_asked(end.source, end.bound, end.policy, _LOG, end.place)
        if end.agree or end.dissent or end.evidence:
            case.check_offer(end.source, end.offer, _LOG, end.place)
            _check_evidence(case, end)
            _check_cost(case, end)
        else:
            _check_given_up(case, end)
        _check_attempts(case, end)
        _check_faults(case, end.faulted, end.source, end.place, named)
        before = end
    if case.facts.late:
        _check_late(case)


def _check_single(case: Case, before: End | None, end: End) -> None:
    case.tally.examined("one-verdict")
    if before is None:
        return
    new = case.returned(before, end.source) if before.source != end.source else False
    if not new:
        detail = f"is a second verdict, after the one at {before.place[0]}, line {before.place[1]}"
        case.missed("one-verdict", hidden=new is None, log=_LOG, place=end.place, detail=detail)


# With evidence


def _check_evidence(case: Case, end: End) -> None:
    tally, place = case.tally, end.place
    nodes = (*end.agree, *end.dissent)
    tally.examined("counted-once", len(nodes))
    if len(set(nodes)) < len(nodes):
        said = " ".join(case.sight.names.names(nodes))
        case.violated("counted-once", _LOG, place, f"counts a node twice: {said}")
    if len(nodes) != len(end.evidence):
        case.violated("evidence", _LOG, place, f"counts {len(nodes)} nodes by {len(end.evidence)} results")
    for at, (node, where) in enumerate(zip(nodes, end.evidence, strict=False)):
        claim = _find(case, end, node, where)
        if claim is not None:
            _check_claim(case, end, claim, agrees=at < len(end.agree))
    tally.examined("agreement")
    needed = end.policy[0] or 1
    if len(end.agree) < needed:
        case.violated("agreement", _LOG, place, f"{len(end.agree)} agree where the policy asks for {needed}")


def _find(case: Case, end: End, node: int, where: Place) -> Claim | None:
    """The result that counts for `node`, under the signature of its key."""
    case.tally.examined("evidence")
    claim, sight = case.facts.claims.get(where), case.sight
    said = f"{case.node(node)} at {where[0]}, line {where[1]} of RESULTS"
    if claim is None:
        why = "its signature does not hold" if where[0] in sight.unsigned else "there is no such result"
        case.missed(
            "evidence", hidden=sight.hidden("results", where[0]), log=_LOG, place=end.place, detail=f"counts {said}: {why}"
        )  # fmt: skip
        return None
    owner = sight.owners.get(claim.node)
    if claim.node != node:
        case.violated("evidence", _LOG, end.place, f"counts {said}: that is of {case.node(claim.node)}")
        return None
    if owner is None:
        detail = f"counts {said}: nobody enrolled this node"
        case.missed("evidence", hidden=sight.trimmed("assignments"), log=_LOG, place=end.place, detail=detail)
    elif owner.key != claim.key:
        case.violated("evidence", _LOG, end.place, f"counts {said}: it is signed by another key")
    return claim


def _check_claim(case: Case, end: End, claim: Claim, *, agrees: bool) -> None:
    """A result that counts was given out, is about what was asked, and says what the verdict says that it says."""
    tally, place, node = case.tally, end.place, case.node(claim.node)
    tally.examined("assigned")
    given = case.decided.get((claim.decision, claim.attempt))
    if given is None:
        hidden = case.sight.hidden("assignments", claim.decision)
        detail = (
            f"counts {node} for attempt {claim.attempt}, which {claim.decision} in ASSIGNMENTS did not decide"
        )
        case.missed("assigned", hidden=hidden, log=_LOG, place=place, detail=detail)
    elif claim.node not in given.nodes or given.source != end.source:
        case.violated("assigned", _LOG, place, f"counts {node}, who was not given attempt {claim.attempt}")
    tally.examined("bound")
    if claim.bound != end.bound:
        case.violated("bound", _LOG, place, f"counts {node}, whose result is about something else")
    if claim.fault:
        case.violated("agreement", _LOG, place, f"counts {node}, who failed of itself")
    elif (claim.answer == end.answer) != agrees:
        said = "agree, who said otherwise" if agrees else "dissent, who said the same"
        case.violated("agreement", _LOG, place, f"lets {node} {said}")
    if not claim.sound:
        case.violated("output", _LOG, place, f"counts {node}, whose output contradicts its own digest")


def _check_cost(case: Case, end: End) -> None:
    case.tally.examined("output")
    if not end.sound:
        case.violated("output", _LOG, end.place, "its output contradicts the digest and size beside it")
    claims = [case.facts.claims.get(where) for where in end.evidence]
    first = claims[0] if claims else None
    if first is not None and first.cost != end.cost:
        case.violated(
            "output", _LOG, end.place, "fuel, memory, time or words are not those of its first result"
        )
    found = [claim.energy_j for claim in claims if claim is not None]
    if len(found) < len(claims):
        return  # what was trimmed is counted with the evidence
    if found and math.fsum(found) != end.energy_j:
        case.violated("output", _LOG, end.place, "its energy is not the sum over its results")


# Without


def _check_given_up(case: Case, end: End) -> None:
    case.tally.examined("given-up")
    if any(end.offer):
        case.violated("reward", _LOG, end.place, f"pays {end.offer[0]} msat though nobody answered")
    life = case.lives.get(end.source)
    if life is None or not life.abandoned:
        hidden = case.sight.trimmed("assignments")
        detail = "has no evidence, and nobody gave the task up"
        case.missed("given-up", hidden=hidden, log=_LOG, place=end.place, detail=detail)
        return
    why = life.abandoned[0]
    if (end.status, end.said, end.bound, end.policy) != (why.status, why.said, why.bound, why.policy):
        detail = f"says otherwise than {why.place[0]}, line {why.place[1]} of ASSIGNMENTS"
        case.violated("given-up", _LOG, end.place, detail)
    if not end.empty:
        case.violated("given-up", _LOG, end.place, "holds an answer that nobody gave")


def _check_attempts(case: Case, end: End) -> None:
    case.tally.examined("attempts")
    life = case.lives.get(end.source)
    highest = life.highest if life is not None else 0
    if end.attempts > highest:
        hidden = case.sight.trimmed("assignments")
        detail = f"counts {end.attempts} attempts, where {highest} were decided"
        case.missed("attempts", hidden=hidden, log=_LOG, place=end.place, detail=detail)


def _check_faults(
    case: Case, faulted: tuple[int, ...], source: Place, place: Place, named: dict[Place, set[int]]
) -> None:
    before = named.setdefault(source, set()) if faulted else set()
    for node in faulted:
        case.tally.examined("faults")
        if node in before:
            case.violated("faults", _LOG, place, f"names {case.node(node)} again")
        before.add(node)
        claims = case.facts.claims.values()
        if not any(c.node == node and case.counts(c, source) and case.failed(c) for c in claims):
            detail = f"names {case.node(node)} for a fault that RESULTS does not hold"
            case.missed("faults", hidden=case.claims_hidden, log=_LOG, place=place, detail=detail)


# Beside


def _check_question(case: Case, question: Question, named: dict[Place, set[int]]) -> None:
    case.tally.examined("inconclusive")
    place, source = question.place, _asked_for(case, question)
    if source is None:
        closed = any(end.place < place for end in case.facts.verdicts)
        hidden = not closed and case.sight.trimmed("assignments")
        detail = (
            "asks for more after the verdict" if closed else "asks for more of a task that nobody was given"
        )
        case.missed("inconclusive", hidden=hidden, log=_LOG, place=place, detail=detail)
        return
    life = case.lives[source]
    if any(end.place < place and end.source == source for end in case.facts.verdicts):
        case.violated("inconclusive", _LOG, place, "asks for more after the verdict")
    earlier = [q.after for q in case.facts.questions if q.place < place and _asked_for(case, q) == source]
    if earlier and question.after <= max(earlier):
        case.violated("inconclusive", _LOG, place, f"asks again after attempt {question.after}")
    most = life.first.policy[0] or 1
    if not 1 <= question.need <= most:
        case.violated("inconclusive", _LOG, place, f"asks for {question.need} where the policy needs {most}")
    if question.after > life.highest:
        hidden = case.sight.trimmed("assignments")
        detail = f"follows attempt {question.after}, which nobody decided"
        case.missed("inconclusive", hidden=hidden, log=_LOG, place=place, detail=detail)
    for node in question.exclude:
        claims = case.facts.claims.values()
        if not any(c.node == node and case.counts(c, source) for c in claims):
            detail = f"excludes {case.node(node)}, who has said nothing"
            case.missed("inconclusive", hidden=case.claims_hidden, log=_LOG, place=place, detail=detail)
    _check_faults(case, question.faulted, source, place, named)


def _asked_for(case: Case, question: Question) -> Place | None:
    """The submission that a question is about: the one whose verdict comes next, or else the one without."""
    following = next((end.source for end in case.facts.verdicts if end.place > question.place), None)
    if following in case.lives:
        return following
    ended = {end.source for end in case.facts.verdicts}
    return max((source for source in case.lives if source not in ended), default=None)


def _check_late(case: Case) -> None:
    heard: set[tuple[Place, int]] = {
        (end.source, node) for end in case.facts.verdicts for node in (*end.agree, *end.dissent)
    }
    for late in case.facts.late:
        case.tally.examined("late")
        claim = _late_claim(case, late)
        if claim is None:
            continue
        source = case.decided[claim.decision, claim.attempt].source
        end = next(
            (e for e in case.facts.verdicts if e.source == source and e.place < late.place and e.agree), None
        )
        node = case.node(late.node)
        if end is None:
            hidden = case.sight.trimmed(_LOG)
            detail = f"{node} is late for a verdict that did not accept an answer before"
            case.missed("late", hidden=hidden, log=_LOG, place=late.place, detail=detail)
            continue
        case.tally.examined("counted-once")
        if (source, late.node) in heard:
            case.violated("counted-once", _LOG, late.place, f"counts {node} again, as late")
        heard.add((source, late.node))
        if (claim.answer == end.answer) != late.agrees:
            said = "agrees" if late.agrees else "disagrees"
            case.violated("late", _LOG, late.place, f"says that {node} {said}, which is not true")


def _late_claim(case: Case, late: LateLine) -> Claim | None:
    """The usable result that a late line is about."""
    claim, where = case.facts.claims.get(late.evidence), late.evidence
    said = f"{case.node(late.node)} at {where[0]}, line {where[1]} of RESULTS"
    if claim is None or claim.node != late.node:
        hidden = case.sight.hidden("results", where[0])
        case.missed("late", hidden=hidden, log=_LOG, place=late.place, detail=f"there is no result of {said}")
        return None
    given = case.decided.get((claim.decision, claim.attempt))
    if given is None or not case.counts(claim, given.source):
        hidden = case.sight.trimmed("assignments")
        detail = f"the result of {said} answers nothing that was given to it"
        case.missed("late", hidden=hidden, log=_LOG, place=late.place, detail=detail)
        return None
    if case.failed(claim):
        case.violated("late", _LOG, late.place, f"the result of {said} is a fault, neither right nor wrong")
        return None
    return claim
