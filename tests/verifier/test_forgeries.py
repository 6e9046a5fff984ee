"""Claims that must not be believed, each through the real log: none counts, none stops the verifier, the honest one still wins."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from msgspec.structs import replace

from bus.connection import Bus
from bus.messages import Result, Verdict
from bus.server import NatsServer
from bus.signing import RESULTS, TELEMETRY, Identity
from bus.wire import encode
from tests.verifier.scripted import TWO_OF_THREE, Script, identity, result, verifying

EVIL = b"evil"


@pytest_asyncio.fixture
async def script(bus: Bus, server: NatsServer, cluster: str, tmp_path: Path) -> AsyncIterator[Script]:
    """A running verifier, two enrolled nodes, and the task `me.t1` assigned to `n1` alone."""
    async with Script(bus) as script, verifying(server.url, cluster, tmp_path / "v1"):
        await script.enrol("n1", "n2")
        yield script


async def honest_wins(script: Script, decision: int) -> Verdict:
    """After everything claimed so far was judged there is no verdict; the honest result then makes one."""
    await script.settle()
    assert "me.t1" not in script.verdicts
    await script.claim(result("me.t1", "n1", decision=decision))
    verdict = await script.verdict("me.t1")
    assert (verdict.output, verdict.agree, verdict.dissent) == (b"42", ("n1",), ())
    return verdict


async def test_another_key_cannot_speak_for_a_node(script: Script) -> None:
    """A valid signature by a key that does not own the node is worth nothing, be the key enrolled or not."""
    decision = await script.assign("me.t1", "n1")
    evil = result("me.t1", "n1", EVIL, decision=decision)
    await script.claim(evil, key=identity("n2"))
    await script.claim(evil, key=Identity.generate())

    await honest_wins(script, decision)


async def test_a_node_id_stays_with_its_first_key(script: Script) -> None:
    """A second enrolment of the same id does not hand the node over to the new key."""
    decision = await script.assign("me.t1", "n1")
    thief = Identity.generate()
    await script.enrol_with_key("n1", thief.key)
    await script.claim(result("me.t1", "n1", EVIL, decision=decision), key=thief)

    await honest_wins(script, decision)


async def test_a_node_cannot_speak_for_another(script: Script) -> None:
    """Neither under its own subject in the other's name, nor under the other's subject with its own key."""
    decision = await script.assign("me.t1", "n1")
    evil = result("me.t1", "n1", EVIL, decision=decision)
    await script.claim(evil, node="n2", key=identity("n2"))
    await script.claim(evil, node="n1", key=identity("n2"))
    await script.claim(evil, node="n2", key=identity("n1"))

    await honest_wins(script, decision)


@pytest.mark.parametrize(
    "change",
    [
        {"attempt": 2},
        {"decision": 1},
        {"task": "me.t2"},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_a_result_that_answers_no_assignment_is_ignored(script: Script, change: dict) -> None:
    """Wrong attempt, decision or task: signed by the right node, and still no vote."""
    decision = await script.assign("me.t1", "n1")
    await script.claim(replace(result("me.t1", "n1", EVIL, decision=decision), **change))

    await honest_wins(script, decision)


@pytest.mark.parametrize(
    "change",
    [
        {"spec": "0" * 64},
        {"module": "0" * 64},
        {"input": "0" * 64},
        {"output": b"other"},
        {"output": None},
        {"output_size": 3},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_an_answer_that_cannot_be_judged_is_a_fault_of_its_node(script: Script, change: dict) -> None:
    """Wrong digests or output, by the right node to its own attempt: no vote, and another node is asked instead of none."""
    decision = await script.assign("me.t1", "n1")
    await script.claim(replace(result("me.t1", "n1", EVIL, decision=decision), **change))
    await script.until(lambda: script.needs)
    need = script.needs[0]
    again = await script.assign("me.t1", "n2", attempt=2)
    await script.claim(result("me.t1", "n2", decision=again, attempt=2))
    verdict = await script.verdict("me.t1")

    assert (need.need, need.exclude, need.faulted) == (1, ("n1",), ("n1",))
    assert (verdict.output, verdict.agree, verdict.dissent) == (b"42", ("n2",), ())


async def test_a_node_that_was_not_assigned_has_no_vote(script: Script) -> None:
    """An enrolled node cannot answer what it was not asked, in its own name and with its own key."""
    decision = await script.assign("me.t1", "n1")
    await script.claim(result("me.t1", "n2", EVIL, decision=decision))

    await honest_wins(script, decision)


async def test_a_replayed_batch_is_no_second_vote(script: Script) -> None:
    """The very bytes of one node's answer, stored three times, are one vote of a quorum; nor do two attempts make two."""
    first = await script.assign("me.t1", "n1", "n2", "n3", verify=TWO_OF_THREE)
    again = await script.assign("me.t1", "n1", attempt=2, verify=TWO_OF_THREE, replaces=("n3",))
    body = identity("n1").seal(RESULTS, [encode(result("me.t1", "n1", EVIL, decision=first))])
    for _ in range(3):
        await script.claim_bytes("n1", body)
    await script.claim(result("me.t1", "n1", EVIL, decision=again, attempt=2))
    await script.settle()

    assert "me.t1" not in script.verdicts


async def test_an_altered_member_breaks_its_whole_batch(script: Script) -> None:
    """One changed byte in one member: the signature holds for none of them."""
    decision = await script.assign("me.t1", "n1")
    members = [encode(result(task, "n1", EVIL, decision=decision)) for task in ("me.t1", "me.t2")]
    body = identity("n1").seal(RESULTS, members)
    await script.claim_bytes("n1", body.replace(b'"fuel":7', b'"fuel":8', 1))
    await script.claim_bytes("n1", identity("n1").seal(TELEMETRY, members))
    await script.claim_bytes("n1", body.rpartition(b"\n")[0])

    await honest_wins(script, decision)


async def test_a_decision_that_does_not_exist_holds_nobody_up(script: Script) -> None:
    """An absurd decision number is found out by asking the log's end, and what else is in the batch still counts."""
    decision = await script.assign("me.t1", "n1")
    absurd = result("me.t1", "n1", EVIL, decision=2**62)
    await script.claim(absurd)
    await script.claim(absurd, result("me.t1", "n1", decision=decision))
    verdict = await script.verdict("me.t1")
    await script.settle()

    assert verdict.output == b"42"
    assert verdict.evidence[0][1] == 1


async def test_rubbish_is_ignored(script: Script) -> None:
    """Bytes that are no message, members that are no results, numbers out of all bounds: counted, and the log goes on."""
    decision = await script.assign("me.t1", "n1")
    honest = encode(result("me.t1", "n1", EVIL, decision=decision))
    rubbish = [
        b"{}",
        b"[" * 5000,
        b'"\\ud800"',
        honest.replace(b'"fuel":7', b'"fuel":' + b"9" * 400),
        honest.replace(b'"energy_j":0.5', b'"energy_j":1e308'),
        honest.replace(b'"status"', b'"reason":"' + b"x" * 300_000 + b'","status"'),
        honest.replace(b"me.t1", b"me.\xff"),
    ]
    for body in (b"", b"\n\n", b"\xff\x00", b"{}", b'{"payloadType":1}\n{}'):
        await script.claim_bytes("n1", body)
    for member in rubbish:
        await script.claim_bytes("n1", identity("n1").seal(RESULTS, [member]))
    await script.decide_bytes(b"\xff")
    await script.decide_bytes(b'{"kind":"assigned"}\n{"kind":"who knows"}')

    await honest_wins(script, decision)


async def test_a_result_may_overtake_its_decision(script: Script) -> None:
    """Claims that come in before the assignments that they answer wait for them, many at a time."""
    count = 150
    await script.settle()
    ahead = (await script.bus.js.stream_info(script.bus.subjects.stream("assignments"))).state.last_seq
    claims: list[Result] = [result(f"me.a{at}", "n1", decision=ahead + at) for at in range(1, count + 1)]
    await script.race(claims)
    await script.until(lambda: sum(name.startswith("me.a") for name in script.verdicts) == count)

    assert all(script.verdicts[claim.task].agree == ("n1",) for claim in claims)


async def test_forgers_without_number_delay_no_verdict_for_long(script: Script) -> None:
    """Thousands of keys, each new, answer decisions that do not exist: an honest result behind them is judged within seconds."""
    decision = await script.assign("me.t1", "n1")
    subject = script.bus.subjects.results("nobody")
    forged = encode(result("me.t1", "nobody", EVIL, decision=decision + 10**6))
    for _ in range(4_000):
        await script.bus.publish(subject, Identity.generate().seal(RESULTS, [forged]))
    await script.claim(result("me.t1", "n1", decision=decision))
    async with asyncio.timeout(60):
        verdict = await script.verdict("me.t1")

    assert verdict.agree == ("n1",)
