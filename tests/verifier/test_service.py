"""The verifier on a real server: verdicts, notices, questions; a scripted coordinator and scripted nodes around it."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest_asyncio
from msgspec.structs import replace

from bus.connection import Bus
from bus.messages import (
    Pending,
    ReputationReply,
    ServiceHealth,
    Verdict,
    VerdictRequest,
)
from bus.server import NatsServer
from bus.wire import encode, split_lines
from tests.verifier.scripted import TWO_OF_THREE, Script, abandoned, assigned, result, verifying

ANSWER = msgspec.json.Decoder(Verdict | Pending)


@pytest_asyncio.fixture
async def script(bus: Bus, server: NatsServer, cluster: str, tmp_path: Path) -> AsyncIterator[Script]:
    """A running verifier and the script that plays everyone else."""
    async with Script(bus) as script, verifying(server.url, cluster, tmp_path / "v1"):
        yield script


async def test_a_signed_result_becomes_a_verdict_and_a_notice(script: Script) -> None:
    """One node, policy `signature`: the verdict holds the output, the evidence, and is noticed on the task's own subject."""
    await script.enrol("n1")
    decision = await script.assign("me.t1", "n1")
    sequence = await script.claim(result("me.t1", "n1", decision=decision))
    verdict = await script.verdict("me.t1")

    assert (verdict.status, verdict.output, verdict.agree, verdict.dissent) == (
        "verified",
        b"42",
        ("n1",),
        (),
    )
    assert verdict.evidence == ((sequence, 0),)
    assert (verdict.fuel, verdict.energy_j, verdict.energy_method) == (7, 0.5, "estimated:tdp")
    assert await script.noticed("me.t1") == [encode(verdict)]


async def test_tasks_submitted_together_are_noticed_together(script: Script) -> None:
    """Verdicts of a batch come in batches on the client's subject, none on a task's."""
    names = [f"me.b{n}" for n in range(50)]
    await script.enrol("n1")
    decision = await script.decide(*(assigned(name, ["n1"], together=True) for name in names))
    await script.claim(*(result(name, "n1", decision=decision) for name in names))
    await script.until(lambda: len(script.verdicts) == 50)
    lines = await script.noticed("me")

    assert [ANSWER.decode(line).task for line in lines] == names
    assert {subject for subject, _ in script.notices} == {script.bus.subjects.done("me")}


async def test_a_liar_is_outvoted_and_named(script: Script) -> None:
    """Two of three agree: the third is the dissenter, in the verdict and in its reputation, whatever came first."""
    nodes = ("liar", "n1", "n2")
    await script.enrol(*nodes)
    decision = await script.assign("me.t1", *nodes, verify=TWO_OF_THREE)
    await script.claim(result("me.t1", "liar", b"41", decision=decision))
    await script.claim(result("me.t1", "n1", decision=decision))
    await script.claim(result("me.t1", "n2", decision=decision))
    verdict = await script.verdict("me.t1")
    reply = await script.bus.request(
        script.bus.subjects.service("verifier", "reputation"), b"", ReputationReply
    )

    assert (verdict.output, verdict.agree, verdict.dissent) == (b"42", ("n1", "n2"), ("liar",))
    assert verdict.energy_j == 1.5
    assert len(verdict.evidence) == 3
    assert next((e.node, e.agreed, e.dissented) for e in reply.nodes) == ("liar", 0, 1)


async def test_an_abandoned_task_ends_in_a_verdict_too(script: Script) -> None:
    """A cancellation is a verdict, also of a task that no node ever had, and it is noticed."""
    await script.decide(abandoned("me.t1"), abandoned("me.t2", status="expired", together=True))
    first, second = await script.verdict("me.t1"), await script.verdict("me.t2")

    assert (first.status, first.reason, first.agree) == ("cancelled", "cancelled by its client", ())
    assert second.status == "expired"
    assert await script.noticed("me.t1") == [encode(first)]
    assert await script.noticed("me") == [encode(second)]


async def test_a_result_after_the_verdict_is_recorded_once(script: Script) -> None:
    """Late honest and late false work both count for reputation, once per node, however often they are sent."""
    nodes = ("n1", "n2", "n3", "n4", "n5")
    await script.enrol(*nodes)
    decision = await script.assign("me.t1", *nodes, verify=TWO_OF_THREE)
    for node in ("n1", "n2"):
        await script.claim(result("me.t1", node, decision=decision))
    await script.verdict("me.t1")
    late = await script.claim(result("me.t1", "n3", decision=decision))
    await script.claim(result("me.t1", "n4", b"41", decision=decision))
    await script.claim(result("me.t1", "n3", decision=decision))
    await script.claim(result("me.t1", "n1", decision=decision))
    await script.settle()

    assert [(line.node, line.agrees) for line in script.lates] == [("n3", True), ("n4", False)]
    assert script.lates[0].evidence == (late, 0)


async def test_a_fault_is_asked_for_elsewhere(script: Script) -> None:
    """A node's own failure is no vote: one more result is asked for, without it, and the task goes on."""
    await script.enrol("n1", "n2")
    decision = await script.assign("me.t1", "n1")
    fault = replace(result("me.t1", "n1", b"", decision=decision), status="fault", reason="wall time")
    await script.claim(fault)
    await script.until(lambda: script.needs)
    second = await script.assign("me.t1", "n2", attempt=2)
    await script.claim(result("me.t1", "n2", decision=second, attempt=2))
    verdict = await script.verdict("me.t1")

    need = script.needs[0]
    assert (need.need, need.after, need.exclude, need.faulted) == (1, 1, ("n1",), ("n1",))
    assert (verdict.agree, verdict.attempts) == (("n2",), 2)
    assert len(script.needs) == 1


async def test_verdicts_are_answered_in_the_order_asked(script: Script) -> None:
    """The service answers each task with its verdict or `pending`; a malformed question names its field."""
    await script.enrol("n1")
    decision = await script.assign("me.t1", "n1")
    await script.claim(result("me.t1", "n1", decision=decision))
    verdict = await script.verdict("me.t1")
    await script.noticed("me.t1")
    subjects = script.bus.subjects
    body = await script.bus.request_bytes(
        subjects.service("verifier", "verdict"), encode(VerdictRequest(["me.none", "me.t1"]))
    )
    health = await script.bus.request(subjects.service("verifier", "health"), b"", ServiceHealth)

    assert [ANSWER.decode(line) for line in split_lines(body)] == [Pending("me.none"), verdict]
    assert (health.leading, health.name, health.folded["verdicts"]) == (True, "v1", 1)
