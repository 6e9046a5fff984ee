"""Reputation: a fold over the lines of VERDICTS, so that everyone who reads the log arrives at the same figures.

Counts, per node, how often it agreed with a verdict, dissented from one, and failed of itself. Feed each line once, in any
order. The success rate over them, with a prior, is the reputation in a node's health score.
"""

from collections.abc import Iterable, Iterator

from bus.messages.verdict import Inconclusive, Late, Verdict, VerdictLine

__all__ = ["DISSENT_WEIGHT", "PRIOR_FAILURES", "PRIOR_SUCCESSES", "Reputation", "success_rate"]

PRIOR_SUCCESSES = 2.0
PRIOR_FAILURES = 2.0
"""Beta(2, 2): a newcomer has 0.5, so neither trust nor distrust, and its first results move it by tenths, not to an end.

A higher prior would reward who throws a spoilt name away and enrols under a new one.
"""

DISSENT_WEIGHT = 10.0
"""A fault (a crash, a time-out) is bad luck or a weak machine; a dissent is a wrong answer under a signature."""

_NOBODY = (0, 0, 0)


def success_rate(agreed: int, dissented: int, faulted: int) -> float:
    """The expected success rate after these counts, strictly between 0 and 1.

    The mean of the Beta posterior, (2 + agreed) / (4 + agreed + 10 dissented + faulted).
    """
    successes = PRIOR_SUCCESSES + agreed
    return successes / (successes + PRIOR_FAILURES + DISSENT_WEIGHT * dissented + faulted)


class Reputation:
    """The counts of all nodes that were ever named in a verdict."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self._changed: set[str] = set()

    def __repr__(self) -> str:
        """How many nodes are known."""
        return f"Reputation({len(self._counts)} nodes)"

    def __eq__(self, other: object) -> bool:
        """Whether both have counted the same."""
        return isinstance(other, Reputation) and self._counts == other._counts

    __hash__ = None  # type: ignore[assignment]  # it changes with every line

    def __len__(self) -> int:
        return len(self._counts)

    def __iter__(self) -> Iterator[tuple[str, int, int, int]]:
        """Node, agreed, dissented, faulted; in the order in which nodes were first named."""
        return ((node, *counts) for node, counts in self._counts.items())  # type: ignore[misc]

    def fold(self, line: VerdictLine) -> None:
        """Count one line of VERDICTS."""
        if isinstance(line, Verdict):
            self.count(agreed=line.agree, dissented=line.dissent, faulted=line.faulted)
        elif isinstance(line, Late):
            named = (line.node,)
            self.count(agreed=named) if line.agrees else self.count(dissented=named)
        elif isinstance(line, Inconclusive):
            self.count(faulted=line.faulted)

    def count(
        self, *, agreed: Iterable[str] = (), dissented: Iterable[str] = (), faulted: Iterable[str] = ()
    ) -> None:
        """Count the nodes that one line names; for who decodes no more of it than that."""
        for column, nodes in enumerate((agreed, dissented, faulted)):
            for node in nodes:
                counts = self._counts.get(node)
                if counts is None:
                    counts = self._counts[node] = [0, 0, 0]
                counts[column] += 1
                self._changed.add(node)

    def restore(self, counts: Iterable[tuple[str, int, int, int]]) -> None:
        """Become what iterating over another gave."""
        self._counts = {node: [agreed, dissented, faulted] for node, agreed, dissented, faulted in counts}
        self._changed = set(self._counts)

    def changed(self) -> set[str]:
        """The nodes whose counts have changed since this was last asked."""
        changed, self._changed = self._changed, set()
        return changed

    def counts(self, node: str) -> tuple[int, int, int]:
        """How often `node` agreed, dissented and faulted."""
        agreed, dissented, faulted = self._counts.get(node, _NOBODY)
        return agreed, dissented, faulted

    def rate(self, node: str) -> float:
        """The node's success rate, see `success_rate`; one half for a node that nobody knows."""
        return success_rate(*self.counts(node))
