"""A name whose first submission turns out to be no task: the next one takes its place, with all that was said of the name."""

import pytest

from bus.messages import Assigned, Refused
from tests.coordinator.scripted import task
from tests.coordinator.world import World, digest, snapshot


@pytest.mark.parametrize("order", ["vtard", "vatrd", "rdtva"])
def test_a_cancel_is_for_whoever_owns_the_name_in_the_end(order: str) -> None:
    """The first submission is refused and the second runs; a cancel that came after both is for the second, in whatever order logs are read."""
    world = World()
    world.submit(task("a", work={"module": digest("unknown")}), task("a"))
    world.flush()
    world.cancel("a")
    folded = world.folded(order)

    assert [each.source for each in world.decisions(Refused)] == [(1, 0)]
    assert [each.source for each in world.decisions(Assigned)] == [(1, 1)]
    assert folded.ledger.open["me.a"].cancelled
    assert snapshot(folded) == snapshot(world.folded("vatrd"))


def test_a_cancel_is_not_for_what_was_submitted_after_it() -> None:
    """The name's first submission is cancelled and refused; who submits it again after the cancel wants it to run."""
    world = World()
    world.submit(task("a", work={"module": digest("unknown")}))
    world.flush()
    world.cancel("a")
    world.submit(task("a"))
    world.flush()

    assert not world.folded("vtard").ledger.open["me.a"].cancelled
