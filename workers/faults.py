"""Fault switches: ways in which a node misbehaves on purpose, for demonstrations and tests. Off by default.

A node under a switch says so in its capabilities (label `fault`) and in its log. The switches are
real misbehaviour of a real node, so that what the rest of the system does about it is real, too:

- `lie`: answers with altered output, an output digest that fits it and a forged trace; two liars agree with each other.
- `silent`: accepts work and never answers.
- `slow:<ms>`: holds every answer back that long.
- `crash:<n>`: the process ends, without any clean-up, instead of giving its n-th answer.
"""

import hashlib
import os
import signal
from dataclasses import dataclass
from typing import Literal

import msgspec

from sandbox.job import Outcome
from workers.errors import BadSettings

__all__ = ["Fault", "lied"]

_MAX = 86_400_000


@dataclass(frozen=True, slots=True)
class Fault:
    """One switch; `amount` is milliseconds for `slow`, answers for `crash`."""

    kind: Literal["", "lie", "silent", "slow", "crash"] = ""
    amount: int = 0

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """Read `lie`, `silent`, `slow:<ms>` or `crash:<n>`; empty text is no fault. Raises `BadSettings`."""
        kind, colon, amount = text.partition(":")
        match kind:
            case "" | "lie" | "silent" if not colon:
                return cls(kind)
            case "slow" | "crash" if amount.isascii() and amount.isdigit() and 1 <= int(amount) <= _MAX:
                return cls(kind, int(amount))
            case _:
                raise BadSettings(
                    "fault", f"is one of lie, silent, slow:<ms>, crash:<n>, or nothing; not {text[:80]!r}"
                )

    def __bool__(self) -> bool:
        """Whether any switch is on."""
        return bool(self.kind)

    def __str__(self) -> str:
        """As the operator wrote it."""
        return f"{self.kind}:{self.amount}" if self.amount else self.kind

    def labels(self) -> dict[str, str]:
        """The capability label that names the switch; a label's value holds no colon."""
        return {"fault": str(self).replace(":", "-")} if self else {}


def lied(outcome: Outcome) -> Outcome:
    """What a liar says instead: a success with other bytes, consistent in itself.

    It depends on the true outcome alone, so that liars collude: the worst case for a quorum.
    """
    output = bytes(byte ^ 1 for byte in outcome.output) or b"lie"
    trace = hashlib.sha256(b"forged" + outcome.trace.encode() + output).hexdigest()
    return msgspec.structs.replace(
        outcome, status="ok", reason="", detail="", exit_code=0, output=output, trace=trace
    )


def crash() -> None:
    """End this process as `kill -9` would."""
    os.kill(os.getpid(), signal.SIGKILL)
