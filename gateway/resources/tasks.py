"""Tasks: what a client posts, what a list shows of each, and the whole story of one."""

import datetime as dt
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from bus.messages import NodeReason, TaskState, VerdictStatus, VerifyPolicy
from bus.messages.task import Digest, Limits, Place, Signature, Token
from gateway.resources.common import Count, TaskName

__all__ = [
    "Accepted",
    "Asked",
    "Claimed",
    "Decided",
    "Proven",
    "Submitted",
    "TaskDetail",
    "TaskOrder",
    "TaskPage",
    "TaskSummary",
    "Why",
]

_INLINE_BASE64 = 90_000
"""64 KiB in base64, and a little."""
_MODULE_BASE64 = 90 * 1024 * 1024

_Text = Annotated[str, Meta(max_length=4096)]


class TaskOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A task to be run. Exactly one of `module` (a digest, from `POST /api/v1/modules`) and `module_base64` (the WebAssembly itself).

    At most one of `input` (text), `input_base64` and `input_blob` (a digest). Without `id` the gateway chooses one, or makes it of the
    `Idempotency-Key`. All else as in the wire's TaskSpec. `verify` is `{"kind": "signature"}` (default) or
    `{"kind": "quorum", "agree": 2, "of": 3}`. `reward` and `price` are msat.
    """

    id: Token | None = None
    module: Digest | None = None
    module_base64: Annotated[str, Meta(max_length=_MODULE_BASE64)] | None = None
    entry: Annotated[str, Meta(min_length=1, max_length=256)] = "_start"
    args: Annotated[tuple[int | float | _Text, ...], Meta(max_length=256)] = ()
    env: Annotated[dict[_Text, _Text], Meta(max_length=64)] = msgspec.field(default_factory=dict)
    input: Annotated[str, Meta(max_length=_MODULE_BASE64)] | None = None
    input_base64: Annotated[str, Meta(max_length=_MODULE_BASE64)] | None = None
    input_blob: Digest | None = None
    verify: VerifyPolicy = Signature()
    limits: Limits = Limits()
    place: Place = Place()
    priority: Annotated[int, Meta(ge=0, le=9)] = 4
    deadline: Annotated[dt.datetime, Meta(tz=True)] | None = None
    max_attempts: Annotated[int, Meta(ge=1, le=100)] = 5
    reward: Annotated[int, Meta(ge=0, le=2**53)] = 0
    price: Annotated[int, Meta(ge=0, le=2**53)] = 0


class Submitted(Struct, frozen=True, kw_only=True):
    """The task is durable: it stands at `sequence`, `line` of TASKS and ends in exactly one verdict. `replayed`: it was there before."""

    task: TaskName
    client: str
    id: str
    sequence: Count
    line: Count
    replayed: bool = False


class TaskSummary(Struct, frozen=True, kw_only=True):
    """One task in a list."""

    task: TaskName
    client: str
    state: TaskState
    asked_ms: Count = 0
    ended_ms: Count = 0
    attempt: Count = 0
    nodes: tuple[str, ...] = ()
    module: str = ""
    entry: str = ""
    priority: int = 4
    reason: str = ""


class TaskPage(Struct, frozen=True, kw_only=True):
    """Tasks, newest first; `next` is the cursor of the next page, empty on the last. `kept` is how many the gateway remembers at all."""

    tasks: list[TaskSummary]
    next: str = ""
    kept: Count = 0


class Asked(Struct, frozen=True, kw_only=True):
    """The submission: who, when, and where it stands in TASKS. `spec` is the task as it was written, where TASKS still has it."""

    client: str
    at_ms: Count
    sequence: Count
    line: Count
    spec: msgspec.Raw


class Decided(Struct, frozen=True, kw_only=True):
    """A decision of the coordinator in ASSIGNMENTS: an attempt given to nodes, a refusal, or that the task is given up."""

    kind: Literal["assigned", "refused", "abandoned"]
    at_ms: Count
    sequence: Count
    attempt: Count = 0
    nodes: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    reason: str = ""
    field: str = ""
    limit: str = ""


class Claimed(Struct, frozen=True, kw_only=True):
    """A node's signed claim in RESULTS. `counted`: the verdict rests on it."""

    node: str
    at_ms: Count
    sequence: Count
    line: Count
    attempt: Count
    status: str
    reason: str = ""
    wall_ms: float = 0.0
    fuel: Count = 0
    energy_j: float = 0.0
    energy_method: str = ""
    counted: bool = False


class Accepted(Struct, frozen=True, kw_only=True):
    """The one verdict, in VERDICTS. Digests are SHA-256 in hex; the output is at `/api/v1/tasks/{task}/output`."""

    at_ms: Count
    sequence: Count
    line: Count
    status: VerdictStatus
    reason: str = ""
    detail: str = ""
    exit_code: int = 0
    agree: tuple[str, ...] = ()
    dissent: tuple[str, ...] = ()
    faulted: tuple[str, ...] = ()
    verify: VerifyPolicy = Signature()
    output_digest: str = ""
    output_size: Count = 0
    stderr: str = ""
    trace: str = ""
    attempts: Count = 0
    fuel: Count = 0
    wall_ms: float = 0.0
    peak_memory_bytes: Count = 0
    energy_j: float = 0.0
    energy_method: str = ""
    reward: Count = 0
    price: Count = 0


class Proven(Struct, frozen=True, kw_only=True):
    """How far the proof is: `none`, `logged`, `signed` (a checkpoint covers it) or `final` (also under enough blocks on Bitcoin).

    `at_ms` is when the first checkpoint that covers the verdict was signed, `published_ms` when the first publication that covers it was begun,
    `final_ms` when that had enough blocks: 0 where it is not so yet, or was before what the gateway remembers.
    """

    state: Literal["none", "logged", "signed", "final"]
    said: str = ""
    at_ms: Count = 0
    size: Count = 0
    published_ms: Count = 0
    final_ms: Count = 0
    txid: str = ""
    network: str = ""
    height: Count = 0


class TaskDetail(Struct, frozen=True, kw_only=True):
    """One task's whole story. What the logs no longer hold is left out."""

    task: TaskName
    client: str
    state: TaskState
    asked: Asked | None
    decided: list[Decided]
    claimed: list[Claimed]
    accepted: Accepted | None
    proven: Proven


class Why(Struct, frozen=True, kw_only=True):
    """Where a task stands and why, node by node, as the coordinator sees it now."""

    task: TaskName
    state: TaskState
    detail: str
    attempt: Count
    nodes: list[NodeReason]
    field: str = ""
    limit: str = ""
