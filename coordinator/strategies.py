"""Which of the nodes that can take a task should: four strategies behind one interface.

A strategy gives each node a line: its next attempt costs `base + per_tick x ticks it holds`, each further one `step + per_tick x
weight` more, and the cheapest places of all nodes are taken first. So a strategy sees neither requests nor batches,
and one ranking serves a thousand tasks. Two properties change the reading of the line:

- `draws`: every step is multiplied by a random number of Exp(1). The places of a node are then the arrivals of a Poisson
  process of rate 1/step, and who arrives next is a draw with probability proportional to that rate.
- `turns`: costs are counted from `turn` on, around the circle of all rows.

Left to others: who can take a task at all, and how much (`coordinator.fit`), and the taking (`coordinator.placement`).
"""

from typing import NamedTuple, Protocol

import numpy as np

from coordinator.columns import Rows
from coordinator.errors import UnknownStrategy
from coordinator.health import Floats
from coordinator.registry import Registry
from coordinator.room import TICKS_PER_MS

__all__ = [
    "STRATEGIES",
    "LatencyAware",
    "LeastLoaded",
    "Line",
    "RoundRobin",
    "Strategy",
    "Weighted",
    "strategy_named",
]

_SCORE_FLOOR = 1e-6
"""A node of score 0 is the last resort, not impossible: its task would otherwise wait for ever."""


class Line(NamedTuple):
    """What places on each node cost, three columns of shape (n,); see the module."""

    base: Floats
    per_tick: Floats
    step: Floats


class Strategy(Protocol):
    """How to rank nodes. `turn` is the row whose turn it is; placement moves it past the last row it took.

    `scale` tells people what `line`'s costs (of one that draws: its rates) are, and which come first.
    """

    name: str
    scale: str
    draws: bool
    turns: bool
    turn: int

    def line(self, nodes: Registry, rows: Rows) -> Line:
        """The line of each of `rows`; it may depend on all columns but `used` and `open`, and on nothing else."""
        ...


class Weighted:
    """At random, with probability proportional to the health score: good nodes get more, no node is sure of a task."""

    name = "weighted"
    scale = "health score; drawn in proportion to it"
    draws = True
    turns = False

    def __init__(self) -> None:
        self.turn = 0

    def line(self, nodes: Registry, rows: Rows) -> Line:
        """A rate equal to the score."""
        nothing = np.zeros(len(rows))
        return Line(nothing, nothing, 1.0 / np.maximum(nodes.score[rows], _SCORE_FLOOR))


class RoundRobin:
    """In turn, in the order of enrolment: everybody gets the same number of attempts, whatever they are like."""

    name = "round-robin"
    scale = "turns until it is next; fewest first"
    draws = False
    turns = True

    def __init__(self) -> None:
        self.turn = 0

    def line(self, nodes: Registry, rows: Rows) -> Line:
        """The place in the circle, and once around it a step."""
        return Line(rows.astype(np.float64), np.zeros(len(rows)), np.full(len(rows), float(len(nodes))))


class LeastLoaded:
    """The emptiest first: the least expected work for its number of slots."""

    name = "least-loaded"
    scale = "share of its room in use; least first"
    draws = False
    turns = False

    def __init__(self) -> None:
        self.turn = 0

    def line(self, nodes: Registry, rows: Rows) -> Line:
        """The share of its room that is in use, 0..1."""
        nothing = np.zeros(len(rows))
        return Line(nothing, 1.0 / nodes.limit[rows], nothing)


class LatencyAware:
    """The soonest first: the latency, and the expected work before each slot."""

    name = "latency-aware"
    scale = "ms of latency and backlog; least first"
    draws = False
    turns = False

    def __init__(self) -> None:
        self.turn = 0

    def line(self, nodes: Registry, rows: Rows) -> Line:
        """Milliseconds until an attempt could begin."""
        backlog_ms_per_tick = 1.0 / (nodes.slots[rows] * TICKS_PER_MS)
        return Line(nodes.latency_ms[rows], backlog_ms_per_tick, np.zeros(len(rows)))


STRATEGIES: dict[str, type[Strategy]] = {
    kind.name: kind for kind in (Weighted, RoundRobin, LeastLoaded, LatencyAware)
}


def strategy_named(name: str) -> Strategy:
    """A new strategy of that name; raises `UnknownStrategy` naming those there are."""
    try:
        return STRATEGIES[name]()
    except KeyError:
        known = ", ".join(STRATEGIES)
        raise UnknownStrategy(f"strategy {name[:80]!r} is unknown: choose one of {known}") from None
