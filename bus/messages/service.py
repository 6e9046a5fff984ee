"""Questions to the services and their answers (request-reply under `svc.`), and the progress notice."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from bus.messages.node import Capabilities, FinishMs

__all__ = [
    "BoardReply",
    "BoardRequest",
    "DrainReply",
    "DrainRequest",
    "ErrorReply",
    "NodeReason",
    "NodeState",
    "NodeView",
    "NodesReply",
    "Pending",
    "Progress",
    "ReputationEntry",
    "ReputationReply",
    "RoomReply",
    "ServiceHealth",
    "TaskState",
    "TaskView",
    "TasksReply",
    "TasksRequest",
    "UndrainRequest",
    "VerdictRequest",
    "WhyReply",
    "WhyRequest",
]

NodeState = Literal["healthy", "safe", "draining", "suspect", "dead", "left"]
TaskState = Literal["waiting", "assigned", "verified", "failed", "cancelled", "expired", "refused", "unknown"]


class NodeView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One node as the coordinator sees it. `terms` are the weighted parts of `score`, which they add up to."""

    node: str
    key: str
    state: NodeState
    score: float
    terms: dict[str, float]
    capabilities: Capabilities
    open: int = 0
    seen_ms_ago: int = 0
    safe_mode: str = ""
    reputation: float = 0.0
    agreed: int = 0
    dissented: int = 0
    faulted: int = 0
    latency_ms: float = 0.0
    bandwidth_mbps: float = 0.0
    cpu_free: float = 0.0
    memory_free: float = 0.0
    temperature_c: float | None = None
    energy_j: float = 0.0
    energy_method: str = ""
    errors: int = 0


class NodesReply(Struct, frozen=True):
    """All nodes that are enrolled and have been seen, one page of them."""

    nodes: list[NodeView]
    total: int


class BoardRequest(Struct, frozen=True, omit_defaults=True):
    """How is every node, in as few bytes as that can be said in? With `names_from` also what those from that row on are called."""

    names_from: Annotated[int, Meta(ge=0)] | None = None


class BoardReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every node in columns, one entry a row: for who watches ten thousand of them, each second.

    A row is the same node for as long as `shape` is the same. `names` are those of the rows from `names_from` on, a page of them. The columns are
    little-endian: `state` (bytes: 0 healthy, 1 safe, 2 draining, 3 suspect, 4 dead, 5 left), `score` (16 bits, in 1/10,000), `open` (16 bits),
    `cpu_free` and `memory_free` (bytes, in 1/200), `latency` and `silent` (16 bits, in tenths of a millisecond and of a second), `temperature`
    (bytes, half degrees above -20 °C), `battery` (bytes, the charge in 1/200) and `power` (16 bits, in 1/50 W, between the last two heartbeats). What
    is more than fits is the most that does; in the last three the greatest number stands for what is not known.
    """

    shape: str
    total: int
    at_ms: int
    state: bytes
    score: bytes
    open: bytes
    cpu_free: bytes
    memory_free: bytes
    latency: bytes
    silent: bytes
    temperature: bytes
    battery: bytes
    power: bytes
    names: list[str] = msgspec.field(default_factory=list)


class DrainRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Let this node have no more work, and finish what it holds within `finish_ms` (None: within its own limit); what then runs is for others.

    It may be asked as often as one likes, and is the way to see how far the node is: each time the node is told again where it has not
    said yet that it drains.
    """

    node: str
    finish_ms: FinishMs | None = None


class UndrainRequest(Struct, frozen=True):
    """Let this node have work again."""

    node: str


class DrainReply(Struct, frozen=True, kw_only=True):
    """How far a node is: in `state` `draining` it has said itself that it takes no work, and `open` is how many attempts it still holds.

    `empty` is that nothing is left of it to wait for: it drains, has left or is dead, and whatever it held is answered or given to others.
    `told` is that it was just told and has not said so yet.
    """

    node: str
    state: NodeState
    open: int
    empty: bool
    told: bool


class WhyRequest(Struct, frozen=True):
    """Why is this task where it is? `task` is `<client>.<id>`."""

    task: str


class NodeReason(Struct, frozen=True, omit_defaults=True):
    """Why a node was or was not chosen; `score` is what the strategy ranked it by."""

    node: str
    chosen: bool
    reason: str
    score: float = 0.0


class WhyReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a task stands, and the reason for it, node by node."""

    task: str
    state: TaskState
    detail: str
    attempt: int = 0
    nodes: list[NodeReason] = msgspec.field(default_factory=list)
    field: str = ""
    limit: str = ""


class TasksRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The newest tasks, of one client or all, in one state or all."""

    client: str | None = None
    state: TaskState | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class TaskView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One task in a list."""

    task: str
    state: TaskState
    attempt: int = 0
    nodes: tuple[str, ...] = ()
    priority: int = 0
    submitted_ms: int = 0


class TasksReply(Struct, frozen=True):
    """The tasks asked for, newest first, and how many are open in all."""

    tasks: list[TaskView]
    open: int


class VerdictRequest(Struct, frozen=True):
    """The verdicts of these tasks (`<client>.<id>`), as lines of `Verdict` or `Pending`, in the same order."""

    tasks: Annotated[list[str], Meta(max_length=1000)]


class Pending(Struct, frozen=True, tag="pending", tag_field="kind"):
    """No verdict yet."""

    task: str


class ReputationEntry(Struct, frozen=True):
    """How often a node agreed with verdicts, dissented from them, and failed of itself."""

    node: str
    agreed: int
    dissented: int
    faulted: int


class ReputationReply(Struct, frozen=True):
    """The reputation of all nodes that ever answered."""

    nodes: list[ReputationEntry]


class ServiceHealth(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who answers, whether it leads, and how far it has folded each log (sequence by log name).

    `draining` is how many of the `nodes` take no work because they end or an operator wants it so. `epoch` is the newest that it has seen in the log that its service writes, and its own where it leads, since `since_ms`
    (milliseconds since 1970). `lag` is how many entries each log holds beyond what is folded; a log whose end is not known is left out.
    `backlog`, `wait_ms`, `full` and `retry_after_ms` are the coordinator's, as in `RoomReply`; so is `keep_ms`, for how long an id stands for
    its verdict, which must be the same for all coordinators of a cluster (0: not said).
    """

    service: str
    name: str
    leading: bool
    epoch: int = 0
    folded: dict[str, int] = msgspec.field(default_factory=dict)
    nodes: int = 0
    open: int = 0
    waiting: int = 0
    draining: int = 0
    strategy: str = ""
    since_ms: int = 0
    lag: dict[str, int] = msgspec.field(default_factory=dict)
    backlog: int = 0
    wait_ms: int | None = None
    full: str = ""
    retry_after_ms: int = 0
    keep_ms: int = 0


class RoomReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether new tasks are taken: where `full` says why not, they are refused before they are stored, and `retry_after_ms` says when to submit again.

    `backlog` is how many tasks have no verdict, `wait_ms` how long they are expected to take (None: unknown).
    """

    backlog: int = 0
    wait_ms: int | None = None
    full: str = ""
    retry_after_ms: int = 0


class Progress(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task that was submitted alone moved on."""

    task: str
    state: Literal["assigned"]
    attempt: int
    nodes: tuple[str, ...]


class ErrorReply(Struct, frozen=True, tag="error", tag_field="kind", omit_defaults=True):
    """A service refused a question: `field` and `limit` say what must change.

    With `internal` the question was good and the service failed; `limit` then says what happened.
    """

    field: str
    limit: str
    internal: bool = False
