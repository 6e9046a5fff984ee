"""The cluster as a whole: whether it works, and how much."""

from msgspec import Struct

from gateway.resources.common import Count

__all__ = ["Latency", "Live", "LogExtent", "Rates", "Ready", "ServiceState", "Stats"]


class Live(Struct, frozen=True, kw_only=True):
    """This process answers."""

    status: str = "live"
    version: str = ""


class ServiceState(Struct, frozen=True, kw_only=True):
    """A service: who leads it, since when, which standbys there are, and how many entries of each log it has not folded yet."""

    service: str
    leader: str = ""
    epoch: Count = 0
    since_ms: Count = 0
    standbys: list[str] = []
    lag: dict[str, int] = {}


class Ready(Struct, frozen=True, kw_only=True):
    """Whether tasks that are submitted now will be worked on; `problems` says what is missing."""

    ready: bool
    bus: bool
    logs: dict[str, int]
    services: list[ServiceState]
    problems: list[str] = []


class Rates(Struct, frozen=True, kw_only=True):
    """Per second, over the last ten seconds, or of one second of a history. `p50_ms` and `p99_ms` are its latencies, as in `Latency`."""

    asked: float = 0.0
    decided: float = 0.0
    claimed: float = 0.0
    accepted: float = 0.0
    failed: float = 0.0
    dissents: float = 0.0
    energy_w: float = 0.0
    p50_ms: float | None = None
    p99_ms: float | None = None


class Latency(Struct, frozen=True, kw_only=True):
    """From asked to accepted, in ms, over the last minute; None where nothing was accepted. Within 5 %."""

    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    tasks: Count = 0


class LogExtent(Struct, frozen=True, kw_only=True):
    """What a log holds, and how far this gateway has read it."""

    first: Count
    last: Count
    bytes: Count
    max_bytes: int
    read: Count


class Stats(Struct, frozen=True, kw_only=True):
    """The cluster at a glance. `tasks` are those that the gateway remembers, by state; `open` and `waiting` those of the whole cluster."""

    cluster: str
    at_ms: Count
    rates: Rates
    latency: Latency
    history: list[Rates]
    tasks: dict[str, int]
    open: Count
    waiting: Count
    full: str
    nodes: dict[str, int]
    logs: dict[str, LogExtent]
    services: list[ServiceState]
    energy_j: float
    fuel: Count
