"""How a node was over the last hour."""

from msgspec import Struct

from gateway.resources.common import Count

__all__ = ["NodeTelemetry", "Spread"]


class Spread(Struct, frozen=True, kw_only=True):
    """A quantity over time: of each bucket the least, the mean and the most; null where nothing was heard."""

    min: list[float | None]
    mean: list[float | None]
    max: list[float | None]


class NodeTelemetry(Struct, frozen=True, kw_only=True):
    """One node over time. Bucket `i` of each list begins at `from_ms + i * step_ms`; the last one is still under way.

    Shares (`cpu_free`, `memory_free`, `battery`) are 0..1, `power_w` is what the node took between two heartbeats. A quantity that the node
    never told (a machine without a battery) is null as a whole. `from_ms` is 0 where nothing is remembered.
    """

    node: str
    step_ms: Count
    from_ms: Count
    cpu_free: Spread | None = None
    memory_free: Spread | None = None
    latency_ms: Spread | None = None
    temperature_c: Spread | None = None
    battery: Spread | None = None
    power_w: Spread | None = None
