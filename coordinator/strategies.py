"""Which of the nodes that can take a task should: four strategies behind one interface.

A strategy gives each node a `start` and a `step`: placing attempts on a node in turn costs start, start + step, start + 2 step …,
and the cheapest places of all nodes are taken first. So a strategy needs no loop and sees a batch as a whole. One that
`draws` has every step multiplied by a random number of Exp(1): the places of a node are then the arrivals of a
Poisson process of rate 1/step, and who arrives next is a draw with probability proportional to that rate.

Left to others: who can take a task at all, and how much (`coordinator.placement`).
"""

from typing import Protocol

import numpy as np

from coordinator.columns import Rows, Ticks
from coordinator.errors import UnknownStrategy
from coordinator.health import Floats
from coordinator.registry import Registry
from coordinator.room import TICKS_PER_MS

__all__ = [
    "STRATEGIES",
    "LatencyAware",
    "LeastLoaded",
    "RoundRobin",
    "Strategy",
    "Weighted",
    "strategy_named",
]

_SCORE_FLOOR = 1e-6
"""A node of score 0 is the last resort, not impossible: its task would otherwise wait for ever."""


class Strategy(Protocol):
    """How to rank nodes. `turn` is the row at which the next turn begins; only round-robin reads it."""

    name: str
    draws: bool
    turn: int

    def rank(self, nodes: Registry, rows: Rows, used: Ticks, weight: int) -> tuple[Floats, Floats]:
        """(start, step) of each of `rows`, which hold `used` ticks, for attempts of `weight` ticks; both shape (n,)."""
        ...

    def scores(self, nodes: Registry, rows: Rows) -> Floats:
        """What each of `rows` is ranked by now, for people to read; `scale` says what it is."""
        ...

    @property
    def scale(self) -> str:
        """What `scores` are, and which of them come first."""
        ...


class Weighted:
    """At random, with probability proportional to the health score: good nodes get more, no node is sure of a task."""

    name = "weighted"
    scale = "health score; drawn in proportion to it"
    draws = True

    def __init__(self) -> None:
        self.turn = 0

    def rank(self, nodes: Registry, rows: Rows, used: Ticks, weight: int) -> tuple[Floats, Floats]:
        """Nothing at the start, 1/score a step."""
        del used, weight
        return np.zeros(len(rows)), 1.0 / np.maximum(nodes.score[rows], _SCORE_FLOOR)

    def scores(self, nodes: Registry, rows: Rows) -> Floats:
        """The health score, 0..1."""
        return nodes.score[rows]


class RoundRobin:
    """In turn, in the order of enrolment: everybody gets the same number of attempts, whatever they are like."""

    name = "round-robin"
    scale = "turns until it is next; fewest first"
    draws = False

    def __init__(self) -> None:
        self.turn = 0

    def rank(self, nodes: Registry, rows: Rows, used: Ticks, weight: int) -> tuple[Floats, Floats]:
        """The way around the circle to each node, and once around it a step."""
        del used, weight
        around = float(len(nodes))
        return self.scores(nodes, rows), np.full(len(rows), around)

    def scores(self, nodes: Registry, rows: Rows) -> Floats:
        """How many rows come before each of `rows`."""
        distance: Floats = ((rows - self.turn) % len(nodes)).astype(np.float64)
        return distance


class LeastLoaded:
    """The emptiest first: the least expected work for its number of slots."""

    name = "least-loaded"
    scale = "share of its room in use; least first"
    draws = False

    def __init__(self) -> None:
        self.turn = 0

    def rank(self, nodes: Registry, rows: Rows, used: Ticks, weight: int) -> tuple[Floats, Floats]:
        """The load, 0..1, and what one more attempt adds to it."""
        limit = nodes.limit[rows]
        return used / limit, weight / limit

    def scores(self, nodes: Registry, rows: Rows) -> Floats:
        """The load, 0..1."""
        load: Floats = nodes.used[rows] / nodes.limit[rows]
        return load


class LatencyAware:
    """The soonest first: its latency, and the expected work before each of its slots."""

    name = "latency-aware"
    scale = "ms until it could begin: latency and backlog; least first"
    draws = False

    def __init__(self) -> None:
        self.turn = 0

    def rank(self, nodes: Registry, rows: Rows, used: Ticks, weight: int) -> tuple[Floats, Floats]:
        """Milliseconds until an attempt could begin, and what one more adds to them."""
        ms_per_tick = 1.0 / (nodes.slots[rows] * TICKS_PER_MS)
        return nodes.latency_ms[rows] + used * ms_per_tick, weight * ms_per_tick

    def scores(self, nodes: Registry, rows: Rows) -> Floats:
        """Milliseconds until an attempt could begin."""
        return self.rank(nodes, rows, nodes.used[rows], 0)[0]


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
