"""The figures of a run, from journals, log and strikes, and how they are printed. Pure."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.checker import Logged
from tests.chaos.faults import Strike
from tests.chaos.journal import Acknowledged, Begun, Entry, Heard, Refused, Submitted

__all__ = ["Figures", "fault_lines", "figures", "silences"]

_AFTER_S = 5.0
"""A silence that begins so long after a fault is not its doing."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts of tasks, and the longest that one waited, in seconds."""

    submitted: int
    acknowledged: int
    refused: int
    handed: int
    again: int
    verdicts: Mapping[str, int]
    clients_begun: int
    to_verdict_s: float
    to_verdict_median_s: float
    to_client_s: float

    def lines(self) -> Iterator[str]:
        """For people."""
        ends = ", ".join(f"{count:,} {status}" for status, count in sorted(self.verdicts.items()))
        yield f"tasks: {self.submitted:,} submitted, {self.acknowledged:,} acknowledged, {self.refused:,} times refused for want of room"
        yield f"verdicts: {ends or 'none'}; {self.handed:,} handed to clients, {self.again:,} of them asked for again"
        yield f"from acknowledgement to verdict: median {self.to_verdict_median_s:.2f} s, at most {self.to_verdict_s:.1f} s, in the client's hands after {self.to_client_s:.1f} s"


def figures(journals: Mapping[str, Sequence[Entry]], logged: Sequence[Logged], wall_s: float) -> Figures:
    """`wall_s` is what is to be added to monotonic times to get the server's."""
    submitted: set[str] = set()
    acknowledged: dict[str, float] = {}
    handed: dict[str, float] = {}
    kinds: Counter[type[Entry]] = Counter()
    again = 0
    for client, entries in journals.items():
        for entry in entries:
            kinds[type(entry)] += 1
            match entry:
                case Submitted():
                    submitted.add(f"{client}.{entry.id}")
                case Acknowledged():
                    acknowledged.setdefault(f"{client}.{entry.id}", entry.at_s)
                case Heard():
                    again += entry.again
                    handed.setdefault(f"{client}.{entry.id}", entry.at_s)
    at_s = {each.verdict.task: each.at_ms / 1000 - wall_s for each in logged}
    waits = sorted(at_s[name] - began for name, began in acknowledged.items() if name in at_s)
    return Figures(
        submitted=len(submitted),
        acknowledged=len(acknowledged),
        refused=kinds[Refused],
        handed=len(handed),
        again=again,
        verdicts=Counter(each.verdict.status for each in logged),
        clients_begun=kinds[Begun],
        to_verdict_s=max(waits, default=0.0),
        to_verdict_median_s=max(0.0, waits[len(waits) // 2]) if waits else 0.0,
        to_client_s=max(
            (handed[name] - began for name, began in acknowledged.items() if name in handed), default=0.0
        ),
    )


def silences(strikes: Iterable[Strike], verdicts_s: Iterable[float]) -> dict[str, list[float]]:
    """By kind, for each fault the longest time without a verdict from its beginning on, in a silence that began before the fault was over or soon after; sorted.

    Faults overlap, so a silence counts for each of them: no kind is worse than it looks here, many are better.
    """
    gaps = list(itertools.pairwise(sorted(verdicts_s)))
    found: dict[str, list[float]] = {}
    for strike in strikes:
        begins, ends = strike.began_s, strike.ended_s + _AFTER_S
        own = (after - max(before, begins) for before, after in gaps if before < ends and after > begins)
        found.setdefault(strike.fault.kind, []).append(max(own, default=0.0))
    return {kind: sorted(each) for kind, each in found.items()}


def fault_lines(
    strikes: Sequence[Strike],
    missed: Mapping[str, int],
    silent_s: Mapping[str, Sequence[float]],
    unavailable: Mapping[str, str],
) -> Iterator[str]:
    """A row for each kind: how often it struck, and the longest silence; then what this machine did not give."""
    struck = Counter(strike.fault.kind for strike in strikes)
    yield f"{'fault':<14} {'struck':>6} {'missed':>6}   then no verdict for: median, longest"
    for kind in sorted({*struck, *missed}):
        own = silent_s.get(kind, ())
        silence = f"{own[len(own) // 2]:.1f} s, {own[-1]:.1f} s" if own else ""
        yield f"{kind:<14} {struck[kind]:>6} {missed.get(kind, 0) or '':>6}   {silence}"
    for kind, why in unavailable.items():
        yield f"NOT TRIED: {kind}: {why}"
