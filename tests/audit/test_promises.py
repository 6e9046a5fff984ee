"""For every promise a log that breaks it, written by hand: the audit says which one, and where."""

import datetime as dt
from collections.abc import Callable
from typing import NamedTuple

import pytest

from ambient.audit import PROMISES
from bus.messages import Late, Leader, Refused
from bus.signing import VERDICTS
from bus.wire import encode, sha256_hex
from tests.audit.book import Book, identity

Lie = Callable[[Book], object]
OTHER = sha256_hex(b"something else")


class Case(NamedTuple):
    """A history that breaks `promise` with the message `sequence` of `log` (0: its last), and `also` others by the same deed."""

    lie: Lie
    promise: str
    log: str
    sequence: int
    also: tuple[str, ...]


CASES: list[Case] = []


def breaks(promise: str, log: str, *, sequence: int = 0, also: tuple[str, ...] = ()) -> Callable[[Lie], Lie]:
    """The function writes such a history."""

    def register(lie: Lie) -> Lie:
        CASES.append(Case(lie, promise, log, sequence, also))
        return lie

    return register


# Ends


@breaks("one-end", "assignments")
def refused_twice(book: Book) -> None:
    book.task().refused().refused()


@breaks("one-end", "assignments")
def refused_twice_though_it_is_no_task(book: Book) -> None:
    where = (book.ask(b"{}"), 0)
    book.decide(Refused(client="me", source=where, field="work", limit="is required"))
    book.decide(Refused(client="me", source=where, field="work", limit="is required"))


@breaks("one-end", "verdicts")
def refused_and_accepted(book: Book) -> None:
    book.task().refused().done()


@breaks("one-end", "assignments")
def refused_and_decided(book: Book) -> None:
    book.task().refused().assigned()


@breaks("one-end", "assignments")
def refused_for_an_id_that_nobody_else_has(book: Book) -> None:
    book.task().refused("id")


@breaks("one-verdict", "verdicts")
def a_second_verdict(book: Book) -> None:
    book.task().done().again()


@breaks("one-verdict", "verdicts")
def a_second_verdict_by_another_key(book: Book) -> None:
    story = book.task().done()
    story.accepted("n1", key="somebody")


@breaks("one-decision", "assignments")
def an_attempt_decided_twice(book: Book) -> None:
    book.task().assigned("n1").assigned("n2", attempt=1)


@breaks("one-decision", "assignments")
def given_up_twice(book: Book) -> None:
    book.task().assigned().abandoned().abandoned()


@breaks("one-decision", "assignments")
def a_copy_decided_as_a_task_of_its_own(book: Book) -> None:
    first = book.task().assigned()
    book.task()
    first.assigned(source=(2, 0), attempt=1)


@breaks("one-body", "assignments")
def another_body_under_the_same_id(book: Book) -> None:
    book.task().done()
    book.task(priority=9).assigned("n2")


@breaks("one-body", "assignments", also=("asked",))
def another_body_on_the_way(book: Book) -> None:
    book.task().assigned("n1").assigned("n2", module=OTHER)


# Decisions


@breaks("attempts", "assignments")
def an_attempt_left_out(book: Book) -> None:
    book.task().assigned().assigned(attempt=3)


@breaks("attempts", "assignments")
def a_first_attempt_that_is_no_first(book: Book) -> None:
    book.task().assigned(attempt=2)


@breaks("attempts", "assignments")
def more_attempts_than_allowed(book: Book) -> None:
    book.task(max_attempts=1).assigned("n1").assigned("n2")


@breaks("attempts", "assignments")
def an_attempt_after_the_end(book: Book) -> None:
    book.task().assigned().abandoned().assigned()


@breaks("attempts", "verdicts")
def attempts_that_nobody_made(book: Book) -> None:
    book.task().assigned().claimed().accepted(attempts=2)


@breaks("replicas", "assignments")
def one_node_for_two_replicas(book: Book) -> None:
    book.quorum().assigned("n1", "n2", "n2")


@breaks("replicas", "assignments")
def a_node_that_nobody_knows(book: Book) -> None:
    book.task().assigned("nobody")


@breaks("replicas", "assignments")
def a_node_before_it_was_enrolled(book: Book) -> None:
    book.task().assigned("n5")
    decided = book.entries["assignments"].pop()
    enrolled = encode(book.enrolled("n5"))
    book.entries["assignments"].append(decided._replace(body=decided.body + b"\n" + enrolled))


@breaks("replicas", "assignments")
def an_attempt_for_nobody(book: Book) -> None:
    book.task().assigned(nodes=())


@breaks("asked", "assignments")
def work_that_nobody_asked_for(book: Book) -> None:
    book.task().assigned(source=(7, 0))


@breaks("asked", "assignments")
def another_spec_than_was_asked(book: Book) -> None:
    book.task().assigned(spec=OTHER)


@breaks("asked", "assignments")
def another_policy_than_was_asked(book: Book) -> None:
    story = book.quorum()
    story.assigned("n1", verify=book.task("t2").spec.verify)


@breaks("asked", "assignments")
def a_refusal_of_nothing(book: Book) -> None:
    book.task().refused(source=(3, 1))


# Rewards


@breaks("reward", "assignments")
def more_set_aside_than_was_offered(book: Book) -> None:
    book.task(reward=10).assigned(reward=11)


@breaks("reward", "verdicts")
def less_paid_than_was_offered(book: Book) -> None:
    book.task(reward=10).assigned().claimed().accepted(reward=9)


@breaks("reward", "verdicts")
def paid_by_another_price(book: Book) -> None:
    book.task(reward=10, price=2).assigned().claimed().accepted(price=3)


@breaks("reward", "verdicts")
def paid_though_nobody_answered(book: Book) -> None:
    book.task(reward=10).assigned().abandoned().given_up(reward=10)


# Evidence


@breaks("evidence", "verdicts")
def evidence_that_does_not_exist(book: Book) -> None:
    book.task().assigned().claimed().accepted(evidence=((5, 0),))


@breaks("evidence", "verdicts")
def evidence_of_another_task(book: Book) -> None:
    book.task("t1").done()
    book.task("t2").assigned().claimed().accepted(evidence=((1, 0),))


@breaks("evidence", "verdicts")
def evidence_of_another_node(book: Book) -> None:
    book.quorum().heard().accepted("n1", "n2", evidence=((2, 0), (1, 0)))


@breaks("evidence", "verdicts")
def evidence_signed_by_another_key(book: Book) -> None:
    book.task().assigned().claimed("n1", key="n2").accepted()


@breaks("evidence", "verdicts")
def evidence_whose_signature_does_not_hold(book: Book) -> None:
    story = book.task().assigned().claimed()
    broken = book.entries["results"].pop()
    book.entries["results"].append(broken._replace(body=broken.body.replace(b'"fuel":10', b'"fuel":11')))
    story.accepted()


@breaks("evidence", "verdicts")
def less_evidence_than_votes(book: Book) -> None:
    book.quorum().heard().accepted("n1", "n2", evidence=((1, 0),), energy_j=0.1)


@breaks("assigned", "verdicts")
def a_result_of_a_node_that_was_not_asked(book: Book) -> None:
    book.task().assigned("n1").claimed("n2").accepted("n2")


@breaks("assigned", "verdicts")
def a_result_that_answers_another_decision(book: Book) -> None:
    book.task().assigned("n1").claimed("n1", decision=1).accepted("n1")


@breaks("bound", "verdicts")
def a_result_about_another_module(book: Book) -> None:
    book.task().assigned("n1").claimed("n1", module=OTHER).accepted("n1")


@breaks("agreement", "verdicts")
def too_few_that_agree(book: Book) -> None:
    book.quorum().heard().accepted("n1")


@breaks("agreement", "verdicts")
def a_liar_among_those_who_agree(book: Book) -> None:
    book.quorum().heard().accepted("n1", "n3")


@breaks("agreement", "verdicts")
def an_honest_node_among_those_who_dissent(book: Book) -> None:
    book.quorum().assigned("n1", "n2", "n3").claimed("n1", "n2", "n3").accepted("n1", "n2", dissent=["n3"])


@breaks("agreement", "verdicts")
def a_verdict_that_nobody_gave(book: Book) -> None:
    book.task().assigned().claimed().accepted(status="failed")


@breaks("agreement", "verdicts")
def a_fault_counted_as_an_answer(book: Book) -> None:
    book.task().assigned().faulted("n1").accepted("n1", status="failed")


@breaks("output", "verdicts")
def an_output_that_is_not_what_was_computed(book: Book) -> None:
    book.task().assigned().claimed().accepted(output=b"43")


@breaks("output", "verdicts")
def no_output_at_all(book: Book) -> None:
    book.task().assigned().claimed().accepted(output=None)


@breaks("output", "verdicts")
def a_result_that_contradicts_itself(book: Book) -> None:
    book.task().assigned().claimed(output_digest=OTHER).accepted(output=None, output_size=2)


@breaks("output", "verdicts")
def more_fuel_than_was_used(book: Book) -> None:
    book.task().assigned().claimed().accepted(fuel=11)


@breaks("output", "verdicts")
def more_energy_than_was_used(book: Book) -> None:
    book.task().assigned().claimed().accepted(energy_j=0.2)


@breaks("counted-once", "verdicts")
def a_node_counted_twice(book: Book) -> None:
    book.quorum().heard().accepted("n1", "n1")


@breaks("counted-once", "verdicts")
def a_node_counted_again_as_late(book: Book) -> None:
    book.quorum().heard().accepted("n1", "n2").late("n1")


# Without evidence


@breaks("given-up", "verdicts")
def given_up_by_the_verifier_alone(book: Book) -> None:
    book.task().assigned().given_up()


@breaks("given-up", "verdicts")
def given_up_for_another_reason(book: Book) -> None:
    book.task().assigned().abandoned().given_up(detail="out of patience")


@breaks("given-up", "verdicts")
def given_up_with_another_status(book: Book) -> None:
    story = book.task(deadline=dt.datetime(2030, 1, 1, tzinfo=dt.UTC))
    story.abandoned("expired", "deadline").given_up("cancelled", "deadline")


@breaks("given-up", "verdicts")
def an_answer_that_nobody_gave(book: Book) -> None:
    story = book.task().assigned().abandoned()
    story.given_up(output=b"42", output_digest=sha256_hex(b"42"), output_size=2)


@breaks("cause", "assignments")
def cancelled_by_nobody(book: Book) -> None:
    book.task().abandoned("cancelled", "cancelled")


@breaks("cause", "assignments")
def cancelled_before_it_was_asked(book: Book) -> None:
    book.withdraw("t1")
    book.task().abandoned("cancelled", "cancelled")


@breaks("cause", "assignments")
def expired_without_a_deadline(book: Book) -> None:
    book.task().abandoned("expired", "deadline")


# Beside


@breaks("faults", "verdicts")
def blamed_without_a_fault(book: Book) -> None:
    book.task().assigned().abandoned().given_up(faulted=("n1",))


@breaks("faults", "verdicts")
def blamed_twice(book: Book) -> None:
    story = book.task().assigned().faulted("n1").inconclusive("n1", faulted=("n1",))
    story.assigned("n2").claimed("n2").accepted("n2", faulted=("n1",))


@breaks("inconclusive", "verdicts")
def more_asked_for_after_the_verdict(book: Book) -> None:
    book.task().done().inconclusive("n1")


@breaks("inconclusive", "verdicts")
def more_asked_for_of_nobody(book: Book) -> None:
    book.task().inconclusive()


@breaks("inconclusive", "verdicts")
def the_same_asked_for_twice(book: Book) -> None:
    book.quorum().heard().inconclusive("n1").inconclusive("n1")


@breaks("inconclusive", "verdicts")
def more_asked_for_than_the_policy_needs(book: Book) -> None:
    book.quorum().heard().inconclusive("n1", need=3)


@breaks("inconclusive", "verdicts")
def more_asked_for_after_an_attempt_to_come(book: Book) -> None:
    book.quorum().heard().inconclusive("n1", after=2)


@breaks("inconclusive", "verdicts")
def excluded_without_having_spoken(book: Book) -> None:
    book.quorum().heard().inconclusive("n4")


@breaks("late", "verdicts")
def late_and_wrongly_blamed(book: Book) -> None:
    book.quorum().assigned("n1", "n2", "n3").claimed("n1", "n2", "n3").accepted("n1", "n2").late(
        "n3", agrees=False
    )


@breaks("late", "verdicts")
def late_without_a_result(book: Book) -> None:
    story = book.quorum().heard().accepted("n1", "n2")
    book.judge(Late(task=story.name, node="n3", agrees=True, evidence=(9, 0)))


@breaks("late", "verdicts")
def late_before_the_verdict(book: Book) -> None:
    book.quorum().heard().late("n3")


@breaks("late", "verdicts")
def late_with_a_fault(book: Book) -> None:
    story = book.quorum().assigned("n1", "n2", "n3").claimed("n1", "n2").accepted("n1", "n2")
    story.faulted("n3").late("n3", agrees=False)


@breaks("late", "verdicts")
def late_by_a_node_that_was_not_asked(book: Book) -> None:
    story = book.quorum().assigned("n1", "n2", "n3").claimed("n1", "n2").accepted("n1", "n2")
    story.claimed("n4").late("n4")


# The logs themselves


@breaks("signed", "verdicts")
def a_verdict_without_a_signature(book: Book) -> None:
    story = book.task().assigned().claimed().accepted()
    book.write("verdicts", "avcp.test.verdicts", encode(story.verdict))


@breaks("signed", "verdicts")
def a_verdict_changed_after_it_was_signed(book: Book) -> None:
    book.task().assigned().claimed().accepted()
    signed = book.entries["verdicts"].pop()
    book.entries["verdicts"].append(signed._replace(body=signed.body.replace(b'"fuel":10', b'"fuel":11')))


@breaks("epochs", "assignments")
def an_epoch_twice(book: Book) -> None:
    book.decide(Leader(epoch=1, leader="c2"))


@breaks("epochs", "assignments")
def an_epoch_of_the_past(book: Book) -> None:
    book.decide(Leader(epoch=5, leader="c2"))
    book.decide(Leader(epoch=4, leader="c1"))


@breaks("owners", "assignments")
def a_name_given_to_another_key(book: Book) -> None:
    book.decide(book.enrolled("n1", key="thief"))


@breaks("understood", "assignments")
def a_decision_that_is_none(book: Book) -> None:
    book.write("assignments", "avcp.test.assignments", b'{"kind":"decree"}')


@breaks("understood", "assignments")
def a_decision_with_a_number_beyond_all_bounds(book: Book) -> None:
    book.task().assigned(attempt=10**30)


@breaks("understood", "verdicts")
def a_judgement_that_is_none(book: Book) -> None:
    body = identity("verifier").seal(VERDICTS, [b'{"kind":"opinion"}'])
    book.write("verdicts", "avcp.test.verdicts", body)


@breaks("whole", "results", sequence=2)
def a_message_deleted(book: Book) -> None:
    for task in ("t1", "t2", "t3"):
        book.task(task).assigned("n1").claimed("n1")
    del book.entries["results"][1]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.lie.__name__)
def test_what_breaks_a_promise_is_found(case: Case) -> None:
    """Each violation is found under the name of its promise, at its place, and no other promise is said to be broken."""
    book = Book()
    case.lie(book)
    report = book.audit()
    places = {(v.promise, v.log, v.sequence) for v in report.violations}

    assert set(report.broken()) == {case.promise, *case.also}, report.violations
    assert not report.holds
    assert (case.promise, case.log, case.sequence or book.entries[case.log][-1].sequence) in places


def test_every_promise_has_a_lie() -> None:
    """No promise is only claimed to be examined."""
    assert {case.promise for case in CASES} == set(PROMISES)
