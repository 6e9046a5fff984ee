"""Nodes for the tests of the coordinator's node side."""

from bus.messages import Capabilities, Telemetry
from coordinator.registry import Registry

KEY = "ab" * 32


def capabilities(**changes) -> Capabilities:
    """Capabilities of a plain node with two slots, with changes."""
    plain = {"version": "1", "engine": "wasmtime", "cores": 4, "memory_mb": 4096, "slots": 2}
    return Capabilities(**(plain | changes))


def telemetry(node: str, **changes) -> Telemetry:
    """Telemetry of a plain node, with changes."""
    plain = {"at_ms": 1, "cpu_free": 0.5, "memory_free": 0.5, "latency_ms": 10.0, "bandwidth_mbps": 500.0}
    return Telemetry(node=node, **(plain | changes))


def registry_of(count: int, now_ms: int = 0, **changes) -> Registry:
    """A registry of nodes n0, n1, … that were heard at `now_ms`."""
    registry = Registry(capacity_hint=2)
    for number in range(count):
        registry.enrol(f"n{number}", KEY, capabilities(**changes), now_ms)
    return registry
