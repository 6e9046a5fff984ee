"""The one guest of all simulated tasks, and what running it comes to: deterministic, some of its inputs make it fail."""

from bus.wire import sha256_hex
from sandbox.job import Job, Outcome
from sandbox.module import inspect
from tests.coordinator.scripted import ADD

__all__ = ["DIGEST", "REPORT", "run"]

DIGEST = sha256_hex(ADD)
REPORT = inspect(ADD)
_TRAPS = 13


def run(job: Job, wall_ms: float) -> Outcome:
    """What every honest node claims about this job."""
    first, second = (int(number) for number in job.args)
    trace = sha256_hex(job.seed)
    if first == _TRAPS:
        return Outcome(status="failed", reason="trap", detail="unlucky", fuel=7, wall_ms=wall_ms, trace=trace)
    return Outcome(status="ok", output=b"%d" % (first + second), fuel=7, wall_ms=wall_ms, trace=trace)
