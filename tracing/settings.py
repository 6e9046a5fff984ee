"""What an operator may set for the reader of traces."""

from dataclasses import dataclass

from bus.subjects import DEFAULT_CLUSTER

__all__ = ["TracingSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingSettings:
    """`to` is the OTLP/HTTP endpoint of a collector, as `http://localhost:4318`; `share` of all tasks is traced, 0 to 1.

    `url` None means `NATS_URL` or the local default. Up to `most_spans` wait for a collector that is away; of more the oldest are lost.
    """

    to: str
    share: float = 1.0
    url: str | None = None
    cluster: str = DEFAULT_CLUSTER
    most_spans: int = 50_000
