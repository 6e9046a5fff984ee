"""What happens per second, from two looks at what only grows: pure, with the time passed in.

Guarantees that a rate is never negative and never made up: a node that is seen for the first time, or whose counters began anew (it was
forgotten, or its machine started again), has none until the next look.
"""

from collections import deque
from collections.abc import Iterable

import msgspec

from bus.messages import NodeView

__all__ = ["KEPT", "NodeRate", "Rates"]

KEPT = 60
"""How many looks the history holds, which is drawn as a line of little bars."""


class NodeRate(msgspec.Struct, frozen=True):
    """What one node did between two looks; None where that is not known yet."""

    node: str
    """Its name."""
    agreed_per_s: float | None = None
    """Results that the verdict agreed with."""
    wrong_per_s: float | None = None
    """Results that dissented from it, and faults."""
    watts: float | None = None
    """Joules per second."""


class Rates:
    """Rates of all nodes and of verdicts; `look` is called once for each look."""

    def __init__(self) -> None:
        self._before: dict[str, NodeView] = {}
        self._at_s: float | None = None
        self.verdicts_per_s: float | None = None
        self.history: deque[float] = deque(maxlen=KEPT)
        """Verdicts per second of the last looks, the newest last."""
        self.nodes: dict[str, NodeRate] = {}

    def __repr__(self) -> str:
        """The newest figures."""
        return f"Rates({self.verdicts_per_s} verdicts/s, {len(self.nodes)} nodes)"

    @property
    def watts(self) -> float | None:
        """Of all nodes together, as far as it is known; None where it is known of none."""
        known = [rate.watts for rate in self.nodes.values() if rate.watts is not None]
        return sum(known) if known else None

    def look(self, at_s: float, nodes: Iterable[NodeView], verdicts: int) -> None:
        """Note what is seen at `at_s` (a monotonic clock): all nodes, and how many verdicts were heard of since the look before."""
        passed_s = None if self._at_s is None or at_s <= self._at_s else at_s - self._at_s
        seen = {node.node: node for node in nodes}
        self.nodes = {name: _rate(node, self._before.get(name), passed_s) for name, node in seen.items()}
        self.verdicts_per_s = None if passed_s is None else verdicts / passed_s
        if self.verdicts_per_s is not None:
            self.history.append(self.verdicts_per_s)
        self._before, self._at_s = seen, at_s


def _rate(now: NodeView, before: NodeView | None, passed_s: float | None) -> NodeRate:
    if before is None or passed_s is None or before.key != now.key:
        return NodeRate(now.node)
    return NodeRate(
        now.node,
        agreed_per_s=_grown(before.agreed, now.agreed, passed_s),
        wrong_per_s=_grown(before.dissented + before.faulted, now.dissented + now.faulted, passed_s),
        watts=_grown(before.energy_j, now.energy_j, passed_s),
    )


def _grown(before: float, now: float, passed_s: float) -> float | None:
    return (now - before) / passed_s if now >= before else None
