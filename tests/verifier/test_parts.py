"""The small parts: notices in the form of the question, a bounded archive, agreement, the merge, settings."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bus.connection import Bus
from bus.messages import Inconclusive, Late, Leader, ReputationReply, Verdict
from bus.reputation import Reputation
from bus.signing import VERDICTS, Identity
from bus.steps import STEPS
from bus.subjects import Subjects
from bus.wire import decode, decoder, encode, split_lines
from tests.verifier.scripted import result
from verifier import agreement, reputation
from verifier.archive import Archive
from verifier.claims import Claims
from verifier.core import Emission
from verifier.errors import SettingsRefused
from verifier.merge import Merge
from verifier.notices import MAX_NOTICE_BYTES, compose
from verifier.settings import VerifierSettings
from verifier.steps import tell

SUBJECTS = Subjects("home")


def emission(task: str, *, together: bool = True, output: bytes = b"") -> Emission:
    verdict = Verdict(task=task, status="verified", output=output)
    return Emission(encode(verdict), verdict, together)


def test_notices_take_the_form_of_the_question() -> None:
    """Alone on the task's subject, together in one message per client, in order."""
    a, b, c = emission("me.a"), emission("me.b"), emission("you.c")
    alone = emission("me.d", together=False)

    assert compose(SUBJECTS, [a, alone, c, b]) == [
        ("avcp.home.done.me.d", alone.line),
        ("avcp.home.done.me", a.line + b"\n" + b.line),
        ("avcp.home.done.you", c.line),
    ]


def test_a_batch_of_notices_stays_within_its_size() -> None:
    """Large verdicts are split over several messages, none lost, none over the limit unless it is one line."""
    emissions = [emission(f"me.t{at}", output=bytes(60_000)) for at in range(40)]
    notices = compose(SUBJECTS, emissions)

    assert [line for _, body in notices for line in split_lines(body)] == [e.line for e in emissions]
    assert 1 < len(notices) < 40
    assert all(len(body) <= MAX_NOTICE_BYTES for _, body in notices)


async def test_the_archive_forgets_and_reads_again(bus: Bus) -> None:
    """Beyond its bytes nothing is kept, and what was forgotten is read from the log, word for word."""
    emissions = [emission(f"me.t{at}", output=bytes(9000)) for at in range(20)]
    body = Identity.generate().seal(VERDICTS, [e.line for e in emissions])
    sequence = (await bus.js.publish(bus.subjects.verdicts, body)).seq
    places = {e.message.task: (sequence, at) for at, e in enumerate(emissions)}
    archive = Archive(bus, places.get, kept_bytes=30_000)
    archive.keep(emissions)

    assert archive._size <= 30_000
    answered = split_lines(await archive.answer([*reversed(places), "me.none"]))
    assert answered == [*(e.line for e in reversed(emissions)), b'{"kind":"pending","task":"me.none"}']
    assert archive._size <= 30_000


async def test_an_answer_is_cut_to_one_message(bus: Bus) -> None:
    """More verdicts than a message holds: the first ones are answered, and the rest when asked again."""
    emissions = [emission(f"me.t{at}", output=bytes(60_000)) for at in range(20)]
    archive = Archive(bus, lambda _: None, kept_bytes=10**7)
    archive.keep(emissions)
    first = split_lines(await archive.answer([e.message.task for e in emissions]))
    rest = split_lines(await archive.answer([e.message.task for e in emissions[len(first) :]]))

    assert [*first, *rest] == [e.line for e in emissions]


@pytest.mark.parametrize(
    "change",
    [
        {"status": "failed"},
        {"reason": "trap"},
        {"exit_code": 1},
        {"output_digest": "0"},
        {"trace": "0"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_agreement_is_in_these_five(change: dict) -> None:
    """A difference in any of the five is disagreement; one in cost or in the node's name is none."""
    one = result("me.t1", "n1")
    fields = {name: getattr(one, name) for name in one.__struct_fields__}
    other = type(one)(**{**fields, **change})
    same = type(one)(**{**fields, "node": "n2", "wall_ms": 9.0, "energy_j": 3.0, "attempt": 2})

    assert agreement.of_result(one) != agreement.of_result(other)
    assert agreement.of_result(one) == agreement.of_result(same)


def test_a_border_between_two_fields_cannot_be_moved() -> None:
    """Digest and trace that read the same when put together are not the same answer."""
    one = result("me.t1", "n1")
    fields = {name: getattr(one, name) for name in one.__struct_fields__}
    left = type(one)(**{**fields, "output_digest": 'a","b', "trace": "c"})
    right = type(one)(**{**fields, "output_digest": "a", "trace": 'b","c'})

    assert agreement.of_result(left) != agreement.of_result(right)


def claims(sequence: int, *decisions: int, key: str = "k") -> Claims:
    members = [(at, result("me.t", "n1", decision=d)) for at, d in enumerate(decisions)]
    return Claims(sequence, "n1", key, members, 0, max(decisions))


def test_the_merge_keeps_the_order_of_results() -> None:
    """What could go at once waits behind what cannot, and all of it goes once the decision is there."""
    merge = Merge()
    early, later = claims(1, 9), claims(2, 3)

    assert merge.offer(early, 5) == []
    assert merge.offer(later, 5) == []
    assert merge.advance(8) == []
    assert merge.advance(9) == [early, later]
    assert not merge


def test_only_what_was_there_when_the_end_was_asked_can_be_a_forgery() -> None:
    """A result that came in after the question may answer a decision that was made after it, too."""
    merge = Merge()
    merge.offer(claims(1, 3, 99), 2)
    merge.offer(claims(2, 8), 2)
    merge.cut(end=5, newest=1)

    assert merge.take_dropped() == 1
    assert [(c.sequence, [r.decision for _, r in c.members]) for c in merge.advance(8)] == [
        (1, [3]),
        (2, [8]),
    ]


def test_a_known_forger_is_not_waited_for() -> None:
    """A key that named a decision that did not exist holds nobody up a second time; other keys still wait."""
    merge = Merge()
    merge.offer(claims(1, 99, key="forger"), 2)
    merge.cut(end=5, newest=1)
    merge.advance(2)
    again = merge.offer(claims(2, 2, 99, key="forger"), 2)

    assert [r.decision for c in again for _, r in c.members] == [2]
    assert merge.offer(claims(3, 6), 2) == []


def test_what_a_known_forger_claims_ahead_waits_aside() -> None:
    """Its node may have been given that task: once the decision is there, the answer counts; of a flood the farthest goes first."""
    merge = Merge()
    merge.offer(claims(1, 99, key="forger"), 2)
    merge.cut(end=5, newest=1)
    merge.advance(2)
    merge.offer(claims(2, 4, 98, key="forger"), 2)
    for sequence in range(3, 9):
        merge.offer(claims(sequence, *range(1000, 2000), key="forger"), 2)
    waited = merge.advance(4)

    assert [(c.sequence, at, r.decision) for c in waited for at, r in c.members] == [(2, 0, 4)]
    assert [r.decision for c in merge.advance(98) for _, r in c.members] == [98]
    assert merge.take_dropped() == 1 + 6000 - 4094
    assert not merge


def test_reputation_is_answered_worst_first_and_within_a_message() -> None:
    """Where not all nodes fit, the ones that dissented most are there."""
    known = Reputation()
    for at in range(500):
        known.fold(
            Verdict(task="t", status="verified", agree=(f"n{at}",), dissent=("liar",) if at < 3 else ())
        )
    reply = decode(reputation.answer(known, max_bytes=5000), decoder(ReputationReply))

    assert (reply.nodes[0].node, reply.nodes[0].dissented) == ("liar", 3)
    assert 10 < len(reply.nodes) < 500
    assert len(decode(reputation.answer(known), decoder(ReputationReply)).nodes) == 501


@pytest.mark.parametrize(("field", "value"), [("cluster", "a.b"), ("name", ""), ("kept_bytes", -1)])
def test_a_setting_out_of_bounds_is_named(tmp_path: Path, field: str, value: object) -> None:
    """The operator reads which setting and what is allowed."""
    with pytest.raises(SettingsRefused, match=field):
        VerifierSettings(data=tmp_path, **{field: value})


def test_each_line_about_a_task_is_told_with_its_place() -> None:
    """What was accepted, what is wanted still, and what came late; who leads is no task's affair."""
    STEPS.on = True
    with capture_logs() as said:
        tell(Verdict(task="me.a", status="failed", reason="trap", agree=("n1",), path="sdk"), 7)
        tell(Inconclusive(task="me.b", need=1, after=1, reason="they differ", path="cli"), 7)
        tell(Late(task="me.c", node="n2", agrees=True, evidence=(1, 0), path="sdk"), 8)
        tell(Leader(epoch=1, leader="v"), 9)

    assert [(line["event"], line["task"], line["path"], line["sequence"]) for line in said] == [
        ("accepted", "me.a", "sdk", 7),
        ("inconclusive", "me.b", "cli", 7),
        ("late", "me.c", "sdk", 8),
    ]
    assert (said[0]["status"], said[0]["reason"], said[0]["agree"]) == ("failed", "trap", ("n1",))
