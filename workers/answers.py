"""From an outcome of the sandbox to what the node claims about it. Pure."""

from bus.messages import INLINE_LIMIT_BYTES, Result
from bus.wire import sha256_hex
from sandbox.job import Outcome
from workers.attempt import Attempt

__all__ = ["claim"]

_DETAIL_MAX = 2000
_STDERR_MAX = 16 * 1024


def claim(node: str, attempt: Attempt, outcome: Outcome, energy_j: float, energy_method: str) -> Result:
    """The result, with the output inline up to `INLINE_LIMIT_BYTES`; a larger one must be stored as a blob first."""
    output = outcome.output
    size = len(output)
    return Result(
        decision=attempt.decision,
        task=attempt.task,
        attempt=attempt.number,
        node=node,
        status=outcome.status,
        spec=attempt.spec,
        module=attempt.module,
        input=attempt.input,
        output_digest=sha256_hex(output),
        trace=outcome.trace,
        reason=outcome.reason,
        detail=_text(outcome.detail) if outcome.detail else "",
        exit_code=outcome.exit_code,
        output=output if size <= INLINE_LIMIT_BYTES else None,
        output_size=size,
        stderr=outcome.stderr[:_STDERR_MAX],
        fuel=outcome.fuel,
        peak_memory_bytes=outcome.peak_memory_bytes,
        wall_ms=outcome.wall_ms,
        energy_j=energy_j,
        energy_method=energy_method,
    )


def _text(detail: str) -> str:
    """Within the limit, and encodable whatever a guest or an engine put into it."""
    return detail[:_DETAIL_MAX].encode(errors="replace").decode()
