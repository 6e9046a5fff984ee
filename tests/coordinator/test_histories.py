"""The core under generated histories: nodes die, lie, fault and lose messages; leaders die between any two writes."""

import datetime as dt
import json
import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.messages import Abandoned, Assigned, Decision, Refused
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
        lambda i, v, m, p, d, r: task(
            i, verify=v, max_attempts=m, priority=p, **({"deadline": _deadline(d)} if d else {}), **r
        ),
        st.one_of(st.none(), ids),
        verify,
        st.integers(1, 4),
        st.integers(0, 9),
        st.sampled_from([0, 0, 0, 5_000, 60_000]),
        st.sampled_from([{}, {}, {"reward": 10}, {"reward": 7, "price": 3}, {"reward": 100}]),
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
    st.tuples(st.just("deposit"), st.integers(1, 60)),
    st.tuples(st.just("restart"), st.integers(0, 5), st.permutations("vatrd")),
)


def play(world: World, history: list[tuple[Any, ...]]) -> None:
    """Let it happen; a step is a method of the world and what it is given."""
    for verb, *said in history:
        match verb:
            case "submit":
                world.submit(*said[0])
            case "lie":
                world.answer(said[0], output=b"lie")
            case "restart":
                world.restart(written=said[0], order="".join(said[1]))
            case _:
                getattr(world, verb)(*said)
        world.check()


WEIGHTS = {
    "submit": 4, "cancel": 0.4, "flush": 6, "advance": 3, "answer": 9, "lie": 1, "kill": 0.7, "leave": 0.4, "revive": 2,
    "lose": 0.7, "verify": 5, "restart": 0.6, "deposit": 0.7,
}  # fmt: skip


def walk(seed: int, length: int) -> list[tuple[Any, ...]]:
    """A long history in which most things go well, so that what goes wrong does so in the middle of something."""
    dice = random.Random(seed)  # noqa: S311 -- a history must be repeatable
    history: list[tuple[Any, ...]] = []
    for verb in dice.choices(list(WEIGHTS), list(WEIGHTS.values()), k=length):
        node = dice.choice(NODES)
        said: tuple[Any, ...] = ()
        match verb:
            case "submit":
                said = ([_spec(dice) for _ in range(dice.randint(1, 3))],)
            case "cancel":
                said = (dice.choice("abcdef"),)
            case "flush":
                said = (dice.choice([None, None, 1, 3]),)
            case "advance":
                said = (dice.choice([100, 100, 1000, 1000, 5000, 12_000, 40_000]),)
            case "answer":
                said = (node, dice.choice(["ok", "ok", "ok", "ok", "fault", "failed"]))
            case "restart":
                said = (dice.randint(0, 5), dice.sample("vatrd", 5))
            case "deposit":
                said = (dice.randint(1, 60),)
            case "verify":
                pass
            case _:
                said = (node,)
        history.append((verb, *said))
    return history


def _spec(dice: random.Random) -> dict[str, Any] | bytes:
    if dice.random() < 0.1:
        return dice.choice([b"junk", task(dice.choice("abcdef"), work={"module": digest("unknown")})])
    agree, of = dice.choice([(0, 1), (2, 3), (2, 3), (2, 2), (3, 4)])
    verify = {"kind": "quorum", "agree": agree, "of": of} if agree else {"kind": "signature"}
    deadline = {"deadline": _deadline(dice.choice([5_000, 60_000]))} if dice.random() < 0.1 else {}
    offer = (
        {"reward": dice.choice([1, 10, 50]), "price": dice.choice([0, 0, 9])} if dice.random() < 0.3 else {}
    )
    name = dice.choice("abcdefghijklmnop") if dice.random() < 0.5 else None
    attempts, priority = dice.randint(1, 5), dice.randint(0, 9)
    return task(name, verify=verify, max_attempts=attempts, priority=priority, **deadline, **offer)


def submitted(world: World) -> int:
    return sum(
        len(split_documents(entry.body)) for entry in world.logs["tasks"] if ".submit." in entry.subject
    )


def most_attempts(world: World) -> dict[tuple[int, int], int]:
    """What each submission allows, by its place in TASKS."""
    return {
        (entry.sequence, line): json.loads(document).get("max_attempts", 5)
        for entry in world.logs["tasks"]
        for line, document in enumerate(split_documents(entry.body))
        if document.startswith(b"{") and b"magic" not in document
    }


relaxed = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


histories = st.one_of(
    st.lists(steps, max_size=60), st.builds(walk, st.integers(0, 2**32), st.sampled_from([40, 80, 160]))
)


@relaxed
@given(histories)
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
    most = most_attempts(world)
    assert all(each.attempt <= most[each.source] for each in world.decisions(Assigned))


@relaxed
@given(
    histories,
    st.lists(st.sampled_from("vatrd"), max_size=12),
    st.permutations("vatrd"),
)
def test_the_logs_fold_to_one_state_however_they_are_interleaved(
    history: list[tuple[Any, ...]], sittings: list[str], tail: list[str]
) -> None:
    """Fold of a prefix and the rest equals the fold of all, in any interleaving of the logs."""
    world = World(timing=Timing(unjudged_ms=10**9))
    play(world, history)

    assert snapshot(world.folded("".join(sittings + tail))) == snapshot(world.folded("vatrd"))


@relaxed
@given(histories)
def test_a_restart_decides_nothing_that_is_decided(history: list[tuple[Any, ...]]) -> None:
    """A leader that folded the logs refuses, assigns and abandons nothing a second time."""
    world = World()
    play(world, history)
    world.flush()
    wanting = {name for name, each in world.core.ledger.open.items() if each.wanted()}
    before = len(world.decisions(Decision))
    world.restart()
    world.flush()
    world.check()
    new = world.decisions(Decision)[before:]

    assert not [each for each in new if isinstance(each, Refused)]
    assert {each.task for each in new if isinstance(each, Assigned | Abandoned)} <= wanting
