"""When two results say the same: equal status, reason, exit code, output digest and trace.

The 16-byte key stands for these five. It is computed from a result and from the verdict that accepted it alike, so that a late
result can be compared with nothing but the verdict's key in memory. 128 bits suffice: a node that finds a second pre-image gains
no more than by repeating the answer it must know for that.
"""

from hashlib import blake2b

from bus.messages import Result, Verdict
from bus.wire import encode

__all__ = ["KEY_BYTES", "NOTHING", "of_result", "of_verdict"]

KEY_BYTES = 16
NOTHING = bytes(KEY_BYTES)
"""The key of a verdict that accepts no answer (an abandoned task): no result agrees or disagrees with it."""


def _key(status: str, reason: str, exit_code: int, output_digest: str, trace: str) -> bytes:
    # JSON keeps the five apart: no choice of strings can move a border between them.
    said = encode((status, reason, exit_code, output_digest, trace))
    return blake2b(said, digest_size=KEY_BYTES).digest()


def of_result(result: Result) -> bytes:
    """The key of what a node claims."""
    return _key(result.status, result.reason, result.exit_code, result.output_digest, result.trace)


def of_verdict(verdict: Verdict) -> bytes:
    """The key of the answer that a verdict accepted, `NOTHING` where it accepted none."""
    if not verdict.agree:
        return NOTHING
    status = "ok" if verdict.status == "verified" else verdict.status
    return _key(status, verdict.reason, verdict.exit_code, verdict.output_digest, verdict.trace)
