"""Drains that operators ask for: no new work from the moment they ask, and the node's own word from then on."""

from typing import Any

import pytest

from bus.connection import Bus
from bus.errors import Malformed
from bus.messages import Assign, Drain, DrainReply, DrainRequest, Undrain, UndrainRequest
from bus.wire import decode, decoder
from coordinator.drains import PATIENCE_MS
from coordinator.explain import why
from tests.coordinator.cell import Cell
from tests.coordinator.scripted import ADD, Client, Node, eventually, task, until
from tests.coordinator.world import SUBJECTS, World

_TOLD = decoder(Assign | Drain | Undrain)  # type: ignore[arg-type, var-annotated]


def drain(world: World, node: str = "n0", **more: Any) -> DrainReply:
    reply = world.core.drain(DrainRequest(node=node, **more), world.now_ms)
    world._carry_out(world.core.take_instructions())
    return reply


def undrain(world: World, node: str = "n0") -> DrainReply:
    reply = world.core.undrain(UndrainRequest(node))
    world._carry_out(world.core.take_instructions())
    return reply


def told(world: World, node: str = "n0") -> list[Any]:
    """What the node was told of drains."""
    lines = [body for subject, body in world.told if subject == SUBJECTS.assign(node)]
    return [each for line in lines for each in [decode(line, _TOLD)] if not isinstance(each, Assign)]


def run_one(world: World, name: str) -> str:
    """Submit a task; returns the node that it went to, empty if it waits."""
    world.submit(task(name))
    world.flush()
    return next((node for node in world.alive if f"me.{name}#1" in world.held[node]), "")


def test_no_new_work_from_the_moment_it_is_asked_for() -> None:
    """Heartbeats that were under way change nothing; the node is told, with the bound, and what it holds it keeps."""
    world = World(1)
    assert run_one(world, "before") == "n0"
    reply = drain(world, finish_ms=60_000)
    world.beat("n0")
    waits = run_one(world, "after")
    world.draining.add("n0")
    world.advance(5_000)

    assert reply == DrainReply(node="n0", state="draining", open=1, empty=False, told=True)
    assert told(world) == [Drain(stay=True, finish_ms=60_000)]
    assert waits == ""
    assert list(world.held["n0"]) == ["me.before#1"]
    assert "draining" in [each.reason for each in why(world.core, "me.after", world.now_ms).nodes]


def test_it_is_empty_when_it_has_said_that_it_drains_and_holds_nothing() -> None:
    """Not before: an assignment may still be on its way to a node that has not heard yet."""
    world = World(1)
    idle = drain(world)
    world.draining.add("n0")
    world.beat("n0")

    assert not idle.empty
    assert drain(world) == DrainReply(node="n0", state="draining", open=0, empty=True, told=True)


def test_what_only_the_node_knows_of_is_waited_for() -> None:
    """A replica that outlives its task's verdict may end, so the node is not empty while it lists it."""
    world = World(1)
    world.draining.add("n0")
    world.held["n0"] = {"me.old#1": None}  # type: ignore[dict-item]
    world.beat("n0")

    assert (drain(world).open, drain(world).empty) == (1, False)


def test_a_node_that_never_says_so_works_again_after_a_while() -> None:
    """It has not heard, or does not know the word: when nobody asks any more, it is not lost for ever."""
    world = World(1)
    drain(world)
    world.advance(PATIENCE_MS // 2)
    early = run_one(world, "early")
    world.advance(PATIENCE_MS)
    world.flush()

    assert early == ""
    assert "me.early#1" in world.held["n0"]


@pytest.mark.parametrize("kept", [True, False])
def test_a_change_of_the_leader_changes_nothing(kept: bool) -> None:  # noqa: FBT001
    """The node's own heartbeat says that it drains, to whoever leads; before the first one a new leader gives it nothing either."""
    world = World(1)
    drain(world)
    world.draining.add("n0")
    world.beat("n0")
    if kept:
        world.resume(world.checkpoint())
    else:
        world.restart()
    at_once = run_one(world, "at-once")
    world.advance(4_000)

    assert at_once == run_one(world, "later") == ""
    assert drain(world).empty


def test_undrain_and_restart_give_work_again() -> None:
    """Told so, or started again, it takes work with its next heartbeat; a mere reconnection is no restart."""
    world = World(1)
    drain(world)
    world.draining.add("n0")
    world.beat("n0")
    world._hello("n0")
    reconnected = run_one(world, "reconnected")
    answer = undrain(world)
    world.draining.discard("n0")
    world.beat("n0")
    world.advance(500)
    world.flush()
    undrained = list(world.held["n0"])
    drain(world)
    world.draining.add("n0")
    world.beat("n0")
    world.draining.discard("n0")
    world.revive("n0")

    assert reconnected == ""
    assert told(world)[:2] == [Drain(stay=True), Undrain()]
    assert answer.state == "draining"
    assert undrained == ["me.reconnected#1"]
    assert run_one(world, "restarted") == "n0"


def test_who_is_not_there_holds_nothing_and_hears_nothing() -> None:
    """Dead or gone, its work is for others already: it is empty, and no instruction waits for it."""
    world = World(2)
    world.kill("n0")
    world.advance(12_000)
    world.leave("n1")

    assert drain(world, "n0") == DrainReply(node="n0", state="dead", open=0, empty=True, told=False)
    assert drain(world, "n1") == DrainReply(node="n1", state="left", open=0, empty=True, told=False)
    assert not undrain(world, "n0").told
    assert told(world, "n0") == told(world, "n1") == []


def test_a_name_that_nobody_has_is_refused_by_name() -> None:
    """Whoever mistypes it learns so, instead of waiting."""
    world = World(1)
    for ask in (drain, undrain):
        with pytest.raises(Malformed, match="no node 'kitchen' ever enrolled"):
            ask(world, "kitchen")


async def _ask(bus: Bus, node: str) -> DrainReply:
    subject = bus.subjects.service("coordinator", "drain")
    return await bus.request(subject, DrainRequest(node=node), DrainReply)


async def test_a_drain_outlives_the_leader_that_was_asked(cell: Cell) -> None:
    """Over the bus: the leader stops, the standby leads, and the node gets nothing until it is told to work again."""
    first = cell.coordinator()
    node: Node = await cell.node("n1")
    client = await Client(cell.bus).start(ADD)
    assert (await _ask(cell.bus, "n1")).told
    await eventually(lambda: node.draining)
    cell.coordinator()
    await cell.stop(first)
    await until(cell.epoch, 2)
    await client.submit(task("t1"))
    await until(lambda: cell.state("me.t1"), "waiting")

    async def is_empty() -> bool:
        return (await _ask(cell.bus, "n1")).empty

    await until(is_empty, wanted=True)
    assert not node.got
    assert (await cell.health()).draining == 1
    await cell.bus.request(
        cell.bus.subjects.service("coordinator", "undrain"), UndrainRequest("n1"), DrainReply
    )
    await eventually(lambda: "me.t1" in cell.verifier.judged)
    with pytest.raises(Malformed, match="no node 'n2'"):
        await _ask(cell.bus, "n2")
