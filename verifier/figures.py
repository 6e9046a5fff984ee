"""What one verifier process counts of the lines that it wrote, over all its terms. Pure.

Only lines that are durable are counted, and by who wrote them, so that the sum over all verifiers is the number of verdicts.
"""

from collections import Counter

from bus.messages import Inconclusive, Late, Verdict, VerdictLine, VerifyPolicy

__all__ = ["Figures"]

_REASONS = frozenset(
    {"exit", "trap", "fuel", "memory", "stack", "table", "output", "stderr", "invalid"}
    | {"attempts", "cancelled", "deadline"}
)
"""Those of the sandbox and of the coordinator; whatever else a newer peer says is `other`, as a label must have few values."""

_USUAL = {"measured:rapl": "measured", "estimated:tdp": "estimated"}


class Figures:
    """Counts; `ignored` is kept by the cores of all terms."""

    def __init__(self) -> None:
        self.verdicts: Counter[tuple[str, type[VerifyPolicy]]] = Counter()
        self.unverified: Counter[str] = Counter()
        self.energy_j = {"measured": 0.0, "estimated": 0.0, "mixed": 0.0}
        self.ignored: Counter[str] = Counter()
        self.dissents = 0
        self.inconclusive = 0
        self.fuel = 0

    def __repr__(self) -> str:
        """How much was counted."""
        return f"Figures(verdicts={self.verdicts.total()}, dissents={self.dissents})"

    def wrote(self, message: VerdictLine) -> None:
        """A line is durable."""
        if type(message) is Verdict:
            self._verdict(message)
        elif type(message) is Inconclusive:
            self.inconclusive += 1
        elif type(message) is Late:
            self.dissents += not message.agrees

    def _verdict(self, verdict: Verdict) -> None:
        self.verdicts[verdict.status, type(verdict.verify)] += 1
        if verdict.dissent:
            self.dissents += len(verdict.dissent)
        if verdict.status != "verified":
            self.unverified[verdict.reason if verdict.reason in _REASONS else "other"] += 1
        if verdict.agree:
            self.fuel += verdict.fuel
            said = verdict.energy_method
            self.energy_j[_USUAL.get(said) or _method(said)] += verdict.energy_j


def _method(said: str) -> str:
    """Nodes name their method themselves, so what they say is no label."""
    kind = said.partition(":")[0]
    return kind if kind in ("measured", "estimated") else "mixed"
