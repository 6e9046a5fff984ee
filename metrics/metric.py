"""What one metric is: a name, a kind, labels and a meaning; and the bounds that histograms share.

Rules: the prefix `ambient_`, base units (seconds, bytes, joules) in the name, `_total` for what only grows; labels have few
values, and never an id of a task, node or client: each value of a label is a series that somebody stores for ever.
"""

from typing import Literal, NamedTuple

__all__ = ["GUEST_S", "MEMORY_BYTES", "STAGE_S", "Kind", "Metric"]

type Kind = Literal["gauge", "counter", "histogram"]

STAGE_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""From a turn of an idle cluster to a backlog of half an hour. 0.1 s, 1 s and 10 s are there because the objectives are stated in them:
what is promised must be read off a bound and not between two. Logs tell time in milliseconds, so nothing finer means anything."""

GUEST_S = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""A guest runs for some tens of microseconds or for its 30 s limit: two bounds to each power of ten over the whole range."""

MEMORY_BYTES = tuple(float(2**power) for power in range(16, 33, 2))
"""From one page of WebAssembly (64 KiB) to all that a 32-bit guest can address, each four times the last."""


class Metric(NamedTuple):
    """One metric; `labels` in the order in which they are told, `bounds` of a histogram without the last one (+Inf)."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    says: str
    bounds: tuple[float, ...] = ()
