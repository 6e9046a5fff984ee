"""The core under generated histories: nodes die, lie, fault and lose messages; leaders die between any two writes."""

import datetime as dt
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.messages import Abandoned, Assigned, Refused
from bus.wire import split_documents
from coordinator.settings import Timing
from tests.coordinator.scripted import task
from tests.coordinator.world import World, digest, snapshot

NODES = [f"n{i}" for i in range(4)]
BEGIN_MS = 1_000_000

verify = st.sampled_from(
    [{"kind": "signature"}, {"kind": "quorum", "agree": 2, "of": 3}, {"kind": "quorum", "agree": 2, "of": 2}]
)
ids = st.sampled_from(["a", "b", "c", "d", "e", "f"])


def _deadline(after_ms: int) -> str:
    return dt.datetime.fromtimestamp((BEGIN_MS + after_ms) / 1000, dt.UTC).isoformat()


specs = st.one_of(
    st.builds(
        lambda i, v, m, p, d: task(
            i, verify=v, max_attempts=m, priority=p, **({"deadline": _deadline(d)} if d else {})
        ),
        st.one_of(st.none(), ids),
        verify,
        st.integers(1, 4),
        st.integers(0, 9),
        st.sampled_from([0, 0, 0, 5_000, 60_000]),
    ),
    st.builds(lambda i: task(i, work={"module": digest("unknown")}), ids),
    st.builds(lambda i: task(i, work={"args": [1]}), ids),
    st.just(b'{"id": "a", "work": {"kind": "magic"}}'),
    st.just(b"not json"),
)
nodes = st.sampled_from(NODES)
steps = st.one_of(
    st.tuples(st.just("submit"), st.lists(specs, min_size=1, max_size=3)),
    st.tuples(st.just("cancel"), ids),
    st.tuples(st.just("flush"), st.sampled_from([None, None, 1, 3])),
    st.tuples(st.just("advance"), st.sampled_from([100, 1000, 5000, 12_000, 70_000])),
    st.tuples(st.just("answer"), nodes, st.sampled_from(["ok", "ok", "ok", "fault", "failed"])),
    st.tuples(st.just("lie"), nodes),
    st.tuples(st.just("kill"), nodes),
    st.tuples(st.just("leave"), nodes),
    st.tuples(st.just("revive"), nodes),
    st.tuples(st.just("lose"), nodes),
    st.tuples(st.just("verify")),
    st.tuples(st.just("restart"), st.integers(0, 5), st.permutations("vatr")),
)


def play(world: World, history: list[tuple[Any, ...]]) -> None:
    for verb, *said in history:
        match verb:
            case "submit":
                world.submit(*said[0])
            case "cancel":
                world.cancel(said[0])
            case "flush":
                world.flush(said[0])
            case "advance":
                world.advance(said[0])
            case "answer":
                world.answer(said[0], said[1])
            case "lie":
                world.answer(said[0], output=b"lie")
            case "kill":
                world.kill(said[0])
            case "leave":
                world.leave(said[0])
            case "revive":
                world.revive(said[0])
            case "lose":
                world.lose(said[0])
            case "verify":
                world.verify()
            case "restart":
                world.restart(written=said[0], order="".join(said[1]))
        world.check()


def submitted(world: World) -> int:
    return sum(
        len(split_documents(entry.body)) for entry in world.logs["tasks"] if ".submit." in entry.subject
    )


relaxed = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@relaxed
@given(st.lists(steps, max_size=60))
def test_every_history_ends_with_one_verdict_for_each_task(history: list[tuple[Any, ...]]) -> None:
    """Whatever happened, in the end each submission is a task with exactly one verdict, a copy of one, or refused."""
    world = World()
    play(world, history)
    world.settle()
    world.check()
    judged = {verdict.task for verdict in world.verdicts()}
    decided = {each.task for each in world.decisions(Assigned)} | {
        each.task for each in world.decisions(Abandoned)
    }

    assert judged == decided
    assert not world.core.queue.waiting
    assert len(judged) + len(world.decisions(Refused)) <= submitted(world) + sum(
        ".cancel." in e.subject for e in world.logs["tasks"]
    )
    for assigned in world.decisions(Assigned):
        assert assigned.attempt <= 5


@relaxed
@given(
    st.lists(steps, max_size=50),
    st.lists(st.sampled_from("vatr"), max_size=12),
    st.permutations("vatr"),
)
def test_the_logs_fold_to_one_state_however_they_are_interleaved(
    history: list[tuple[Any, ...]], sittings: list[str], tail: list[str]
) -> None:
    """Fold of a prefix and the rest equals the fold of all, in any interleaving of the logs."""
    world = World(timing=Timing(unjudged_ms=10**9))
    play(world, history)

    assert snapshot(world.folded("".join(sittings + tail))) == snapshot(world.folded("vatr"))


@relaxed
@given(st.lists(steps, max_size=40))
def test_a_restart_decides_nothing_that_is_decided(history: list[tuple[Any, ...]]) -> None:
    """A leader that folded the logs refuses, assigns and abandons nothing a second time."""
    world = World()
    play(world, history)
    world.flush()
    before = (len(world.decisions(Refused)), len(world.decisions(Abandoned)), len(world.decisions(Assigned)))
    waiting = {name for name, each in world.core.ledger.open.items() if each.wanted()}
    world.restart()
    world.flush()
    after = (len(world.decisions(Refused)), len(world.decisions(Abandoned)), len(world.decisions(Assigned)))

    assert after[:2] == before[:2]
    assert waiting or after[2] == before[2]
