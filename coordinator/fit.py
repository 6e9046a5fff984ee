"""The nodes that could take requests of a kind, and how many each: what placement starts from.

Guarantees that a `Fit` holds exactly the nodes that pass all `node_checks` until `until_ms`, as long as the registry's memo is
not emptied, and that `placeable` is the most that any placement could reach.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from coordinator.columns import Rows
from coordinator.constraints import Request, node_checks
from coordinator.registry import SUSPECT_AFTER_MS, Registry
from coordinator.strategies import Line, Strategy

__all__ = ["Caps", "Fit", "placeable"]

type Caps = NDArray[np.int32]
type Member = tuple[int, int, float, float, float]


class Fit:
    """The rows that meet a demand, ascending, whatever they hold; good until the first of them would be suspect."""

    __slots__ = ("_few", "_lines", "_nodes", "limits", "rows", "until_ms")

    def __init__(self, nodes: Registry, request: Request, now_ms: int) -> None:
        checks = node_checks(nodes, request, now_ms)
        mask = next(checks).meets
        for check in checks:
            mask = mask & check.meets
        self.rows: Rows = np.flatnonzero(mask)
        self.limits = nodes.limit[self.rows]
        heard_ms = int(nodes.heard_ms[self.rows].min()) if len(self.rows) else now_ms
        self.until_ms = heard_ms + SUSPECT_AFTER_MS
        self._nodes = nodes
        self._lines: dict[str, Line] = {}
        self._few: dict[str, list[Member]] = {}

    def line(self, strategy: Strategy) -> Line:
        """The strategy's line of these rows."""
        line = self._lines.get(strategy.name)
        if line is None:
            line = self._lines[strategy.name] = strategy.line(self._nodes, self.rows)
        return line

    def few(self, strategy: Strategy) -> list[Member]:
        """Rows, limits and line, one tuple a node; for few rows lists are quicker than arrays."""
        few = self._few.get(strategy.name)
        if few is None:
            columns = (self.rows, self.limits, *self.line(strategy))
            few = self._few[strategy.name] = list(zip(*(each.tolist() for each in columns), strict=True))
        return few

    def caps(self, used: NDArray[np.int32], weight: int, most: int, excluded: Collection[int]) -> Caps:
        """How many attempts of `weight` ticks each row can take, `most` at most and none if excluded; shape (n,)."""
        caps: Caps = (self.limits - used[self.rows]) // weight
        np.clip(caps, 0, most, out=caps)
        for row in excluded:
            at = int(self.rows.searchsorted(row))
            if at < len(self.rows) and self.rows[at] == row:
                caps[at] = 0
        return caps


def placeable(caps: Caps, wanted: int, replicas: int) -> int:
    """How many of `wanted` tasks can have `replicas` different rows each, if row i takes `caps[i]` <= `wanted` attempts.

    m tasks can if and only if sum(min(caps, m)) >= m replicas: a row serves a task once, and dealing the places in turn
    is a placement. The surplus is concave in m, so the largest m is found by bisection.
    """
    total = int(caps.sum())
    if replicas == 1:
        return min(wanted, total)
    if total >= wanted * replicas:
        return wanted
    low, high = 0, wanted
    while high - low > 1:
        middle = (low + high) // 2
        if int(np.minimum(caps, middle).sum()) >= middle * replicas:
            low = middle
        else:
            high = middle
    return low
