"""What each strategy prefers, seen through what placement does with it, for few and for many nodes."""

from collections import Counter

import numpy as np
import pytest

from coordinator.errors import CoordinatorError, UnknownStrategy
from coordinator.placement import Request, choose
from coordinator.strategies import STRATEGIES, strategy_named
from tests.coordinator.nodes import registry_of, telemetry

SHORT = Request(expected_ms=0.1)
SIZES = pytest.mark.parametrize("nodes", [5, 40])


def placed(registry, strategy, batches, *, request=SHORT, seed=1):
    """The rows that each request got, batch after batch, without taking room."""
    rng = np.random.default_rng(seed)
    return [
        row
        for size in batches
        for rows in choose(registry, [request] * size, strategy, 0, rng)
        if rows is not None
        for row in rows
    ]


def reporting(nodes, **columns):
    """A registry whose node i reports the i-th value of each column."""
    registry = registry_of(nodes, slots=16)
    for number in range(nodes):
        registry.heard(telemetry(f"n{number}", **{name: of(number) for name, of in columns.items()}), 0)
    return registry


def test_an_unknown_strategy_is_refused_with_the_names_there_are():
    """A typo in the configuration is answered with all four names."""
    with pytest.raises(UnknownStrategy, match="weighted, round-robin, least-loaded, latency-aware") as told:
        strategy_named("wieghted")

    assert isinstance(told.value, CoordinatorError)
    assert [strategy_named(name).name for name in STRATEGIES] == list(STRATEGIES)


@SIZES
@pytest.mark.parametrize(
    "batches", [[1] * 4000, [20] * 200, [200] * 20], ids=["one at a time", "in batches", "in bursts"]
)
def test_weighted_gives_in_proportion_to_the_score(nodes, batches):
    """Each node's share of many tasks is its share of the scores, within five standard deviations."""
    registry = reporting(nodes, bandwidth_mbps=lambda i: 1000 * i / nodes, latency_ms=lambda i: 7 * i % 100)
    share = registry.score / registry.score.sum()
    counts = np.bincount(placed(registry, strategy_named("weighted"), batches), minlength=nodes)

    assert counts.sum() == 4000
    assert share.max() > 1.5 * share.min()
    assert (abs(counts - 4000 * share) < 5 * np.sqrt(4000 * share * (1 - share))).all()


@SIZES
def test_weighted_gives_every_place_in_a_batch_the_same_chances(nodes):
    """Nobody can steer a task to a node by its place in the batch: the first and the last get low rows as often."""
    registry = registry_of(nodes)
    strategy, rng = strategy_named("weighted"), np.random.default_rng(3)
    rows = np.array([choose(registry, [SHORT] * 20, strategy, 0, rng) for _ in range(300)])[:, :, 0]

    assert abs(rows[:, 0].mean() - rows[:, -1].mean()) < 5 * rows.std() * np.sqrt(2 / 300)


def test_a_node_of_score_zero_is_the_last_resort_but_one():
    """With nobody else there, the worst node gets the task rather than nobody."""
    registry = reporting(2, bandwidth_mbps=lambda _: 0.0, latency_ms=lambda i: 0 if i else 200.0)
    registry.heard(telemetry("n0", bandwidth_mbps=0, latency_ms=200, cpu_free=0, memory_free=0), 0)
    registry.reputation[0] = 0.0
    registry.heard(telemetry("n0", bandwidth_mbps=0, latency_ms=200, cpu_free=0, memory_free=0), 0)

    assert registry.score[0] == 0.0
    assert Counter(placed(registry, strategy_named("weighted"), [1] * 200)) == {1: 200}
    registry.left("n1")
    assert placed(registry, strategy_named("weighted"), [1]) == [0]


@SIZES
@pytest.mark.parametrize("batches", [[1] * 100, [7, 1, 30, 2, 60], [100]])
def test_round_robin_gives_everybody_the_same(nodes, batches):
    """Whatever the batches, after any number of tasks no node is more than one ahead of another."""
    counts = np.bincount(placed(registry_of(nodes), strategy_named("round-robin"), batches), minlength=nodes)

    assert counts.sum() == 100
    assert counts.max() - counts.min() <= 1


@SIZES
def test_round_robin_goes_in_order_and_passes_over_the_unfit(nodes):
    """Row after row, around the circle, without those that are out."""
    registry = registry_of(nodes)
    registry.left("n1")
    strategy = strategy_named("round-robin")
    fit = [row for row in range(nodes) if row != 1]

    assert placed(registry, strategy, [3, 1, nodes]) == (fit * 3)[: nodes + 4]


@SIZES
def test_least_loaded_picks_the_emptiest(nodes):
    """One task goes where the share of room in use is smallest, relative to the slots."""
    registry = registry_of(nodes)
    for row in range(nodes):
        registry.take(row, 30.0 if row == 3 else 31.0)

    assert placed(registry, strategy_named("least-loaded"), [1]) == [3]


@SIZES
def test_least_loaded_levels_a_batch(nodes):
    """After a batch no node is fuller by more than one task than it had to be."""
    registry = registry_of(nodes)
    for row in range(nodes):
        for _ in range(row % 5):
            registry.take(row, 1.0)
    for row in placed(
        registry, strategy_named("least-loaded"), [10 * nodes], request=Request(expected_ms=1.0)
    ):
        registry.take(row, 1.0)

    assert registry.open[:nodes].sum() == 10 * nodes + sum(row % 5 for row in range(nodes))
    assert registry.open[:nodes].max() - registry.open[:nodes].min() <= 1


@SIZES
def test_latency_aware_prefers_the_near(nodes):
    """Among idle nodes the nearest come first, in order."""
    registry = reporting(nodes, latency_ms=lambda i: 90.0 - 2 * i)
    nearest = list(range(nodes - 1, nodes - 4, -1))

    assert placed(registry, strategy_named("latency-aware"), [1], request=Request(replicas=3)) == nearest


@SIZES
def test_latency_aware_counts_the_backlog_too(nodes):
    """A near node with much before it is farther than an idle one that is a little farther away."""
    registry = reporting(nodes, latency_ms=lambda i: 5.0 if i == 0 else 6.0 if i == 1 else 50.0)
    for _ in range(16):
        registry.take(0, 2.0)

    assert placed(registry, strategy_named("latency-aware"), [1]) == [1]
