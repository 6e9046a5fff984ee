"""What nodes claim (RESULTS) and what the verifier accepts (VERDICTS). Both travel in signed batches."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from bus.messages.decision import Leader
from bus.messages.task import INLINE_LIMIT_BYTES, Signature, VerifyPolicy

_U63 = 2**63 - 1  # what every JSON reader of 64-bit integers can hold, also as part of a verdict
_HEX_DIGEST = Meta(max_length=64)

__all__ = ["Inconclusive", "Late", "Result", "ResultStatus", "Verdict", "VerdictLine", "VerdictStatus"]

ResultStatus = Literal["ok", "failed", "fault"]
"""`failed`: the guest failed, as it would everywhere. `fault`: this node failed; another may not."""

VerdictStatus = Literal["verified", "failed", "cancelled", "expired"]


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One node's claim about one attempt.

    `decision` is the sequence in ASSIGNMENTS that gave the node this attempt. `spec`, `module`, `input`, `output_digest` and `trace`
    are SHA-256 in hex. `output` holds the bytes up to 64 KiB; a larger one is the blob named by `output_digest`.
    Every field is bounded, as it may be copied into a verdict: no claim can make a line that cannot be written or read.
    """

    decision: Annotated[int, Meta(ge=1)]
    task: str
    attempt: Annotated[int, Meta(ge=1)]
    node: str
    status: ResultStatus
    spec: str
    module: str
    input: str
    output_digest: Annotated[str, _HEX_DIGEST]
    trace: Annotated[str, _HEX_DIGEST]
    reason: Annotated[str, Meta(max_length=200)] = ""
    detail: Annotated[str, Meta(max_length=2000)] = ""
    exit_code: Annotated[int, Meta(ge=-(2**31), le=2**32 - 1)] = 0
    output: Annotated[bytes, Meta(max_length=INLINE_LIMIT_BYTES)] | None = None
    output_size: Annotated[int, Meta(ge=0, le=_U63)] = 0
    stderr: Annotated[bytes, Meta(max_length=16 * 1024)] = b""
    fuel: Annotated[int, Meta(ge=0, le=_U63)] = 0
    peak_memory_bytes: Annotated[int, Meta(ge=0, le=_U63)] = 0
    wall_ms: Annotated[float, Meta(ge=0, le=1e12)] = 0.0
    energy_j: Annotated[float, Meta(ge=0, le=1e12)] = 0.0
    energy_method: Annotated[str, Meta(max_length=64)] = ""


class Verdict(Struct, frozen=True, kw_only=True, tag="verdict", tag_field="kind", omit_defaults=True):
    """The one verdict of a task.

    `evidence` are the (sequence, line) places in RESULTS of the results that were counted, `agree` and `dissent`
    the nodes behind them; `faulted` are nodes that failed of themselves and were not yet named in an `Inconclusive`.
    Output, fuel, trace, wall time and peak memory are those of the first agreeing result; `energy_j` is
    the sum over all counted ones, and `energy_each` what each of them says (joules and method), those that agree first, where there is
    more than one. `reward` and `price` are the task's: see `docs/ledger.md` for who is paid what. `path` is the decision's.
    """

    task: str
    """`<client>.<id>`."""
    status: VerdictStatus
    """How the task ended; `failed` is also what ran out of attempts."""
    reason: str = ""
    """Why it was not verified, in one word; empty where it was."""
    detail: str = ""
    """The same for people; empty where there is no more to say."""
    exit_code: int = 0
    """The guest's exit status; 0 of a function, and where no guest ran."""
    output: bytes | None = None
    """Standard output, or a function's results as text; null where there is none, and in the log where it travels as a blob."""
    output_digest: str = ""
    """SHA-256 of the output in hex; empty where there is none."""
    output_size: int = 0
    """Size of the output, in bytes."""
    stderr: bytes = b""
    """Standard error, as far as the task's limit lets it be kept."""
    agree: tuple[str, ...] = ()
    """Nodes whose results are this one."""
    dissent: tuple[str, ...] = ()
    """Nodes that said something else."""
    faulted: tuple[str, ...] = ()
    """Nodes that failed of themselves, not named before in an `Inconclusive`."""
    evidence: tuple[tuple[int, int], ...] = ()
    """Places (sequence, line) in RESULTS of the results that were counted."""
    verify: VerifyPolicy = Signature()
    """The policy that was applied."""
    spec: str = ""
    """SHA-256 of the task as it was asked, in hex; empty where it was never assigned."""
    module: str = ""
    """SHA-256 of the module, in hex; empty where it was never assigned."""
    input: str = ""
    """SHA-256 of the input, in hex; empty where it was never assigned."""
    trace: str = ""
    """SHA-256 of the run's trace, in hex; empty where no guest ran."""
    attempts: int = 0
    """Attempts that it took."""
    fuel: int = 0
    """Instructions, about, of the first agreeing result."""
    peak_memory_bytes: int = 0
    """The most linear memory that the guest had, in bytes."""
    wall_ms: float = 0.0
    """Time on the node of the first agreeing result, in milliseconds."""
    energy_j: float = 0.0
    """Joules of all counted results together."""
    energy_method: str = ""
    """How they are known: `measured:rapl`, `estimated:tdp` …; empty where nothing is."""
    energy_each: tuple[tuple[float, str], ...] = ()
    """Joules and method of each counted result, those that agree first; empty where there is only one."""
    reward: int = 0
    """The most that the task may cost, in msat."""
    price: int = 0
    """For 10⁹ fuel to each node that agrees, in msat."""
    source: tuple[int, int] = (0, 0)
    """Place (sequence, line) of the task in TASKS."""
    path: str = ""
    """How it came in, as far as who submitted it said so: `cli`, `sdk`, the path of a URL; empty else."""


class Inconclusive(
    Struct, frozen=True, kw_only=True, tag="inconclusive", tag_field="kind", omit_defaults=True
):
    """No verdict yet: `need` more results are asked from nodes not in `exclude`.

    `after` is the attempt up to which results were considered, so that the same need is never answered twice.
    `faulted` are nodes that failed of themselves and were not yet named for this task.
    """

    task: str
    need: int
    after: int
    exclude: tuple[str, ...] = ()
    faulted: tuple[str, ...] = ()
    reason: str = ""
    path: str = ""


class Late(Struct, frozen=True, kw_only=True, tag="late", tag_field="kind", omit_defaults=True):
    """A result that came after its task's verdict: it changes no verdict, but the node's reputation."""

    task: str
    node: str
    agrees: bool
    evidence: tuple[int, int]
    path: str = ""


VerdictLine = Verdict | Inconclusive | Late | Leader
