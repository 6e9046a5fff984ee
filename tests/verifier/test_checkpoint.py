"""A verifier that begins from a checkpoint judges as one that folded the logs from their beginnings."""

from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bus.messages import Quorum, Verdict, VerifyPolicy
from bus.wire import encode
from folds.errors import CheckpointUnusable
from folds.runs import Run, build, merge
from tests.verifier.history import NODES, POLICIES, STEPS, World, fold_verdicts
from tests.verifier.scripted import abandoned, assigned
from verifier import settled
from verifier.checkpoint import pack, restore
from verifier.core import Core
from verifier.merge import Merge

BOUNDED = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
NUMBERS = st.lists(st.tuples(st.integers(0, STEPS - 1), st.integers(0, 1000)), max_size=60)


class Kept(NamedTuple):
    """A checkpoint: how far the logs were folded, the state, and the runs beside it."""

    decisions: int
    claims: int
    written: int
    packed: bytes
    runs: list[Run]


@pytest.fixture(autouse=True)
def _little_is_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that most of what is closed is in runs."""
    monkeypatch.setattr(settled, "WARM", 2)


def _keep(world: World) -> Kept:
    world.write(len(world.emitted))
    old = world.core.settled.old
    given_out = old.to_seal(2)
    if given_out is not None:
        old.sealed(Run(build(*given_out)))
    if (group := old.to_merge()) is not None:
        old.merged(group, Run(merge(group)))
    claims = world.merge.oldest - 1 if world.merge.oldest else world.read[1]
    return Kept(world.read[0], claims, len(world.written), pack(world.core), list(old.runs))


def _resumed(world: World, kept: Kept) -> Core:
    """A core that was restored and has read VERDICTS to its end."""
    core = Core()
    restore(core, kept.packed, kept.runs)
    return fold_verdicts(world.written, core, kept.written)


def _resume(world: World, kept: Kept) -> None:
    """Kill -9; the successor begins from a checkpoint."""
    world.core = _resumed(world, kept)
    world.merge = Merge()
    world.read = [kept.decisions, kept.claims]
    world.emitted = []


@st.composite
def worlds(draw: st.DrawFn) -> tuple[World, list[Kept]]:
    """A world in which successors begin from checkpoints, and all the checkpoints that were made."""
    policy: VerifyPolicy = draw(st.sampled_from(POLICIES))
    most = policy.agree - 1 if isinstance(policy, Quorum) else 0
    shuffled = draw(st.permutations(NODES))
    liars, faulty = (
        tuple(shuffled[: draw(st.integers(0, most))]),
        tuple(shuffled[most : most + draw(st.integers(0, 3))]),
    )
    world = World(policy, liars, faulty)
    kept = [_keep(world)]
    for choice, which in draw(NUMBERS):
        if choice == 10:
            _resume(world, kept[-1 - which % min(2, len(kept))])
        elif choice == 9 and which % 3 == 0:
            kept.append(_keep(world))
        else:
            world.step(choice, which)
    return world, kept


@BOUNDED
@given(worlds())
def test_successors_from_checkpoints_judge_every_task_once(made: tuple[World, list[Kept]]) -> None:
    """Whichever of the last two checkpoints a successor begins from, each task ends in one verdict."""
    world, _ = made
    world.drain()

    judged = [line.task for line in world.lines if isinstance(line, Verdict)]
    assert sorted(judged) == sorted(world.attempts)
    assert world.core.open_tasks == 0


@BOUNDED
@given(worlds())
def test_a_checkpoint_and_the_rest_fold_to_the_same(made: tuple[World, list[Kept]]) -> None:
    """From any checkpoint of a finished history: every verdict in its place, the same reputation, nothing to write."""
    world, kept = made
    world.drain()
    for each in kept:
        _resume(world, each)
        while world.read != [len(world.decisions), len(world.claims)]:
            world.fold_decision()
            world.fold_claim()

        assert world.emitted == []
        straight = fold_verdicts(world.written)
        assert sorted(world.core.reputation) == sorted(straight.reputation)
        assert {t: world.core.place(t) for t in world.attempts} == {
            t: straight.place(t) for t in world.attempts
        }


@BOUNDED
@given(worlds())
def test_a_kept_state_is_packed_again_byte_for_byte(made: tuple[World, list[Kept]]) -> None:
    """Nothing is lost or added on the way into bytes and back."""
    for each in made[1]:
        core = Core()
        restore(core, each.packed, each.runs)

        assert pack(core) == each.packed


def test_what_is_no_state_is_refused() -> None:
    """Damaged bytes are an error to pass over, and leave the core as it was."""
    packed = _keep(World(POLICIES[0])).packed
    core = Core()
    for damaged in (b"", packed[:-1], b"\x80", packed[:9] + b"\xff" + packed[9:]):
        with pytest.raises(CheckpointUnusable):
            restore(core, damaged, [])

    assert pack(core) == pack(Core())


def test_a_name_may_be_that_of_a_new_task() -> None:
    """What was submitted later under a name that is free again is judged by itself; the first one never again."""
    core = fold_verdicts([[encode(Verdict(task="me.t", status="verified", agree=("n1",), source=(5, 0)))]])
    core.fold_decisions(1, encode(replace(assigned("me.t", ("n1",)), source=(5, 0))))

    assert core.open_tasks == 0

    core.fold_decisions(2, encode(replace(abandoned("me.t"), source=(9, 0))))
    (emission,) = core.judge()

    assert isinstance(emission.message, Verdict)
    assert (emission.message.status, emission.message.source) == ("cancelled", (9, 0))

    core.fold_decisions(3, encode(replace(abandoned("me.t"), source=(9, 0))))
    core.fold_decisions(4, encode(replace(abandoned("me.t"), source=(5, 0))))

    assert core.judge() == []
