"""Rewards are held before anybody works: refused where no deposit covers them, and free again after the verdict."""

from typing import Any

import pytest

from bus.connection import Bus
from bus.messages import Credit, Refused, Verdict
from bus.reader import Entry
from bus.signing import VERDICTS, Identity
from bus.wire import encode, sha256_hex
from coordinator.admission import Question
from ledger.orders import sign
from tests.coordinator.cell import Cell
from tests.coordinator.scripted import ADD, Client, eventually, task, until
from tests.coordinator.world import SUBJECTS, World

OPERATOR = Identity.from_seed(bytes(32))


async def deposit(bus: Bus, amount: int, name: str) -> None:
    """A credit for `me` is in ANCHORS."""
    order = Credit(cluster=bus.subjects.cluster, id=name, account="client/me", amount=amount)
    await bus.js.publish(bus.subjects.anchors, encode(sign(order, OPERATOR)))


async def test_a_reward_that_no_deposit_covers_is_refused_and_after_the_deposit_taken(cell: Cell) -> None:
    """The refusal says how much there is; a submission right behind an acknowledged deposit is never refused for want of reading."""
    cell.coordinator()
    await cell.node("n1")
    client = await Client(cell.bus).start(ADD)
    await client.submit(task("t", reward=100))
    (refused,) = await eventually(lambda: client.rejected)
    for round_ in range(5):
        await deposit(cell.bus, 100, f"d{round_}")
        await client.submit(task(f"t{round_}", reward=100, price=7))
    await eventually(lambda: {f"me.t{n}" for n in range(5)} <= set(cell.verifier.judged))

    assert (refused["field"], refused["task"]) == ("reward", "me.t")
    assert "0 msat" in refused["limit"]
    assert len(client.rejected) == 1
    assert [(each.reward, each.price) for each in cell.assigned("me.t3")] == [(100, 7)]


async def test_a_restarted_coordinator_knows_what_is_held(cell: Cell) -> None:
    """What an attempt set aside stays so under the next leader, from the logs alone."""
    first = cell.coordinator()
    await deposit(cell.bus, 100, "d")
    await cell.node("n1", answers=False)
    client = await Client(cell.bus).start(ADD)
    await client.submit(task("t", reward=60))
    await eventually(lambda: cell.assigned("me.t"))
    await cell.stop(first)
    cell.coordinator(name="second")
    await until(cell.epoch, 2)
    await client.submit(task("u", reward=60), task("v", reward=40))
    (refused,) = await eventually(lambda: client.rejected)

    assert (refused["task"], refused["field"]) == ("me.u", "reward")
    assert "at most the 0 msat" in refused["limit"]  # `v` took what was left


def rewarded(world: World) -> list[tuple[str, str]]:
    """What was refused so far, and for which field."""
    return [(each.task or "", each.field) for each in world.decisions(Refused)]


def judged(world: World, **said: Any) -> None:
    """A verdict that the coordinator reads before anything else of its task."""
    line = encode(Verdict(task="me.t", spec=sha256_hex(b""), source=(1, 0), **said))
    body = OPERATOR.seal(VERDICTS, [line])
    world.core.fold_verdicts(Entry(1, world.now_ms, SUBJECTS.verdicts, body))


def test_a_verdict_that_is_read_first_is_paid_for() -> None:
    """Also where the task itself was never seen, and only once."""
    world = World()
    world.deposit(100)
    judged(world, status="verified", agree=("n1", "n2"), reward=9)
    judged(world, status="verified", agree=("n1", "n2"), reward=9)

    assert world.core.ledger.purses.free("me") == 92


def test_what_fails_costs_nothing() -> None:
    """The whole reward is free again with the verdict."""
    world = World(nodes=1)
    world.deposit(100)
    world.submit(task("t", reward=100))
    world.flush()
    assert world.core.ledger.purses.free("me") == 0
    world.answer("n0", status="failed")
    world.verify()

    assert [each.status for each in world.verdicts()] == ["failed"]
    assert world.core.ledger.purses.free("me") == 100


def test_one_purse_is_enough_for_what_it_is_enough_for() -> None:
    """Of tasks that come together the first are taken as far as the deposit goes."""
    world = World(nodes=1)
    world.deposit(100)
    world.submit(task("a", reward=60), task("b", reward=60), task("c", reward=40), task("d"))
    world.flush()

    assert rewarded(world) == [("me.b", "reward")]


def test_who_comes_after_the_question_waits_for_the_next_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deposit between question and answer may not be in the answer, so nobody is refused by an answer to an earlier question."""
    world = World(nodes=1)
    world.submit(task("first"))  # its module is known from here on
    asked: list[Question] = []
    monkeypatch.setattr(world, "turn", lambda: asked.extend(world.core.decide(world.now_ms).ask))
    world.submit(task("early", reward=10))
    waiting = world.core.purse_waiting(asked[0])
    world.submit(task("late", reward=10))
    world.core.purse_known(asked[0], waiting)

    assert asked == [Question("purse", "me")]
    assert {each.task for each in world.core.ledger.refusals.values()} == {"me.early"}
    world.turn()
    assert asked == [Question("purse", "me")] * 2
