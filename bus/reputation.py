"""Reputation: a fold over the lines of VERDICTS, so that everyone who reads the log arrives at the same figures.

Counts, per node, how often it agreed with a verdict, dissented from one, and failed of itself. Feed each line once, in any
order. Left to others: what a low reputation means for placement.
"""

from collections.abc import Iterable, Iterator

from bus.messages.verdict import Inconclusive, Late, Verdict, VerdictLine

__all__ = ["PRIOR_AGREED", "PRIOR_TOTAL", "Reputation", "success_rate"]

PRIOR_AGREED = 1.0
PRIOR_TOTAL = 2.0
"""Laplace's rule of succession: a newcomer stands at one half, and thousands of answers outweigh the prior."""

_NOBODY = (0, 0, 0)


def success_rate(agreed: int, dissented: int, faulted: int) -> float:
    """The share of answers that agreed with their verdict, 0..1 exclusive, with the prior counted in."""
    return (agreed + PRIOR_AGREED) / (agreed + dissented + faulted + PRIOR_TOTAL)


class Reputation:
    """The counts of all nodes that were ever named in a verdict."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}

    def __repr__(self) -> str:
        """How many nodes are known."""
        return f"Reputation({len(self._counts)} nodes)"

    def __len__(self) -> int:
        return len(self._counts)

    def __iter__(self) -> Iterator[tuple[str, int, int, int]]:
        """Node, agreed, dissented, faulted; in the order in which nodes were first named."""
        return ((node, *counts) for node, counts in self._counts.items())  # type: ignore[misc]

    def fold(self, line: VerdictLine) -> None:
        """Count one line of VERDICTS."""
        if isinstance(line, Verdict):
            self._count(line.agree, 0)
            self._count(line.dissent, 1)
            self._count(line.faulted, 2)
        elif isinstance(line, Late):
            self._count((line.node,), 0 if line.agrees else 1)
        elif isinstance(line, Inconclusive):
            self._count(line.faulted, 2)

    def counts(self, node: str) -> tuple[int, int, int]:
        """How often `node` agreed, dissented and faulted."""
        agreed, dissented, faulted = self._counts.get(node, _NOBODY)
        return agreed, dissented, faulted

    def rate(self, node: str) -> float:
        """The node's success rate, see `success_rate`; one half for a node that nobody knows."""
        return success_rate(*self.counts(node))

    def _count(self, nodes: Iterable[str], column: int) -> None:
        for node in nodes:
            counts = self._counts.get(node)
            if counts is None:
                counts = self._counts[node] = [0, 0, 0]
            counts[column] += 1
