"""One attempt as the node holds it, read from an assignment. Pure.

An attempt is bound to the exact bytes that the client wrote: `spec` is their digest, and the guest's
randomness is derived from it and the task's name, so that it is the same on every node and in every attempt.
"""

import hashlib
from typing import Literal, NamedTuple

from msgspec import Struct

from bus.messages import Assign, Limits, Work
from bus.wire import decode, decoder, sha256_hex
from sandbox.dispatch import Ticket
from sandbox.job import Job, JobLimits

__all__ = ["Attempt", "Need", "attempt_key", "fill", "seed"]


class _Asked(Struct, frozen=True):
    """Of a TaskSpec what a node acts on; the coordinator has admitted the whole, so the rest is skipped unread."""

    work: Work
    limits: Limits = Limits()


_ASKED = decoder(_Asked)
_NO_JOB = Job(module="")


class Need(NamedTuple):
    """A blob without which an attempt cannot begin."""

    kind: Literal["module", "input"]
    digest: str


def attempt_key(task: str, attempt: int) -> str:
    """How an attempt is named in telemetry: `<task>#<attempt>`."""
    return f"{task}#{attempt}"


def seed(task: str, spec_digest: str) -> bytes:
    """The guest's randomness: SHA-256 over the task's full name and the spec's digest (64 hex digits), as text."""
    return hashlib.sha256((task + spec_digest).encode()).digest()


class Attempt:
    """What is needed to run it, and to say what came of it. Mutable: it gathers materials and a ticket of the pool."""

    __slots__ = (
        "decision",
        "input",
        "job",
        "key",
        "missing",
        "module",
        "number",
        "path",
        "spec",
        "task",
        "ticket",
    )

    def __init__(self, assign: Assign, key: str) -> None:
        self.key = key
        self.task = assign.task
        self.number = assign.attempt
        self.decision = assign.decision
        self.spec = sha256_hex(assign.spec)
        self.path = assign.path
        self.module = ""
        self.input = ""
        self.job = _NO_JOB
        self.missing: set[Need] = set()
        self.ticket: Ticket | None = None

    def __repr__(self) -> str:
        """Its name and where it stands."""
        where = f"missing {len(self.missing)}" if self.missing else (self.ticket or "gathered")
        return f"<Attempt {self.key} {where}>"


def fill(attempt: Attempt, assign: Assign) -> None:
    """Read the spec into `attempt`, with all that it needs in `missing`. Raises `Malformed` for a spec that is none."""
    spec = decode(assign.spec, _ASKED)
    work, limits = spec.work, spec.limits
    attempt.module = work.module[7:]
    attempt.missing.add(Need("module", attempt.module))
    if work.input_blob is None:
        attempt.input = sha256_hex(work.input)
    else:
        attempt.input = work.input_blob[7:]
        attempt.missing.add(Need("input", attempt.input))
    attempt.job = Job(
        module=attempt.module,
        entry=work.entry,
        args=list(work.args),
        env=work.env,
        input=work.input,
        seed=seed(attempt.task, attempt.spec),
        limits=JobLimits(
            memory_mb=limits.memory_mb,
            fuel=limits.fuel,
            wall_ms=limits.wall_ms,
            output_bytes=limits.output_bytes,
            stderr_bytes=limits.stderr_bytes,
        ),
    )
