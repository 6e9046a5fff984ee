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
    """Its name."""
    key: str
    """Its public key, in hex."""
    state: NodeState
    """`safe` protects itself, `suspect` missed heartbeats, `dead` is given up, `left` said goodbye."""
    score: float
    """Health, 0 to 1."""
    terms: dict[str, float]
    """The weighted parts of the score (`bandwidth`, `latency`, `load`, `reputation`)."""
    capabilities: Capabilities
    """What it is and can."""
    open: int = 0
    """Attempts that it holds."""
    seen_ms_ago: int = 0
    """Since its last heartbeat, in milliseconds."""
    safe_mode: str = ""
    """Why it is in safe mode; empty where it is not."""
    reputation: float = 0.0
    """0 to 1; a tenth of it is in the score."""
    agreed: int = 0
    """Results that a verdict agreed with, ever."""
    dissented: int = 0
    """Results that dissented from the verdict, ever."""
    faulted: int = 0
    """Attempts that failed of the node itself, ever."""
    latency_ms: float = 0.0
    """Round trip to its NATS server, in milliseconds."""
    bandwidth_mbps: float = 0.0
    """As it measured or was told, in Mbit/s."""
    cpu_free: float = 0.0
    """Share of the processor, 0 to 1."""
    memory_free: float = 0.0
    """Share of the memory, 0 to 1."""
    temperature_c: float | None = None
    """Of its processor, in °C; null where it has no sensor."""
    energy_j: float = 0.0
    """Joules since it started."""
    energy_method: str = ""
    """How they are known: `measured:rapl`, `estimated:tdp` …; empty before it said so."""
    errors: int = 0
    """Faults one after the other, up to now; 25 are safe mode."""


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
    """Its name."""
    state: NodeState
    """`draining` once it said itself that it takes no work."""
    open: int
    """Attempts that it still holds."""
    empty: bool
    """Whether nothing is left to wait for."""
    told: bool
    """Whether it was just told, and has not said so yet."""


class WhyRequest(Struct, frozen=True):
    """Why is this task where it is? `task` is `<client>.<id>`."""

    task: str


class NodeReason(Struct, frozen=True, omit_defaults=True):
    """Why a node was or was not chosen; `score` is what the strategy ranked it by."""

    node: str
    """Its name."""
    chosen: bool
    """Whether the task is there."""
    reason: str
    """Why, or why not."""
    score: float = 0.0
    """What the strategy ranked it by; 0 where it could not be chosen."""


class WhyReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a task stands, and the reason for it, node by node."""

    task: str
    """`<client>.<id>`."""
    state: TaskState
    """Where it stands; `unknown` where nobody submitted it."""
    detail: str
    """The reason, in a sentence."""
    attempt: int = 0
    """The number of the last attempt, from 1; 0 before the first."""
    nodes: list[NodeReason] = msgspec.field(default_factory=list)
    """Why it is at this node and not at that; empty where it is over."""
    field: str = ""
    """Of a refused task, the field at fault; else empty."""
    limit: str = ""
    """Of a refused task, what is allowed there; else empty."""


class TasksRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The newest tasks, of one client or all, in one state or all."""

    client: str | None = None
    state: TaskState | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class TaskView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One task in a list."""

    task: str
    """`<client>.<id>`."""
    state: TaskState
    """Where it stands."""
    attempt: int = 0
    """The number of the last attempt, from 1; 0 before the first, and once the task is over."""
    nodes: tuple[str, ...] = ()
    """Nodes that have its last attempt."""
    priority: int = 0
    """0 to 9; 0 once the task is over."""
    submitted_ms: int = 0
    """When it was stored, in milliseconds since 1970; 0 once the task is over."""


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
    """`coordinator`, `verifier` or `anchor`."""
    name: str
    """The name of this instance."""
    leading: bool
    """Whether it leads."""
    epoch: int = 0
    """The newest that it has seen in its service's log; its own where it leads."""
    folded: dict[str, int] = msgspec.field(default_factory=dict)
    """How far it has read each log: a sequence by the log's name."""
    nodes: int = 0
    """Nodes that it knows; 0 but of a coordinator."""
    open: int = 0
    """Tasks without a verdict that it knows."""
    waiting: int = 0
    """Of a coordinator, tasks that wait for a node."""
    draining: int = 0
    """Of a coordinator, nodes that take no work because they end or an operator wants it so."""
    strategy: str = ""
    """Of a coordinator, how nodes are chosen; else empty."""
    since_ms: int = 0
    """Since when it leads, in milliseconds since 1970; 0 where it does not."""
    lag: dict[str, int] = msgspec.field(default_factory=dict)
    """Entries of each log beyond what it has read; a log whose end is not known is left out."""
    backlog: int = 0
    """Of a coordinator, tasks without a verdict that count against the cluster's room."""
    wait_ms: int | None = None
    """How long these are expected to take, in milliseconds; null where that is not known."""
    full: str = ""
    """Why no new tasks are taken; empty where they are."""
    retry_after_ms: int = 0
    """When to submit again, in milliseconds from now; 0 where tasks are taken."""
    keep_ms: int = 0
    """Of a coordinator, how long an id stands for its verdict, in milliseconds; else 0."""


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
