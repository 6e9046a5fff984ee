"""What a node says of itself, and what the coordinator tells it. Hello, telemetry and goodbye travel signed."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from bus.messages.task import Token

__all__ = [
    "SAFE_MODE_MAX",
    "Assign",
    "CancelAttempt",
    "Capabilities",
    "Drain",
    "EnrolAgain",
    "FinishMs",
    "Goodbye",
    "Hello",
    "HelloReply",
    "Instruction",
    "Telemetry",
    "Undrain",
]


SAFE_MODE_MAX = 500
"""Characters of a reason for safe mode."""

_Milliseconds = Annotated[int, Meta(ge=0, le=2**53)]
FinishMs = Annotated[int, Meta(ge=0, le=86_400_000)]
"""How long guests that run may take to finish, a day at most."""
_AttemptKey = Annotated[str, Meta(max_length=200, description="`<task>#<attempt>`")]


class Capabilities(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a node is and can; it changes only when the node is set up differently.

    Every field is bounded: it is copied into ASSIGNMENTS and into each list of nodes, which one node must not overfill.
    """

    version: Annotated[str, Meta(max_length=100)]
    """Of its software."""
    engine: Annotated[str, Meta(max_length=100)]
    """The WebAssembly engine and its version."""
    cores: Annotated[int, Meta(ge=1, le=4096)]
    """Of its processor."""
    memory_mb: Annotated[int, Meta(ge=1, le=2**24)]
    """Offered to guests, in MiB."""
    slots: Annotated[int, Meta(ge=1, le=4096)]
    """Guests at a time."""
    arch: Annotated[str, Meta(max_length=100)] = ""
    """Its processor's architecture; empty where it did not say."""
    region: Token | None = None
    """Where it stands; null where it did not say."""
    node_type: Token | None = None
    """What it is (`phone`, `server`, `edge` …); null where it did not say."""
    labels: Annotated[dict[Token, Token], Meta(max_length=16)] = msgspec.field(default_factory=dict)
    """Its labels."""


class Hello(Struct, frozen=True, kw_only=True):
    """A node asks to be enrolled; signed with the key that it claims its id with."""

    node: Token
    capabilities: Capabilities


class HelloReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether the node is enrolled; if not, `error` says what to change."""

    ok: bool
    error: str = ""


class Telemetry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A heartbeat, every 2 s: the inputs of the health score, and what the node is busy with.

    `open` names each attempt that the node holds as `<task>#<attempt>`; `energy_j` is the total since the node
    started and `energy_method` how it is known (`measured:rapl`, `estimated:tdp`, …). `safe_mode` is
    why the node takes no work, empty when it does. `battery` is the charge, 0..1, where there is one.
    Every field is bounded, as in `Capabilities`.
    """

    node: Token
    at_ms: _Milliseconds
    cpu_free: Annotated[float, Meta(ge=0, le=1)]
    memory_free: Annotated[float, Meta(ge=0, le=1)]
    latency_ms: Annotated[float, Meta(ge=0, le=1e12)]
    bandwidth_mbps: Annotated[float, Meta(ge=0, le=1e12)]
    temperature_c: Annotated[float, Meta(ge=-1e6, le=1e6)] | None = None
    battery: Annotated[float, Meta(ge=0, le=1)] | None = None
    open: Annotated[tuple[_AttemptKey, ...], Meta(max_length=4096)] = ()
    energy_j: Annotated[float, Meta(ge=0, le=1e15)] = 0.0
    energy_method: Annotated[str, Meta(max_length=64)] = ""
    errors: Annotated[int, Meta(ge=0, le=2**53)] = 0
    safe_mode: Annotated[str, Meta(max_length=SAFE_MODE_MAX)] = ""
    draining: bool = False
    started_ms: _Milliseconds = 0


class Goodbye(Struct, frozen=True, kw_only=True, tag="goodbye", tag_field="kind", omit_defaults=True):
    """A node returns work or leaves: attempts in `handed_back` (`<task>#<attempt>`) were not begun and may run elsewhere.

    With `leaving` false the node stays: it is in safe mode, or it drains and finishes the guests that run.
    Signed like telemetry, and on the same subject: anybody could send a node away otherwise.
    """

    node: Token
    handed_back: tuple[_AttemptKey, ...] = ()
    leaving: bool = True


class Assign(Struct, frozen=True, kw_only=True, tag="assign", tag_field="kind", omit_defaults=True):
    """Run this attempt. `decision` is its sequence in ASSIGNMENTS, `spec` the very bytes the client wrote, `path` the decision's."""

    decision: int
    task: str
    attempt: int
    lease_ms: int
    spec: Annotated[Raw, Meta(description="A TaskSpec, byte for byte as the client wrote it")]
    path: str = ""


class CancelAttempt(Struct, frozen=True, kw_only=True, tag="cancel", tag_field="kind"):
    """Stop this attempt: nobody waits for it any more. No result is owed."""

    task: str
    attempt: int


class EnrolAgain(Struct, frozen=True, tag="hello", tag_field="kind"):
    """The coordinator does not know the node that sent telemetry: say hello again."""


class Drain(Struct, frozen=True, kw_only=True, tag="drain", tag_field="kind", omit_defaults=True):
    """Take no more work: hand back what is not begun, finish what runs, and say so in each heartbeat.

    With `stay` the node remains, without work, until it hears `Undrain` or is started again; else it says goodbye and ends (a node of
    version 0.1, which does not know `stay`, always does). What still runs `finish_ms` from now is handed back, too; said again, the
    earlier end counts. Without it the node's own limit holds.
    """

    reason: Literal["operator", "upgrade"] = "operator"
    stay: bool = False
    finish_ms: FinishMs | None = None


class Undrain(Struct, frozen=True, tag="undrain", tag_field="kind"):
    """Take work again. It does not keep a node that is about to end."""


Instruction = Assign | CancelAttempt | EnrolAgain | Drain | Undrain
