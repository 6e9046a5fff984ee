"""What a coordinator counts: each thing once, by who leads, in the time that it took."""

from coordinator.figures import Figures
from tests.coordinator.scripted import task
from tests.coordinator.world import World


def led(world: World) -> Figures:
    """Count from here on, as a term does that begins to lead."""
    world.core.figures = Figures()
    return world.core.figures


def test_a_task_is_counted_once_at_each_stage() -> None:
    """Read, decided, run and judged, with the milliseconds that passed in between."""
    world = World(1)
    figures = led(world)
    world.submit(task("t"))
    world.now_ms += 30
    world.flush()
    world.now_ms += 400
    world.answer("n0")
    world.now_ms += 20
    world.verify()

    assert figures.read == 1
    assert figures.decided == {"first": 1, "retry": 0, "more": 0}
    assert [histogram.count for histogram in figures.stages.values()] == [1, 1, 1]
    assert [round(histogram.sum, 3) for histogram in figures.stages.values()] == [0.03, 0.4, 0.02]
    assert round(figures.whole["verified"].sum, 3) == 0.45


def test_a_standby_counts_nothing() -> None:
    """It folds the same logs; the sum over all coordinators must not tell things twice."""
    world = World(1)
    figures = led(world)
    world.submit(task("t"))
    world.flush()
    standby = world.folded("vatrd")

    assert standby.figures is None
    assert figures.decided["first"] == 1


def test_what_is_lost_and_made_good_is_counted() -> None:
    """A node falls silent: it counts as gone, what it held as lost, and the next attempt as a retry."""
    world = World(2)
    figures = led(world)
    world.submit(task("t"))
    world.flush()
    [holder] = next(iter(world.core.ledger.open.values())).holders
    world.kill(holder.node)
    world.advance(40_000)

    assert figures.gone == {"dead": 1, "left": 0}
    assert figures.lost == 1
    assert figures.decided == {"first": 1, "retry": 1, "more": 0}


def test_what_is_refused_is_counted() -> None:
    """A line that is no task."""
    world = World(1)
    figures = led(world)
    world.submit(b'{"id":"t","wrk":{}}')
    world.flush()

    assert (figures.read, figures.refused) == (0, 1)
