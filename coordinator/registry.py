"""Every node that enrolled, in numpy columns: who it is, how it is, what it holds.

Guarantees: a node keeps its row for ever; `used` is the exact weight of what was taken and not released (see
`coordinator.room`); a state changes only when the node is heard, leaves, or by `sweep`, which reports each change once. The
clock is passed in, so the same calls give the same registry.

Left to others: whether telemetry is genuine (`coordinator.telemetry`), who may have a name (the first key, as the
fold of ASSIGNMENTS says), and what a changed state means for open attempts.
"""

from collections.abc import Iterable
from typing import get_args

import numpy as np

from bus.messages import Capabilities, NodeState, NodeView, Telemetry
from bus.reputation import success_rate
from coordinator import health
from coordinator.columns import Mask, NodeTable, Rows
from coordinator.room import ticks

__all__ = [
    "DEAD_AFTER_MS",
    "HEARTBEAT_MS",
    "STATES",
    "SUSPECT_AFTER_MS",
    "Registry",
]

HEARTBEAT_MS = 2000
SUSPECT_AFTER_MS = 3 * HEARTBEAT_MS
"""Silent for longer than this, a node has missed three heartbeats: it gets no new work."""
DEAD_AFTER_MS = 10_000
"""Silent for this long, a node is given up: its attempts are for others."""

STATES: tuple[NodeState, ...] = get_args(NodeState)
"""The states; the column `state` holds indices into them."""
HEALTHY, SAFE, DRAINING, SUSPECT, DEAD, LEFT = range(len(STATES))


class Registry(NodeTable):
    """The nodes and what happens to them."""

    def __init__(self, capacity_hint: int = 16) -> None:
        super().__init__(capacity_hint)
        self._counts: dict[str, tuple[int, int, int]] = {}
        self._stale: list[int] = []

    def __repr__(self) -> str:
        states = ", ".join(f"{count} {state}" for state, count in self.counts().items() if count)
        return f"Registry({states or 'empty'})"

    # What happens to them

    def enrol(
        self, node: str, key: str, capabilities: Capabilities, now_ms: int, *, present: bool = True
    ) -> int:
        """Enter or change a node; returns its row. It counts as heard now, with neutral inputs until it reports.

        With `present=False` (enrolments folded from the log of an earlier leader) it is suspect until it is heard, so a
        ghost gets no work, and dead 10 s from now. What the node holds stays as it was taken. One that drains stays so until its
        heartbeat says otherwise, which follows its hello at once.
        """
        row = self._rows.get(node)
        drains = row is not None and self.state[row] == DRAINING
        state = SUSPECT if not present else DRAINING if drains else HEALTHY
        if row is None:
            row = self._enter(node, key, capabilities)
            self.reported[row] = state
            self.set_reputation(node, *self._counts.get(node, (0, 0, 0)))
        else:
            self._change(row, key, capabilities)
        self.state[row] = state
        self.heard_ms[row] = now_ms
        self._changed(row)
        return row

    def heard(self, telemetry: Telemetry, now_ms: int) -> bool:
        """Note a heartbeat; False if the node is unknown or has left, and should be told to enrol again.

        Draining counts before safe mode: the one ends with the node gone, the other with the node back.
        """
        row = self._rows.get(telemetry.node)
        if row is None or self.state[row] == LEFT:
            return False
        self.heard_ms[row] = now_ms
        self.bandwidth_mbps[row] = telemetry.bandwidth_mbps
        self.latency_ms[row] = telemetry.latency_ms
        self.cpu_free[row] = telemetry.cpu_free
        self.memory_free[row] = telemetry.memory_free
        self.state[row] = DRAINING if telemetry.draining else SAFE if telemetry.safe_mode else HEALTHY
        self.temperature_c[row] = np.nan if telemetry.temperature_c is None else telemetry.temperature_c
        self.battery[row] = np.nan if telemetry.battery is None else telemetry.battery
        self.power_w[row] = _power_w(self.telemetry[row], telemetry)
        self.telemetry[row] = telemetry
        self._changed(row)
        return True

    def handed_back(self, node: str) -> None:
        """The node returned work unbegun, so it takes none, until a heartbeat says otherwise."""
        row = self._rows.get(node)
        if row is not None and self.state[row] == HEALTHY:
            self.state[row] = SAFE
            self._changed(row)

    def reserve(self, node: str) -> None:
        """The node was told to drain: it counts as draining, until a heartbeat says how it is."""
        row = self._rows.get(node)
        if row is not None and self.state[row] in (HEALTHY, SAFE):
            self.state[row] = DRAINING
            self._changed(row)

    def left(self, node: str) -> None:
        """Note a node's goodbye: it is out, whatever still arrives of it, until it enrols again."""
        row = self._rows.get(node)
        if row is not None:
            self.state[row] = LEFT
            self._changed(row)

    def set_reputation(self, node: str, agreed: int, dissented: int, faulted: int) -> None:
        """Set what the verdicts say of `node`, in total; kept for it if it enrols only later."""
        self._counts[node] = (agreed, dissented, faulted)
        row = self._rows.get(node)
        if row is not None:
            self.reputation[row] = success_rate(agreed, dissented, faulted)
            self._changed(row)

    def take(self, row: int, expected_ms: float) -> None:
        """An attempt was placed on `row`; release it later with the same `expected_ms`."""
        self.used[row] += ticks(expected_ms)
        self.open[row] += 1

    def release(self, row: int, expected_ms: float) -> None:
        """An attempt that was taken with this `expected_ms` is no longer open on `row`."""
        self.used[row] -= ticks(expected_ms)
        self.open[row] -= 1

    def sweep(self, now_ms: int) -> list[tuple[str, NodeState, NodeState]]:
        """Age the silent; returns (node, state at the sweep before, state now) for all that changed since.

        A node is suspect when silent for more than 6 s, dead at 10 s.
        """
        count = len(self)
        state, reported = self.state[:count], self.reported[:count]
        silent_ms = now_ms - self.heard_ms[:count]
        state[(silent_ms > SUSPECT_AFTER_MS) & (state < SUSPECT)] = SUSPECT
        state[(silent_ms >= DEAD_AFTER_MS) & (state == SUSPECT)] = DEAD
        changed = np.flatnonzero(state != reported)
        if not len(changed):
            return []
        self.memo.clear()
        report = [(self._names[row], STATES[reported[row]], STATES[state[row]]) for row in changed]
        reported[changed] = state[changed]
        return report

    def _changed(self, row: int) -> None:
        # As many as there are nodes stand for all of them: under a strategy that reads no score the list must not grow.
        if len(self._stale) < len(self):
            self._stale.append(row)
        if self.memo:
            self.memo.clear()

    # What readers see

    @property
    def score(self) -> health.Floats:
        """The health score of each row, 0..1, shape (n,); computed only for rows that changed since it was last read."""
        if self._stale:
            every = len(self._stale) >= len(self)
            rows = np.arange(len(self)) if every else np.array(self._stale, dtype=np.intp)
            self._score[rows] = health.score(self._terms(rows))
            self._stale.clear()
        return self._score[: len(self)]

    def _terms(self, rows: Rows) -> health.Floats:
        columns = (self.bandwidth_mbps, self.latency_ms, self.cpu_free, self.memory_free, self.reputation)
        return health.terms(*(column[rows] for column in columns))

    def eligible(self, now_ms: int) -> Mask:
        """Which rows may get work at all: healthy, and heard within the last 6 s even if no sweep came since."""
        count = len(self)
        mask: Mask = self.state[:count] == HEALTHY
        mask &= self.heard_ms[:count] >= now_ms - SUSPECT_AFTER_MS
        return mask

    def state_of(self, node: str) -> NodeState | None:
        """The state of `node` as of the last sweep or report, or None if it never enrolled."""
        row = self._rows.get(node)
        return None if row is None else STATES[self.state[row]]

    def counts(self) -> dict[NodeState, int]:
        """How many nodes are in each state."""
        found = np.bincount(self.state[: len(self)], minlength=len(STATES)).tolist()
        return dict(zip(STATES, found, strict=True))

    def view(self, node: str, now_ms: int) -> NodeView | None:
        """What is known of one node, or None if it never enrolled."""
        row = self._rows.get(node)
        return None if row is None else self.views(now_ms, [row])[0]

    def views(self, now_ms: int, rows: Iterable[int] | None = None) -> list[NodeView]:
        """What is known of each of `rows` (default: all), in their order."""
        chosen = np.array(range(len(self)) if rows is None else list(rows), dtype=np.intp)
        weighted = self._terms(chosen).T.tolist()
        return [self._view(row, of, now_ms) for row, of in zip(chosen.tolist(), weighted, strict=True)]

    def _view(self, row: int, weighted: list[float], now_ms: int) -> NodeView:
        node, last = self._names[row], self.telemetry[row]
        agreed, dissented, faulted = self._counts[node]
        return NodeView(
            node=node,
            key=self._keys[row],
            state=STATES[self.state[row]],
            score=sum(weighted),
            terms=dict(zip(health.TERMS, weighted, strict=True)),
            capabilities=self.capabilities[row],
            open=int(self.open[row]),
            seen_ms_ago=max(0, now_ms - int(self.heard_ms[row])),
            safe_mode=last.safe_mode if last else "",
            reputation=float(self.reputation[row]),
            agreed=agreed,
            dissented=dissented,
            faulted=faulted,
            latency_ms=float(self.latency_ms[row]),
            bandwidth_mbps=float(self.bandwidth_mbps[row]),
            cpu_free=float(self.cpu_free[row]),
            memory_free=float(self.memory_free[row]),
            temperature_c=last.temperature_c if last else None,
            energy_j=last.energy_j if last else 0.0,
            energy_method=last.energy_method if last else "",
            errors=last.errors if last else 0,
        )


def _power_w(before: Telemetry | None, now: Telemetry) -> float:
    """What the node took between two heartbeats of one life, in watts; not a number for the first of a life."""
    if before is None or before.started_ms != now.started_ms or now.at_ms <= before.at_ms:
        return np.nan
    return max(0.0, now.energy_j - before.energy_j) * 1000 / (now.at_ms - before.at_ms)
