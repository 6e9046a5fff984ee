"""What a task asks of a node: requests, and the checks that each node must pass to take one.

Guarantees that choosing and explaining look at the same checks: choosing takes the nodes that pass all, explaining
tells of each node the first that it fails. So an explanation can never contradict a choice.
"""

from collections.abc import Callable, Hashable, Iterator
from typing import NamedTuple

import msgspec
import numpy as np

from bus.messages import Place
from coordinator.columns import Mask
from coordinator.registry import DEAD, DRAINING, LEFT, SAFE, STATES, Registry
from coordinator.room import LANE_MS, TICKS_PER_MS, UNKNOWN_MS, ticks

__all__ = ["Check", "Request", "node_checks", "task_checks"]

_ANYWHERE = Place()


class Request(msgspec.Struct, kw_only=True, gc=False, weakref=False):
    """One task to be placed on `replicas` different nodes, at once or not at all.

    `excluded` are rows that must not get it, `expected_ms` how long one attempt takes (`UNKNOWN_MS` if nobody knows),
    `memory_mb` what its guest may use. Build it once per task and attempt: requests with an equal `kind` are
    placed together. It is not to be changed afterwards.
    """

    place: Place = _ANYWHERE
    replicas: int = 1
    excluded: frozenset[int] = frozenset()
    expected_ms: float = UNKNOWN_MS
    memory_mb: int = 0
    weight: int = 0
    demand: Hashable = None
    kind: Hashable = None

    def __post_init__(self) -> None:
        """Derive what the placement sorts by: `weight` in ticks, `demand` (what of a node), `kind` (demand and form)."""
        self.weight = ticks(self.expected_ms)
        self.demand = self._demand()
        self.kind = (self.demand, self.weight, self.replicas, not self.excluded)

    def _demand(self) -> Hashable:
        place = self.place
        if place is _ANYWHERE or place == _ANYWHERE:
            return self.memory_mb
        *scalars, labels = (
            place.region,
            place.node_types,
            place.min_cores,
            max(place.min_memory_mb, self.memory_mb),
            place.min_score,
            place.node,
            place.labels,
        )
        return (*scalars, tuple(sorted(labels.items())))


class Check(NamedTuple):
    """One condition: the rows that meet it, and for a row that does not, why."""

    meets: Mask
    why: Callable[[int], str]


def node_checks(nodes: Registry, request: Request, now_ms: int) -> Iterator[Check]:
    """What a node must be, whatever it holds just now: state, then the task's `place`, most decisive first."""
    place = request.place
    count = len(nodes)
    yield Check(nodes.eligible(now_ms), lambda row: _state_reason(nodes, row, now_ms))
    if place.node is not None:
        pinned = np.zeros(count, dtype=np.bool_)
        if (only := nodes.row(place.node)) is not None:
            pinned[only] = True
        yield Check(pinned, lambda _: f"task is pinned to node {place.node}")
    if place.region is not None:
        yield Check(
            nodes.region[:count] == nodes.code(place.region),
            lambda row: (
                f"region is {nodes.capabilities[row].region or 'not given'}, task wants {place.region}"
            ),
        )
    if place.node_types:
        yield Check(
            np.isin(nodes.node_type[:count], [nodes.code(kind) for kind in place.node_types]),
            lambda row: (
                f"node type is {nodes.capabilities[row].node_type or 'not given'}, "
                f"task wants {' or '.join(place.node_types)}"
            ),
        )
    for key, value in place.labels.items():
        yield Check(nodes.labelled(key, value), _label_reason(nodes, key, value))
    yield from _size_checks(nodes, request)


def _size_checks(nodes: Registry, request: Request) -> Iterator[Check]:
    place = request.place
    count = len(nodes)
    if place.min_cores:
        yield Check(
            nodes.cores[:count] >= place.min_cores,
            lambda row: f"has {nodes.cores[row]} cores, task wants {place.min_cores}",
        )
    if memory_mb := max(place.min_memory_mb, request.memory_mb):
        yield Check(
            nodes.memory_mb[:count] >= memory_mb,
            lambda row: f"has {nodes.memory_mb[row]} MB of memory, task wants {memory_mb} MB",
        )
    if place.min_score:
        yield Check(
            nodes.score >= place.min_score,
            lambda row: f"score is {nodes.score[row]:.3f}, task wants {place.min_score:.3f}",
        )


def task_checks(nodes: Registry, request: Request) -> Iterator[Check]:
    """What stands between this task and a node that is fit: what the node did before, and its room."""
    count = len(nodes)
    if request.excluded:
        fresh = np.ones(count, dtype=np.bool_)
        fresh[[row for row in request.excluded if 0 <= row < count]] = False
        yield Check(fresh, lambda _: "excluded: already had this task")
    room = nodes.limit[:count] - nodes.used[:count] >= request.weight
    yield Check(room, lambda row: _room_reason(nodes, row))


def _state_reason(nodes: Registry, row: int, now_ms: int) -> str:
    state = int(nodes.state[row])
    telemetry = nodes.telemetry[row]
    if state in (DRAINING, LEFT):
        return STATES[state]
    if state == SAFE:
        reason = telemetry.safe_mode if telemetry is not None else ""
        return f"safe mode: {reason or 'it handed work back, and has not said why yet'}"
    silent_s = (now_ms - int(nodes.heard_ms[row])) / 1000
    return f"{'dead' if state == DEAD else 'suspect'}: silent for {silent_s:.1f} s"


def _label_reason(nodes: Registry, key: str, value: str) -> Callable[[int], str]:
    def why(row: int) -> str:
        has = nodes.capabilities[row].labels.get(key)
        return f"label {key} is {'not given' if has is None else has}, task wants {value}"

    return why


def _room_reason(nodes: Registry, row: int) -> str:
    slots, attempts = int(nodes.slots[row]), int(nodes.open[row])
    return (
        f"no room: {min(attempts, slots)} of {slots} slots busy, {attempts} attempts open, "
        f"{nodes.used[row] / TICKS_PER_MS:.0f} of {slots * LANE_MS} ms of work expected"
    )
