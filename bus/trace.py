"""Names for what is traced: every process derives the same ones from a task's name, so no context travels with a message.

A task has one trace, whoever submitted it and however: also by a bare publish. The ids are those of W3C Trace Context, in hex.
"""

from hashlib import sha256

__all__ = ["is_sampled", "span_id", "trace_id"]

_DOMAIN = "ambient trace 1"
_LOW_DIGITS = 16
_LOW_VALUES = 1 << 64


def trace_id(cluster: str, task: str) -> str:
    """The trace of a task, by its full name: 32 hex digits."""
    return sha256(f"{_DOMAIN}\n{cluster}\n{task}".encode()).hexdigest()[:32]


def span_id(trace: str, *what: str | int) -> str:
    """The span of `what` within a trace: 16 hex digits."""
    return sha256("\n".join((trace, *map(str, what))).encode()).hexdigest()[:16]


def is_sampled(trace: str, share: float) -> bool:
    """Whether a trace is among that share of all (0 to 1), as OpenTelemetry's ratio sampler has it: everybody chooses the same ones."""
    return int(trace[-_LOW_DIGITS:], 16) < share * _LOW_VALUES
