"""Events: what server-sent events carry.

`event: log` has a `LogEvent` as data, and as `id` the position in all logs behind it: sent as `Last-Event-ID`, to this gateway or another, nothing
behind it is missed. `event: stats` has `gateway.resources.cluster.Stats` and `event: node` a `NodeEvent`; they have no id, and are the state of
the moment. An `id` without data only moves the position (what was filtered out).
"""

from msgspec import Struct

from gateway.resources.common import Count

__all__ = ["LogEvent", "LogItem", "NodeEvent"]


class LogItem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a log, in short; `kind` says which of the other fields there are.

    TASKS: `asked`, `cancel`. ASSIGNMENTS: `assigned`, `refused`, `abandoned`, `enrolled`, `leader`. RESULTS: `claimed`. VERDICTS: `accepted`,
    `inconclusive`, `late`, `leader`. ANCHORS: `sealed`, `ledger`, `order`, `opened`, `unlogged`, `leader`, and the steps of a publication
    (`built`, `broadcast`, `mined`, `reorged`, `final`, `stranded`).
    """

    kind: str
    task: str = ""
    client: str = ""
    node: str = ""
    nodes: tuple[str, ...] = ()
    attempt: int = 0
    status: str = ""
    reason: str = ""
    field: str = ""
    limit: str = ""
    agree: tuple[str, ...] = ()
    dissent: tuple[str, ...] = ()
    policy: str = ""
    fuel: int = 0
    energy_j: float = 0.0
    wall_ms: float = 0.0
    epoch: int = 0
    size: int = 0
    verdicts: int = 0
    number: int = 0
    txid: str = ""
    height: int = 0


class LogEvent(Struct, frozen=True, kw_only=True):
    """One entry of a log (`tasks`, `assignments`, `results`, `verdicts`, `anchors`): all its lines that the filters let through."""

    log: str
    sequence: Count
    at_ms: Count
    items: list[LogItem]


class NodeEvent(Struct, frozen=True, kw_only=True):
    """A node that is new or whose state changed; `before` is empty for a new one."""

    node: str
    state: str
    before: str
    score: float
    open: Count
    at_ms: Count
