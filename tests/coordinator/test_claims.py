"""What the coordinator makes of claims in RESULTS, which it cannot check: they free room, and must never hold a task up."""

from bus.messages import Assigned, Result
from bus.wire import encode, sha256_hex
from tests.coordinator.scripted import NOTHING, task
from tests.coordinator.world import SUBJECTS, World


def claim(world: World, node: str, name: str, attempt: int, decision: int) -> None:
    result = Result(
        decision=decision,
        task=name,
        attempt=attempt,
        node=node,
        status="ok",
        spec=NOTHING,
        module=NOTHING,
        input=NOTHING,
        output_digest=sha256_hex(b"?"),
        output=b"?",
        output_size=1,
        trace=NOTHING,
    )
    world._append("results", SUBJECTS.results(node), [encode(result)])
    world.core.fold_results(world.logs["results"][-1])


def test_an_attempt_cannot_be_claimed_before_it_is_decided() -> None:
    """A node that claimed a coming attempt, with some decision, is given that attempt like any other, and the task goes on."""
    world = World(2)
    world.submit(task("t"))
    world.flush()
    first = world.decisions(Assigned)[0].nodes[0]
    other = "n1" if first == "n0" else "n0"
    claim(world, other, "me.t", 2, decision=99)
    world.kill(first)
    world.advance(15_000)
    world.flush()

    assert world.decisions(Assigned)[-1].nodes == (other,)
    assert "me.t#2" in world.held[other]
    world.settle()


def test_a_claim_for_another_decision_is_no_answer() -> None:
    """The verifier ignores it, so the attempt still is its node's: it keeps its room and its lease."""
    world = World(1)
    world.submit(task("t"))
    world.flush()
    claim(world, "n0", "me.t", 1, decision=1)

    assert world.core.ledger.open["me.t"].is_running()
    world.settle()


def test_a_claim_that_is_read_before_its_decision_counts() -> None:
    """A coordinator that reads RESULTS ahead of ASSIGNMENTS knows the same in the end, and when the claim came."""
    world = World(2)
    world.submit(task("t"))
    world.flush()
    node = world.decisions(Assigned)[0].nodes[0]
    world.answer(node)
    ahead, behind = (world.folded(order).ledger.open["me.t"] for order in ("vtra", "vtard"))

    assert not ahead.is_running()
    assert (ahead.claimed, ahead.quiet_since_ms) == (behind.claimed, behind.quiet_since_ms)
