"""Placement: its guarantees over generated clusters and batches, checked against plain Python."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.messages import Place
from coordinator.explanation import EXPLAINED_NODES, REST
from coordinator.placement import Request, choose, explain
from coordinator.registry import Registry
from coordinator.room import LANE_TICKS, UNKNOWN_MS, ticks
from coordinator.strategies import STRATEGIES, strategy_named
from tests.coordinator.nodes import KEY, capabilities, registry_of, telemetry

NOW_MS = 5_000
SCARCE_ORDER = 64

node = st.fixed_dictionaries(
    {
        "region": st.sampled_from([None, "eu", "us"]),
        "node_type": st.sampled_from([None, "edge", "rack"]),
        "labels": st.sampled_from([{}, {"gpu": "yes"}, {"gpu": "no", "zone": "a"}]),
        "cores": st.integers(1, 4),
        "memory_mb": st.sampled_from([512, 2048]),
        "slots": st.integers(1, 3),
        "held": st.lists(st.sampled_from([0.1, 20.0, UNKNOWN_MS]), max_size=4),
        "bandwidth_mbps": st.floats(0, 1000),
        "state": st.sampled_from(["healthy"] * 6 + ["safe", "draining", "silent", "left"]),
    }
)
clusters = st.one_of(st.lists(node, max_size=8), st.lists(node, min_size=17, max_size=30))
places = st.builds(
    Place,
    region=st.sampled_from([None, None, "eu", "mars"]),
    node_types=st.sampled_from([(), (), ("edge",), ("edge", "rack")]),
    labels=st.sampled_from([{}, {}, {"gpu": "yes"}, {"gpu": "no", "zone": "a"}]),
    min_cores=st.sampled_from([0, 0, 3]),
    min_memory_mb=st.sampled_from([0, 1024]),
    min_score=st.sampled_from([0.0, 0.0, 0.4]),
    node=st.sampled_from([None, None, None, "n0", "n20", "ghost"]),
)
requests = st.builds(
    Request,
    place=st.one_of(st.just(Place()), places),
    replicas=st.integers(1, 4),
    excluded=st.one_of(st.just(frozenset()), st.frozensets(st.integers(0, 30), max_size=4)),
    expected_ms=st.sampled_from([0.1, 5.0, 30.0, UNKNOWN_MS]),
    memory_mb=st.sampled_from([0, 512, 1024]),
)
# Batches of a few kinds, repeated: what a queue holds.
batches = st.lists(st.tuples(requests, st.integers(1, 30)), min_size=1, max_size=5).map(
    lambda runs: [request for request, times in runs for _ in range(times)]
)
names = st.sampled_from(list(STRATEGIES))


def built(cluster) -> Registry:
    """The registry that `cluster` describes, at `NOW_MS`."""
    registry = Registry(capacity_hint=4)
    described = ("region", "node_type", "labels", "cores", "memory_mb", "slots")
    for number, wish in enumerate(cluster):
        name, state = f"n{number}", wish["state"]
        row = registry.enrol(name, KEY, capabilities(**{key: wish[key] for key in described}), NOW_MS)
        report = {"draining": state == "draining", "safe_mode": "hot" if state == "safe" else ""}
        heard_ms = NOW_MS - 6001 if state == "silent" else NOW_MS
        registry.heard(telemetry(name, bandwidth_mbps=wish["bandwidth_mbps"], **report), heard_ms)
        if state == "left":
            registry.left(name)
        for held in wish["held"]:
            registry.take(row, held)
    return registry


def fits(wish, number, request, score) -> bool:
    """Whether a node meets a request's constraints, room aside; the rules once more, in plain Python."""
    place = request.place
    return (
        wish["state"] == "healthy"
        and number not in request.excluded
        and place.region in (None, wish["region"])
        and (not place.node_types or wish["node_type"] in place.node_types)
        and place.labels.items() <= wish["labels"].items()
        and wish["cores"] >= place.min_cores
        and wish["memory_mb"] >= max(place.min_memory_mb, request.memory_mb)
        and score >= place.min_score
        and place.node in (None, f"n{number}")
    )


def most(room, weight, wanted, replicas) -> int:
    """How many tasks can be placed: giving each to the rows with most room left is optimal."""
    left = [max(0, free) // weight for free in room]
    for count in range(wanted):
        rows = sorted(range(len(left)), key=left.__getitem__)[-replicas:]
        if len(rows) < replicas or not left[rows[0]]:
            return count
        for row in rows:
            left[row] -= 1
    return wanted


@given(clusters, batches, names, st.integers(0, 9))
def test_every_guarantee_of_choose_holds(cluster, batch, name, seed):
    """Replicas differ, constraints hold, nobody exceeds its room, and nothing but the answer changes."""
    registry = built(cluster)
    before, score = registry.used.copy(), registry.score.tolist()
    answer = choose(registry, batch, strategy_named(name), NOW_MS, np.random.default_rng(seed))

    assert len(answer) == len(batch)
    assert (registry.used == before).all()
    for request, rows in zip(batch, answer, strict=True):
        if rows is not None:
            assert len(set(rows)) == len(rows) == request.replicas
            assert all(fits(cluster[row], row, request, score[row]) for row in rows)
            for row in rows:
                registry.take(row, request.expected_ms)
    grown = np.flatnonzero(registry.used != before)
    assert (registry.used[grown] <= registry.limit[grown]).all()
    assert (registry.open[grown] <= 128 * registry.slots[grown]).all()


@given(clusters, requests, st.integers(1, 60), names)
def test_as_much_is_placed_as_any_placement_could(cluster, request_, wanted, name):
    """Equal requests without exclusions are placed up to the optimum, the first ones first."""
    request = Request(place=request_.place, replicas=request_.replicas, expected_ms=request_.expected_ms)
    registry = built(cluster)
    room = [
        int(registry.limit[row] - registry.used[row])
        for row, wish in enumerate(cluster)
        if fits(wish, row, request, registry.score[row])
    ]
    answer = choose(registry, [request] * wanted, strategy_named(name), NOW_MS, np.random.default_rng(1))
    count = most(room, request.weight, wanted, request.replicas)

    assert [rows is not None for rows in answer] == [True] * count + [False] * (wanted - count)


@pytest.mark.parametrize("seed", range(10))
def test_quorums_that_only_fit_together_are_placed(seed):
    """Four quorums of 3 need each of 10 nodes as often as it can: a few on few nodes, too, are placed to the optimum."""
    registry = registry_of(9, slots=1)
    registry.enrol("n9", KEY, capabilities(), 0)
    quorums = [Request(replicas=3, expected_ms=30.0)] * 4

    assert None not in choose(registry, quorums, strategy_named("weighted"), 0, np.random.default_rng(seed))


@given(clusters, batches, names)
def test_the_same_seed_gives_the_same_answer(cluster, batch, name):
    """The core can be replayed: registry, requests, strategy and generator determine the answer."""
    answers = [
        choose(built(cluster), batch, strategy_named(name), NOW_MS, np.random.default_rng(7))
        for _ in range(2)
    ]

    assert answers[0] == answers[1]


@given(clusters, requests, names)
def test_explanations_agree_with_choices(cluster, request, name):
    """Who is explained as unfit is not chosen, and a task is unplaced exactly if nobody is explained as fit."""
    registry = built(cluster)
    reasons = explain(registry, request, strategy_named(name), NOW_MS)
    (rows,) = choose(registry, [request], strategy_named(name), NOW_MS, np.random.default_rng(1))
    fit = {reason.node for reason in reasons if reason.chosen}

    assert len(reasons) == len(cluster)
    assert all(reason.reason for reason in reasons)
    assert (rows is None) == (not fit)
    assert {registry.name(row) for row in rows or ()} <= fit


@given(st.integers(1, 40), st.integers(1, 3), names)
def test_a_retry_is_unplaced_only_if_no_node_is_left_for_it(nodes, replicas, name):
    """Many requests that exclude different nodes, with room for all: none is left out."""
    registry = registry_of(nodes, slots=8)
    batch = [
        Request(replicas=replicas, excluded=frozenset({row % nodes, row * 7 % nodes}), expected_ms=0.1)
        for row in range(100)
    ]
    answer = choose(registry, batch, strategy_named(name), 0, np.random.default_rng(1))

    assert [rows is not None for rows in answer] == [
        nodes - len(request.excluded) >= replicas for request in batch
    ]


@pytest.mark.parametrize("name", list(STRATEGIES))
@pytest.mark.parametrize("replicas", [1, 3])
def test_a_batch_spreads(name, replicas):
    """A thousand long tasks take each a node of their own, and no node more than its slots."""
    registry = registry_of(replicas * 500, slots=2)
    answer = choose(
        registry, [Request(replicas=replicas)] * 1000, strategy_named(name), 0, np.random.default_rng(1)
    )
    counts = Counter(row for rows in answer for row in rows)

    assert set(counts.values()) == {2}
    assert len(counts) == replicas * 500


def test_scarce_room_goes_to_the_first_requests():
    """When there is not room for all, a kind that comes often does not take the room of an earlier request of another."""
    registry = registry_of(40, slots=1)
    anywhere, sized = Request(), Request(memory_mb=1)
    batch = [anywhere, *[sized] * 63, *[anywhere] * 200]
    answer = choose(registry, batch, strategy_named("weighted"), 0, np.random.default_rng(1))
    positions = [at for at, rows in enumerate(answer) if rows is not None]

    assert len(positions) == 40
    assert max(positions) < SCARCE_ORDER


def test_silence_is_seen_although_nothing_was_heard_between():
    """What was worked out for one request is not used for the next once a node has gone silent."""
    registry = registry_of(2)
    registry.heard(telemetry("n1"), 3_000)
    strategy, rng = strategy_named("round-robin"), np.random.default_rng(1)

    assert choose(registry, [Request(replicas=2)], strategy, 6_000, rng) == [(0, 1)]
    assert choose(registry, [Request(replicas=2)], strategy, 6_001, rng) == [None]
    assert choose(registry, [Request()], strategy, 6_001, rng) == [(1,)]


def test_without_nodes_nothing_is_placed():
    """An empty cluster answers None, and explains that there is nobody."""
    strategy, rng = strategy_named("weighted"), np.random.default_rng(1)

    assert choose(Registry(), [Request(), Request()], strategy, 0, rng) == [None, None]
    assert choose(registry_of(1), [], strategy, 0, rng) == []
    assert explain(Registry(), Request(), strategy, 0) == []


@pytest.mark.parametrize(
    ("report", "place", "reason"),
    [
        ({"safe_mode": "temperature 91 °C"}, Place(), "safe mode: temperature 91 °C"),
        ({"draining": True}, Place(), "draining"),
        ({}, Place(region="us"), "region is eu, task wants us"),
        ({}, Place(node_types=("rack", "edge")), "node type is not given, task wants rack or edge"),
        ({}, Place(labels={"gpu": "yes"}), "label gpu is not given, task wants yes"),
        ({}, Place(min_cores=8), "has 4 cores, task wants 8"),
        ({}, Place(min_memory_mb=8192), "has 4096 MB of memory, task wants 8192 MB"),
        ({}, Place(min_score=0.9), "score is 0.620, task wants 0.900"),
        ({}, Place(node="other"), "task is pinned to node other"),
    ],
)
def test_the_reason_says_what_is_and_what_is_wanted(report, place, reason):
    """Each constraint has its own words, with both sides of it."""
    registry = registry_of(1, region="eu")
    registry.heard(telemetry("n0", **report), 0)

    assert [
        told.reason for told in explain(registry, Request(place=place), strategy_named("weighted"), 0)
    ] == [reason]


def test_the_reasons_of_what_happened():
    """Silence, goodbye, exclusion and full nodes are told apart; fit nodes come first, with their score."""
    registry = registry_of(6)
    registry.left("n0")
    for number in (2, 3, 4, 5):
        registry.heard(telemetry(f"n{number}"), 7_200)
    registry.take(4, UNKNOWN_MS)
    registry.take(4, UNKNOWN_MS)
    registry.sweep(7_200)
    told = explain(registry, Request(excluded=frozenset({3})), strategy_named("weighted"), 7_200)

    assert [(reason.node, reason.chosen, reason.reason) for reason in told[2:]] == [
        ("n0", False, "left"),
        ("n1", False, "suspect: silent for 7.2 s"),
        ("n3", False, "excluded: already had this task"),
        ("n4", False, "no room: 2 of 2 slots busy, 2 attempts open, 100 of 100 ms of work expected"),
    ]
    assert [(reason.node, reason.chosen) for reason in told[:2]] == [("n2", True), ("n5", True)]
    assert told[0].score == pytest.approx(registry.score[2])


def test_too_few_fit_nodes_are_named_as_the_reason():
    """Two nodes fit, three are needed: nobody is chosen, and the reason says why."""
    told = explain(registry_of(2), Request(replicas=3), strategy_named("least-loaded"), 0)

    assert not any(reason.chosen for reason in told)
    assert all("needs 3 nodes at once and 2 fit" in reason.reason for reason in told)


@pytest.mark.parametrize(
    ("left", "rest"), [(0, "50 more nodes: 50 fit, 0 do not"), (230, "50 more nodes: 0 fit, 50 do not")]
)
def test_an_explanation_is_bounded(left, rest):
    """Of a large cluster the first 200 are told, and how many more there are of each."""
    registry = registry_of(EXPLAINED_NODES + 50)
    for number in range(left):
        registry.left(f"n{number}")
    told = explain(registry, Request(), strategy_named("round-robin"), 0)

    assert len(told) == EXPLAINED_NODES + 1
    assert (told[-1].node, told[-1].reason) == (REST, rest)
    assert sum(reason.chosen for reason in told) == EXPLAINED_NODES if not left else 20


def test_weights_follow_from_the_expected_duration():
    """What placement counts is what the registry takes."""
    assert Request(expected_ms=1.0).weight == ticks(1.0)
    assert Request().weight == LANE_TICKS
