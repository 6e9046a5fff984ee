"""Tasks that take an hour: heartbeats keep their leases, through any change of the leader, and their end is noticed at once."""

import pytest

from bus.messages import Abandoned, Assigned
from coordinator.explain import why
from coordinator.settings import Timing
from tests.coordinator.scripted import task
from tests.coordinator.world import World

MINUTE_MS = 60_000
HOUR = {"wall_ms": 60 * MINUTE_MS}
SHORT = {"wall_ms": 1_000}
"""With the allowance for waiting at a node, a lease of 31 s."""


def attempts(world: World) -> list[tuple[int, tuple[str, ...]]]:
    return [(each.attempt, each.nodes) for each in world.decisions(Assigned)]


def holder_of(world: World) -> str:
    (node,) = [node for node, held in world.held.items() if held]
    return node


def change_leader(world: World, how: str) -> None:
    """The leader dies: its successor folds the logs, or begins from a checkpoint; nodes go on beating meanwhile."""
    if how == "checkpoint":
        world.resume(world.checkpoint())
    else:
        world.restart(order=how)
    world.flush()


@pytest.mark.parametrize("how", ["vatr", "tvar", "checkpoint"])
def test_a_task_of_an_hour_survives_changes_of_the_leader(how: str) -> None:
    """Four leaders in an hour: one attempt, one decision, and the verdict at the end."""
    world = World(2)
    world.submit(task("t", limits=HOUR))
    world.flush()
    node = holder_of(world)
    for _ in range(3):
        world.advance(15 * MINUTE_MS)
        change_leader(world, how)
    world.advance(15 * MINUTE_MS - 5_000)
    told = why(world.core, "me.t", world.now_ms)
    world.answer(node)
    world.verify()

    assert attempts(world) == [(1, (node,))]
    assert told.state == "assigned"
    assert [each.reason.rpartition(", ")[2] for each in told.nodes] == ["assigned 3595.0 s ago"]
    assert [(each.status, each.agree) for each in world.verdicts()] == [("verified", (node,))]


@pytest.mark.parametrize("how", ["vatr", "checkpoint"])
def test_a_lease_that_ran_out_on_paper_is_alive_while_its_node_lists_it(how: str) -> None:
    """Who takes over long after an attempt was given does not know how often it was renewed: it waits for the node's word."""
    world = World(2)
    world.submit(task("t", limits=SHORT))
    world.flush()
    node = holder_of(world)
    world.advance(2 * MINUTE_MS)
    change_leader(world, how)
    world.advance(2 * MINUTE_MS)

    assert attempts(world) == [(1, (node,))]
    assert list(world.held[node]) == ["me.t#1"]


def test_a_node_that_dies_late_costs_its_attempt_and_no_more() -> None:
    """In the 50th minute, just before the leader changes: another node has it 10 s later, as the next attempt."""
    world = World(2)
    world.submit(task("t", limits=HOUR))
    world.flush()
    node = holder_of(world)
    world.advance(50 * MINUTE_MS)
    world.kill(node)
    change_leader(world, "checkpoint")
    world.advance(15_000)
    world.flush()
    (other,) = {"n0", "n1"} - {node}

    assert attempts(world) == [(1, (node,)), (2, (other,))]


def test_a_task_of_an_hour_can_be_withdrawn_from_whoever_leads_then() -> None:
    """The cancel goes to the node that a former leader chose, in the turn in which it is durable."""
    world = World(1)
    world.submit(task("t", limits=HOUR))
    world.flush()
    world.advance(30 * MINUTE_MS)
    change_leader(world, "checkpoint")
    before = len(world.told)
    world.cancel("t")
    world.flush()
    told = [body for _, body in world.told[before:]]

    assert [each.status for each in world.decisions(Abandoned)] == ["cancelled"]
    assert told == [b'{"kind":"cancel","task":"me.t","attempt":1}']
    assert world.held["n0"] == {}


def test_the_deadline_of_a_long_task_outlives_its_leader() -> None:
    """It expires when it was to, not when somebody read it again."""
    world = World(1, timing=Timing())
    world.now_ms = 1_798_000_000_000
    deadline = "2026-12-23T04:56:40Z"  # half an hour later
    world.beat("n0")
    world.submit(task("t", limits=HOUR, deadline=deadline))
    world.flush()
    world.advance(20 * MINUTE_MS)
    change_leader(world, "checkpoint")
    world.advance(9 * MINUTE_MS)
    early = world.decisions(Abandoned)
    world.advance(2 * MINUTE_MS)
    world.flush()

    assert attempts(world) == [(1, ("n0",))]
    assert early == []
    assert [each.status for each in world.decisions(Abandoned)] == ["expired"]
