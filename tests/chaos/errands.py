"""What the clients ask for, and what must come of it: drawn from seed, client and number. Pure.

Guarantees that the client that submits an errand and the checker that judges it know the same errand, with nothing passed between them.
"""

import random
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from bus.messages import Verdict

__all__ = ["GUESTS", "Errand", "errand"]

GUESTS = Path(__file__).parents[2] / "examples" / "guests"
_MANY_BYTES = 100_000
"""Over what travels within a message: input and output are blobs."""
_ATTEMPTS = 100
"""Nodes fail all the time here, and that must not be the end of a task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """One task. It ends as one of `ends`: a verified one with the output `output`, a failed one with the reason `reason`."""

    id: str
    module: Path
    entry: str = "_start"
    args: tuple[int | str, ...] = ()
    input: bytes = b""
    verify: str = "signature"
    deadline_s: float | None = None
    cancelled: bool = False
    asked_again: bool = False
    output: bytes = b""
    reason: str = ""
    ends: frozenset[str] = field(default=frozenset({"verified"}))

    @property
    def options(self) -> dict[str, object]:
        """The options of the submission, without the deadline."""
        return {"entry": self.entry, "verify": self.verify, "max_attempts": _ATTEMPTS}

    def wrong(self, verdict: Verdict) -> str:
        """What is wrong with this verdict, empty where it is right."""
        if verdict.status not in self.ends:
            return f"ends as {verdict.status} ({verdict.reason}), not as {' or '.join(sorted(self.ends))}"
        if verdict.status == "failed" and verdict.reason != self.reason:
            return f"fails for {verdict.reason!r}, not for {self.reason!r}"
        if verdict.status == "verified" and verdict.output_digest != sha256(self.output).hexdigest():
            return f"has the output {verdict.output!r}, not {self.output[:64]!r}"
        return ""


def errand(seed: int, client: str, number: int) -> Errand:
    """The errand of that number, from 0, of that client."""
    rng = random.Random(f"{seed} {client} {number}")  # noqa: S311 -- repeatable, not secret
    verify = rng.choices(["signature", "quorum:2/3"], [3, 1])[0]
    kind = rng.choices(
        ["add", "primes", "text", "blob", "fails", "cancelled", "due"], [50, 15, 10, 5, 8, 6, 6]
    )[0]
    again = rng.random() < 0.1
    common = {"id": f"t{number}", "verify": verify, "asked_again": again}
    match kind:
        case "primes":
            most = rng.randrange(1_000, 30_000)
            made = _made(common, "primes.wasm", "count_primes", (most,), output=b"%d" % _primes(most))
        case "text" | "blob":
            text = rng.randbytes(16 if kind == "text" else _MANY_BYTES // 2).hex().encode()
            made = _made(common, "upper.wasm", input=text, output=text.upper())
        case "fails":
            made = _made(common, "misbehaving/exit3.wasm", reason="exit", ends=frozenset({"failed"}))
        case "cancelled":
            made = _add(rng, common, cancelled=True, ends=frozenset({"verified", "cancelled"}))
        case "due":
            made = _add(
                rng, common, deadline_s=rng.uniform(0.05, 20), ends=frozenset({"verified", "expired"})
            )
        case _:
            made = _add(rng, common)
    return made


def _made(
    common: dict[str, object], module: str, entry: str = "_start", args: tuple[int, ...] = (), **more: object
) -> Errand:
    return Errand(module=GUESTS / module, entry=entry, args=args, **common, **more)  # type: ignore[arg-type]


def _add(rng: random.Random, common: dict[str, object], **more: object) -> Errand:
    a, b = rng.randrange(10**6), rng.randrange(10**6)
    return _made(common, "add.wasm", "add", (a, b), output=b"%d" % (a + b), **more)


def _primes(most: int) -> int:
    """How many primes there are up to `most`."""
    sieve = bytearray([1]) * (most + 1)
    sieve[:2] = b"\0\0"
    for number in range(2, int(most**0.5) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, most + 1, number)))
    return sum(sieve)
