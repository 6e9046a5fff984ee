"""An id stands for its verdict as far back as the retention says, also for who begins from a checkpoint beside logs that were cut."""

import json

from bus.messages import Refused
from coordinator.settings import Timing
from tests.coordinator.scripted import task
from tests.coordinator.world import SUBJECTS, World

KEEP_MS = 60_000


def done(world: World, name: str) -> int:
    """Run a task to its verdict; returns the verdict's sequence."""
    world.submit(task(name))
    world.flush()
    world.answer("n0")
    world.verify()
    return len(world.logs["verdicts"])


def cut(world: World) -> None:
    """A leader that begins from a checkpoint, with nothing left in any log."""
    kept = world.checkpoint()
    for log in world.logs.values():
        log[:] = [entry._replace(body=b"") for entry in log]  # whoever read them again would find nothing
    world.resume(kept)
    world.flush()


def submit_again(world: World, name: str, **changes: object) -> list[tuple[str, int]]:
    """What is to be published again for this submission; a new task is not among it."""
    world._append("tasks", SUBJECTS.submit("me"), [json.dumps(task(name, **changes)).encode()])
    world.core.fold_tasks(world.logs["tasks"][-1])
    instructions = world.core.decide(world.now_ms)
    world._carry_out(instructions)
    return instructions.again


def test_an_id_stands_for_its_verdict_after_the_logs_were_cut() -> None:
    """Again and again, to the last millisecond of the retention; another body is refused by name, and nothing runs."""
    world = World(1, timing=Timing(keep_ms=KEEP_MS))
    begun_ms = world.now_ms
    sequence = done(world, "t")
    again = []
    for _ in range(3):
        cut(world)
        again += submit_again(world, "t")
    world.now_ms = begun_ms + KEEP_MS
    again += submit_again(world, "t")
    submit_again(world, "t", priority=9)
    world.pending.clear()
    refused = [each for each in world.core.ledger.refused.values() if isinstance(each, Refused)]

    assert again == [("me.t", sequence)] * 4
    assert [(each.field, each.task) for each in refused] == [("id", "me.t")]
    assert not world.core.ledger.open


def test_after_the_retention_the_id_is_free_for_everybody_alike() -> None:
    """By the server's clock, so that who folds the logs later finds the same: a new task under the old name."""
    world = World(1, timing=Timing(keep_ms=KEEP_MS))
    begun_ms = world.now_ms
    done(world, "t")
    cut(world)
    world.now_ms = begun_ms + KEEP_MS + 1
    again = submit_again(world, "t", priority=9)

    assert again == []
    assert list(world.core.ledger.open) == ["me.t"]
