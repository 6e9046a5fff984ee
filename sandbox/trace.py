"""The trace digest: SHA-256 over what went into a run, each host call, what came out, and the fuel.

Two honest machines agree on it; a machine that did not run the guest, or ran something else, does not. Wall time is
left out, and so is the wording of `detail`. What goes in is encoded as MessagePack, which is unambiguous for our
types and keeps integers apart from floats and text.
"""

import hashlib

import msgspec

from sandbox.errors import UnfitModule
from sandbox.job import Job, Outcome

TRACE_VERSION = "ambient-trace-1"
_encode = msgspec.msgpack.Encoder().encode


class Trace:
    """A digest being built; `note` appends bytes to it."""

    def __init__(self, job: Job) -> None:
        limits = job.limits
        went_in = (
            TRACE_VERSION, job.module, job.entry, job.args, sorted(job.env.items()), job.input, job.seed,
            limits.memory_mb, limits.fuel, limits.output_bytes, limits.stderr_bytes,
        )  # fmt: skip
        try:
            encoded = _encode(went_in)
        except (OverflowError, UnicodeEncodeError):
            # Integers over 64 bits and lone surrogates: such a job is refused, but its refusal is traced alike.
            encoded = repr(went_in).encode("utf-8", "surrogatepass")
        self._hash = hashlib.sha256(encoded)
        self.note = self._hash.update

    def close(self, outcome: Outcome) -> Outcome:
        """Close the digest over an outcome made here, and set it there."""
        o = outcome
        self.note(_encode((o.status, o.reason, o.exit_code, o.output, o.stderr, o.fuel)))
        # An outcome that is still being made is nobody else's yet; a copy would cost as much as the digest.
        msgspec.structs.force_setattr(outcome, "trace", self._hash.hexdigest())
        return outcome


def refusal(job: Job, error: UnfitModule) -> Outcome:
    """The outcome of a job that cannot run at all, the same wherever it is refused."""
    return Trace(job).close(Outcome(status="failed", reason=error.reason, detail=str(error)))
