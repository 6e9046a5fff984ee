"""Drains that operators ask for: who was told to take no more work and has not said yet that it does not.

Guarantees that a node which was told is given nothing new from that moment on, whatever heartbeats were under way, until it says
how it is or has had its time to say it; and that the answer `empty` rests on what the node itself signed.

That a node drains is said by its own heartbeats, which every coordinator hears, whether it leads or stands by; so a change of the leader
changes nothing, and nothing here is in a log (docs/adr/0013). What is asked of a leader that dies before the node heard
of it is asked again by who waits for the answer.
"""

from bus.errors import Malformed
from bus.messages import Drain, DrainReply, DrainRequest, NodeState, Telemetry, Undrain, UndrainRequest
from coordinator.registry import Registry

__all__ = ["PATIENCE_MS", "Drains"]

PATIENCE_MS = 10_000
"""So long after it was last told a node that does not say that it drains counts as draining nevertheless: it may not have heard."""

_GONE = frozenset({"dead", "left"})


class Drains:
    """What was asked of nodes and is not yet in their heartbeats."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._told: dict[str, int] = {}

    def __repr__(self) -> str:
        """Who has not said yet that it drains."""
        return f"Drains(told={sorted(self._told)})"

    def drain(self, asked: DrainRequest, now_ms: int) -> Drain | None:
        """What to tell the node, None where nobody is there to hear it. Raises `Malformed` for a name that nobody has."""
        node = asked.node
        if self._state(node) in _GONE:
            return None
        if not self._says_so(node):
            self._told[node] = now_ms
            self._registry.reserve(node)
        return Drain(stay=True, finish_ms=asked.finish_ms)

    def undrain(self, asked: UndrainRequest) -> Undrain | None:
        """What to tell the node, None where nobody is there to hear it. Raises `Malformed` for a name that nobody has."""
        gone = self._state(asked.node) in _GONE
        self._told.pop(asked.node, None)
        return None if gone else Undrain()

    def hear(self, telemetry: Telemetry, now_ms: int) -> None:
        """The node's heartbeat is in the registry: until it speaks of the drain, it may not have heard of it."""
        told_ms = self._told.get(telemetry.node)
        if told_ms is None:
            return
        if telemetry.draining or now_ms - told_ms > PATIENCE_MS:
            del self._told[telemetry.node]
        else:
            self._registry.reserve(telemetry.node)

    def standing(self, node: str, *, told: bool) -> DrainReply:
        """How far a node is."""
        state = self._state(node)
        row = self._registry.row(node)
        assert row is not None  # noqa: S101 -- it has a state
        last = self._registry.telemetry[row]
        gone = state in _GONE
        # Attempts of tasks that ended otherwise may still run there; the node names them, too.
        listed = len(last.open) if last is not None and not gone else 0
        held = max(int(self._registry.open[row]), listed)
        done = gone or (state == "draining" and self._says_so(node))
        return DrainReply(node=node, state=state, open=held, empty=done and not held, told=told)

    def _says_so(self, node: str) -> bool:
        row = self._registry.row(node)
        last = None if row is None else self._registry.telemetry[row]
        return last is not None and last.draining

    def _state(self, node: str) -> NodeState:
        state = self._registry.state_of(node)
        if state is None:
            raise Malformed(
                "node", f"no node {node!r} ever enrolled here: `ambient nodes --all` lists those that did"
            )
        return state
