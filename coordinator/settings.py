"""What an operator may set for a coordinator, and every time span that it waits.

Times are in milliseconds. The defaults are the design's; tests shorten them instead of waiting.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bus.streams import KEEP_MS
from bus.subjects import DEFAULT_CLUSTER
from metrics.page import LOOPBACK

__all__ = ["Settings", "Timing"]

_GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The spans that the core reckons with.

    An attempt's lease is its wall limit plus `queue_allowance_ms`; telemetry that lists it renews the lease, in all up to
    `renewals` times its length. An attempt that its node does not list `redeliver_ms` after it was sent is sent again,
    `deliveries` times in all: it may be what ends that node each time.
    Retries wait `backoff_ms`, doubled each time up to `backoff_limit_ms`. A task out of attempts whose
    last claim came less than `settle_ms` ago waits for the verifier. A retry that has found too few nodes for `stranded_ms` asks
    for fewer at once, and is given up if every node that fits is used up; one that was heard in the last `return_ms` may return. Claims that the verifier passed over are made good after `unjudged_ms`. A verdict is published again
    for a submission no older than `resubmitted_ms` when a leadership begins. The tick is every `tick_ms`. For `keep_ms` after its
    verdict an id stands for that verdict; it must be the same for all coordinators of a cluster.
    """

    tick_ms: int = 250
    queue_allowance_ms: int = 30_000
    renewals: int = 10
    redeliver_ms: int = 4_000
    deliveries: int = 4
    backoff_ms: int = 50
    backoff_limit_ms: int = 30_000
    settle_ms: int = 5_000
    stranded_ms: int = 15_000
    return_ms: int = 600_000
    unjudged_ms: int = 60_000
    resubmitted_ms: int = 60_000
    keep_ms: int = KEEP_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How one coordinator process is set up.

    Beyond `full_tasks` tasks without a verdict, `full_bytes` of them, or `full_wait_s` seconds of work (which are counted
    from a thousand tasks on), new ones are refused before they are stored; see docs/backpressure.md.
    `open_tasks` and `open_bytes` bound what is held in memory, whatever is in the log: beyond, TASKS is read no further. `url` None
    means `NATS_URL` or the local default. `clock` gives seconds since the epoch; without it the servers' time counts, not this machine's
    (`bus.clock`). Nothing else in this package asks for the time.
    `data` holds copies of checkpoints, so that a restart need not fetch them: it may be lost. A checkpoint is made every
    `checkpoint_s` at most. `metrics_port` 0 serves no metrics; `monitors` are the servers' monitors (`http://host:8222`), told with them.
    """

    data: Path
    url: str | None = None
    cluster: str = DEFAULT_CLUSTER
    name: str = field(default_factory=lambda: f"coordinator-{secrets.token_hex(4)}")
    strategy: str = "weighted"
    checkpoint_s: float = 5.0
    open_tasks: int = 200_000
    open_bytes: int = _GIB
    full_tasks: int = 150_000
    full_bytes: int = _GIB // 2
    full_wait_s: float = 3600.0
    gate_every_s: float = 0.5
    seed: int = 0
    timing: Timing = Timing()
    metrics_port: int = 0
    metrics_host: str = LOOPBACK
    monitors: tuple[str, ...] = ()
    clock: Callable[[], float] | None = None
