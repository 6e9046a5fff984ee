"""A coordinator that begins from a checkpoint is the one that folded the logs from their beginnings."""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.messages import Refused
from coordinator.checkpoint import pack, restore
from coordinator.core import Core
from coordinator.settings import Timing
from coordinator.strategies import strategy_named
from folds.errors import CheckpointUnusable
from tests.coordinator.scripted import task
from tests.coordinator.test_histories import play, walk
from tests.coordinator.world import SUBJECTS, World, snapshot

relaxed = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
walks = st.builds(walk, st.integers(0, 2**32), st.sampled_from([20, 60, 120]))


def _core() -> Core:
    return Core(SUBJECTS, strategy_named("weighted"), Timing(), seed=1)


@relaxed
@given(walks, walks, st.permutations("vatrd"))
def test_a_checkpoint_and_the_rest_fold_to_the_same_state(
    before: list[tuple[Any, ...]], after: list[tuple[Any, ...]], order: list[str]
) -> None:
    """Wherever in a history a leader keeps its state, whatever comes then, and in whichever order the logs are read on."""
    world = World(timing=Timing(unjudged_ms=10**9))
    play(world, before)
    kept = world.checkpoint()
    play(world, after)

    resumed, folded = world.resumed(kept, "".join(order)), world.folded("vatrd")
    for name, kept_task in resumed.ledger.open.items():
        told = folded.ledger.open[name]
        # Whom the leader keeps from a task because they let it lie stands in no log, and is good to know.
        assert kept_task.excluded >= told.excluded
        kept_task.excluded = told.excluded
    assert snapshot(resumed) == snapshot(folded)


@pytest.mark.long
@relaxed
@given(walks, walks, st.integers(0, 2**32))
def test_leaders_that_begin_from_checkpoints_end_every_task_once(
    before: list[tuple[Any, ...]], after: list[tuple[Any, ...]], seed: int
) -> None:
    """Leaders die between any two writes and their successors begin from whichever checkpoint there was last."""
    dice = random.Random(seed)  # noqa: S311 -- a history must be repeatable
    world = World()
    play(world, before)
    kept = world.checkpoint()
    for step in after:
        play(world, [step])
        if dice.random() < 0.1:
            kept = world.checkpoint()
        if dice.random() < 0.1:
            world.resume(kept, "".join(dice.sample("vatrd", 5)))
            world.check()
    world.settle()
    world.check()

    assert {each.task for each in world.verdicts()} >= set(world.core.ledger.ended)
    assert not world.core.ledger.open


@relaxed
@given(walks)
def test_a_kept_state_is_packed_again_byte_for_byte(history: list[tuple[Any, ...]]) -> None:
    """Nothing is lost or added on the way into bytes and back."""
    world = World()
    play(world, history)
    packed, runs = world.checkpoint()
    core = _core()
    restore(core, packed, runs, world.now_ms)

    assert pack(core) == packed


def test_what_is_no_state_is_refused() -> None:
    """Damaged bytes are an error to pass over, never a state."""
    packed, runs = World().checkpoint()
    for damaged in (
        b"",
        packed[:-1],
        b"\x80",
        packed[: len(packed) // 2] + b"\xff" + packed[len(packed) // 2 :],
    ):
        with pytest.raises(CheckpointUnusable):
            restore(_core(), damaged, runs, 0)


def test_an_id_stands_for_its_verdict_for_a_day_and_then_is_free() -> None:
    """Sent again within the retention it gives the verdict there is; later it is another task, for every fold that reads VERDICTS first."""
    world = World()
    world.submit(task("a"))
    world.flush()
    world.settle()
    kept = world.checkpoint()
    world.now_ms += 86_000_000
    world.resume(kept)
    world.submit(task("a"))
    world.settle()

    assert [verdict.task for verdict in world.verdicts()] == ["me.a"]

    world.now_ms += 1_000_000
    source = world.submit(task("a", verify={"kind": "quorum", "agree": 2, "of": 3}))

    assert world.core.ledger.open["me.a"].source == (source, 0)
    for name in list(world.held):
        world.revive(name)
    world.flush()
    for order in ("vatrd", "vtard", "dvrta"):
        assert snapshot(world.folded(order))["open"] == snapshot(world.resumed(kept, order))["open"]
        assert world.folded(order).ledger.open["me.a"].source == (source, 0)


def test_a_copy_of_a_task_that_waits_is_kept_and_answered_like_it() -> None:
    """The leader admits a task that no node takes, and its copy; the next one finds the module gone: each is refused for itself."""
    world = World(nodes=0)
    sources = [(world.submit(task("a")), 0), (world.submit(task("a")), 0)]
    core = world.resumed(world.checkpoint())

    assert snapshot(core) == snapshot(world.folded("vatrd"))

    core.lead("next", world.now_ms)
    refused = []
    for _ in range(4):
        out = core.decide(world.now_ms)
        refused += [token.source for _, token in out.lines if isinstance(token, Refused)]
        for question in out.ask:
            core.blob_missing(question, "gone")

    assert refused == sources
