"""What a coordinator says of its nodes: all of them, by state, health and reason, in a few series."""

import itertools

from coordinator.metrics import _say_nodes
from coordinator.registry import Registry
from metrics.board import Board
from tests.coordinator.nodes import KEY, capabilities, telemetry
from tests.metrics.test_servers import Figures, figures
from workers.breakers import Breakers


def _registry(*safe_modes: str) -> Registry:
    """One node for each reason, present and heard."""
    registry, numbers = Registry(), itertools.count()
    for reason in safe_modes:
        node = f"n{next(numbers)}"
        registry.enrol(node, KEY, capabilities(), 0)
        full = {"cpu_free": 1.0, "memory_free": 1.0, "latency_ms": 0.0, "bandwidth_mbps": 1000.0}
        registry.heard(telemetry(node, safe_mode=reason, **full), 1)
    return registry


async def _said(registry: Registry) -> Figures:
    async def say(board: Board) -> None:
        _say_nodes(board, registry)

    return await figures(say)


async def test_nodes_are_told_by_the_reason_that_they_give() -> None:
    """In the words that a node's breakers use; whatever else a node writes is one of the four as well."""
    hot, far, failing = Breakers(), Breakers(), Breakers()
    hot.measured(0, temperature_c=90, latency_ms=500)
    far.measured(0, latency_ms=500)
    for _ in range(25):
        failing.fault(0)
    said = await _said(
        _registry(hot.reason, far.reason, failing.reason, "disk full", 'x"} 1\nforged 2', "25 apples", "")
    )

    assert {
        labels[0][1]: count for (name, labels), count in said.items() if name == "ambient_nodes_safe"
    } == {
        "temperature": 1,
        "latency": 2,
        "errors": 1,
        "means": 3,
    }
    assert said["ambient_nodes", (("state", "safe"),)] == 6
    assert said["ambient_nodes", (("state", "healthy"),)] == 1


async def test_health_is_cumulative_and_counts_whoever_is_there() -> None:
    """As a histogram's buckets: a node of full health is in the last two alone, and one that left in none."""
    registry = _registry("", "", "")
    registry.left("n2")
    said = await _said(registry)
    buckets = {labels[0][1]: count for (name, labels), count in said.items() if name.endswith("_bucket")}

    assert buckets["+Inf"] == buckets["1.0"] == 2
    assert buckets["0.5"] == 0
    assert list(buckets.values()) == sorted(buckets.values())
