"""What a client asks: the task, its limits, where it may run and how its result is to be verified.

Submissions are the one place where unknown fields are refused by name: a typo in `verify` must not pass
silently as the default policy. All limits on sizes and ranges are here, so that a rejection can name them.
"""

import datetime as dt
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from bus.subjects import TOKEN_PATTERN

__all__ = [
    "INLINE_LIMIT_BYTES",
    "CancelRequest",
    "Digest",
    "Limits",
    "Place",
    "Quorum",
    "Signature",
    "TaskSpec",
    "Token",
    "VerifyPolicy",
    "Wasm",
    "Work",
]

INLINE_LIMIT_BYTES = 64 * 1024
"""Inputs and outputs up to this size travel in the message; larger ones are blobs."""

Token = Annotated[str, Meta(pattern=TOKEN_PATTERN, description="letters, digits, '_' and '-', at most 64")]
Digest = Annotated[
    str,
    Meta(
        pattern=r"^sha256:[0-9a-f]{64}(?!\n)$", description="SHA-256 of the bytes, as sha256:<64 hex digits>"
    ),
]
Text = Annotated[str, Meta(max_length=4096)]


class Wasm(
    Struct,
    frozen=True,
    kw_only=True,
    tag="wasm",
    tag_field="kind",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """WebAssembly to run: a WASI command (entry `_start`) or an exported function with number arguments."""

    module: Digest
    entry: Annotated[str, Meta(min_length=1, max_length=256, description="`_start`, or a function")] = (
        "_start"
    )
    args: Annotated[tuple[int | float | Text, ...], Meta(max_length=256)] = ()
    env: Annotated[dict[Text, Text], Meta(max_length=64)] = msgspec.field(default_factory=dict)
    input: Annotated[
        bytes, Meta(max_length=INLINE_LIMIT_BYTES, description="what the guest reads; not with `input_blob`")
    ] = b""
    input_blob: Digest | None = None

    def __post_init__(self) -> None:
        """Refuse two inputs: which of them the guest would see must never be a guess."""
        if self.input_blob is not None and self.input:
            raise ValueError("give `input` or `input_blob`, not both")


Work = Wasm
"""Every kind of work there is; further kinds (training) join this union."""


class Signature(Struct, frozen=True, tag="signature", tag_field="kind", forbid_unknown_fields=True):
    """Believe one node: its signature and its assignment are checked, its answer is not."""


class Quorum(Struct, frozen=True, tag="quorum", tag_field="kind", forbid_unknown_fields=True):
    """Believe what `agree` of `of` different nodes say alike; `agree` must be a majority of `of`."""

    agree: Annotated[int, Meta(ge=1, le=31)]
    """How many must say the same."""
    of: Annotated[int, Meta(ge=1, le=31)]
    """Of how many."""

    def __post_init__(self) -> None:
        """A minority could be outvoted later by another one: two verdicts would both be right."""
        if not self.agree <= self.of < 2 * self.agree:
            raise ValueError("`agree` must be a majority of `of` and at most `of`, as in 2 of 3")


VerifyPolicy = Signature | Quorum


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a guest may use; beyond any of these it is stopped and the task fails with that reason."""

    memory_mb: Annotated[int, Meta(ge=1, le=4096, description="linear memory, in MiB")] = 512
    fuel: Annotated[int, Meta(ge=1, le=10**13, description="instructions, about")] = 10**10
    wall_ms: Annotated[int, Meta(ge=1, le=86_400_000, description="time on the node, in ms")] = 30_000
    output_bytes: Annotated[int, Meta(ge=0, le=16 * 1024 * 1024, description="standard output")] = 1024 * 1024
    stderr_bytes: Annotated[int, Meta(ge=0, le=16 * 1024, description="standard error")] = 4096


class Place(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a task may run; every condition given must hold."""

    region: Token | None = None
    node_types: Annotated[tuple[Token, ...], Meta(max_length=16)] = ()
    labels: Annotated[dict[Token, Token], Meta(max_length=16)] = msgspec.field(default_factory=dict)
    min_cores: Annotated[int, Meta(ge=0, le=4096)] = 0
    min_memory_mb: Annotated[int, Meta(ge=0, le=2**24)] = 0
    min_score: Annotated[float, Meta(ge=0.0, le=1.0, description="least health score")] = 0.0
    node: Token | None = None


class TaskSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One task as its client writes it.

    `id` is chosen by the client, which makes a retried submission harmless: the same id with the same
    body is the same task, with another body it is refused. Without an id the task is named after its place
    in the log, `<sequence>` or `<sequence>-<line>`.
    """

    id: Token | None = None
    work: Work
    verify: VerifyPolicy = Signature()
    limits: Limits = Limits()
    place: Place = Place()
    priority: Annotated[int, Meta(ge=0, le=9, description="higher first; waiting raises it")] = 4
    deadline: Annotated[dt.datetime, Meta(tz=True, description="with an offset; then it expires")] | None = (
        None
    )
    max_attempts: Annotated[int, Meta(ge=1, le=100, description="how often nodes may fail at it")] = 5
    reward: Annotated[int, Meta(ge=0, le=2**53, description="msat, for all nodes that agree together")] = 0
    price: Annotated[
        int,
        Meta(ge=0, le=2**53, description="msat for 10^9 fuel, to each that agrees; 0: its part of `reward`"),
    ] = 0

    def __post_init__(self) -> None:
        """Refuse a price without a limit, and a deadline that no clock reaches once its offset is taken off: it would break whoever compares it."""
        if self.price and not self.reward:
            raise ValueError("`reward` must be given with `price`: it is the most that the task may cost")
        if self.deadline is None:
            return
        try:
            self.deadline.astimezone(dt.UTC)
        except OverflowError:
            raise ValueError("`deadline` must lie in the years 1 to 9999, also in UTC") from None


class CancelRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A client withdraws its own task: it ends in the verdict `cancelled` unless another came first."""

    id: Token
