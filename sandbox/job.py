"""What is asked of the sandbox and what it answers, as plain values.

Both travel between the pool and its slots as MessagePack arrays, so fields are only ever added at the end.
"""

from typing import Literal

import msgspec

Status = Literal["ok", "failed", "fault"]
Reason = Literal[
    "", "exit", "trap", "fuel", "memory", "stack", "table", "output", "stderr", "invalid",
    "wall", "crash", "unavailable",
]  # fmt: skip

COMMAND_ENTRY = "_start"
MIB = 1 << 20
MEMORY_MB_MAX = 4096
"""All that a 32-bit guest can address; a job that allows more is treated as allowing this."""
FUEL_MAX = (1 << 63) - 1
WALL_MS_MAX = 24 * 3600 * 1000
STREAM_BYTES_MAX = 64 * MIB
"""Most that `output_bytes` and `stderr_bytes` may allow: a node holds both in memory."""

DETERMINISTIC: frozenset[str] = frozenset(
    {"exit", "trap", "fuel", "memory", "stack", "table", "output", "stderr", "invalid"}
)
"""Reasons of status `failed`: every honest machine comes to the same one.

`exit` a non-zero exit code; `trap` any trap not named below; `fuel`, `memory`, `stack`, `table`, `output`, `stderr`
the limit that was hit; `invalid` the module or its arguments cannot be run at all.
"""

MACHINE: frozenset[str] = frozenset({"wall", "crash", "unavailable"})
"""Reasons of status `fault`: this machine's trouble; the job may succeed elsewhere.

`wall` ran out of wall time; `crash` the process that ran it died; `unavailable` it could not be started here.
"""


class JobLimits(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """What one job may use. All but `wall_ms` are part of the trace, because they can change the outcome."""

    memory_mb: int = 512
    """Linear memory, in MiB."""
    fuel: int = 10_000_000_000
    """Instructions, host calls included at the rates of `sandbox.abi`."""
    wall_ms: int = 30_000
    output_bytes: int = 1_048_576
    stderr_bytes: int = 65_536


LIMIT_RANGES = {
    "memory_mb": (0, 1 << 20),
    "fuel": (0, FUEL_MAX),
    "wall_ms": (1, WALL_MS_MAX),
    "output_bytes": (0, STREAM_BYTES_MAX),
    "stderr_bytes": (0, STREAM_BYTES_MAX),
}
"""Smallest and largest value of each limit; a job beyond them is refused as `invalid`."""


class Job(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """One run of one guest."""

    module: str
    """SHA-256 of the module's bytes, 64 hexadecimal digits."""
    entry: str = COMMAND_ENTRY
    """`_start` runs a WASI command; anything else is an exported function with number arguments."""
    args: list[str | int | float] = []
    """A command's arguments after its name, or a function's numbers (text of a number is accepted)."""
    env: dict[str, str] = {}
    """A command's environment; it sees it sorted by name."""
    input: bytes = b""
    """What a command reads on standard input."""
    seed: bytes = b""
    """All randomness that the guest sees is derived from it."""
    limits: JobLimits = JobLimits()


class Outcome(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """What came of one job.

    `output` is a command's standard output, or a function's results as text. `fuel`, `output`, `stderr`,
    `exit_code`, `peak_memory_bytes` and `trace` are the same on every honest machine unless `status` is `fault`;
    `wall_ms`, `cpu_ms` and `detail` are this machine's.
    """

    status: Status
    reason: Reason = ""
    detail: str = ""
    """For a person; never compared between machines."""
    exit_code: int = 0
    output: bytes = b""
    stderr: bytes = b""
    fuel: int = 0
    peak_memory_bytes: int = 0
    wall_ms: float = 0.0
    cpu_ms: float = 0.0
    trace: str = ""
    """SHA-256 in hexadecimal over what went in, each host call, what came out and the fuel; empty for a fault."""


def fault(reason: Reason, detail: str) -> Outcome:
    """An outcome for trouble of this machine's own."""
    return Outcome(status="fault", reason=reason, detail=detail)
