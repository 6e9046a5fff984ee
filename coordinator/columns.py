"""The table under the registry: one row a node for ever, numpy columns that grow, names and tokens as numbers.

Guarantees that a row, once given, stays its node's, and that capabilities, labels and columns tell the same. It knows
nothing of time, states and health: that is `coordinator.registry`.
"""

from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bus.messages import Capabilities, Telemetry
from bus.reputation import success_rate
from coordinator import health
from coordinator.room import LANE_TICKS

__all__ = ["Mask", "NodeTable", "Rows", "Ticks"]

type Mask = NDArray[np.bool_]
type Rows = NDArray[np.intp]
type Ticks = NDArray[np.int32]

_NO_TOKEN = -1
_NEUTRAL = {"bandwidth_mbps": 500.0, "latency_ms": 50.0, "cpu_free": 0.5, "memory_free": 0.5}
"""What a node without telemetry counts as: the middle of each term."""

_NEWCOMER = success_rate(0, 0, 0)

_COLUMNS: dict[str, tuple[type, float]] = {
    "state": (np.int8, 0),
    "reported": (np.int8, 0),
    "heard_ms": (np.int64, 0),
    "slots": (np.int32, 0),
    "limit": (np.int32, 0),
    "used": (np.int32, 0),
    "open": (np.int32, 0),
    "cores": (np.int32, 0),
    "memory_mb": (np.int32, 0),
    "region": (np.int32, _NO_TOKEN),
    "node_type": (np.int32, _NO_TOKEN),
    **{name: (np.float64, value) for name, value in _NEUTRAL.items()},
    "reputation": (np.float64, _NEWCOMER),
    **dict.fromkeys(("temperature_c", "battery", "power_w"), (np.float64, np.nan)),
    "_score": (np.float64, 0.0),
}


class NodeTable:
    """Columns have one entry a row; only the first `len(table)` rows count.

    `limit` and `used` are in ticks (see `coordinator.room`), `open` counts attempts, `region` and `node_type` hold codes
    of `code`, `telemetry` the last message of each node. `temperature_c`, `battery` and `power_w` are not a number where they are not known. `memo` is for what readers derive from
    the columns: its owner empties it whenever one of them but `used` and `open` changes.
    """

    state: NDArray[np.int8]
    reported: NDArray[np.int8]
    heard_ms: NDArray[np.int64]
    slots: NDArray[np.int32]
    limit: NDArray[np.int32]
    used: NDArray[np.int32]
    open: NDArray[np.int32]
    cores: NDArray[np.int32]
    memory_mb: NDArray[np.int32]
    region: NDArray[np.int32]
    node_type: NDArray[np.int32]
    bandwidth_mbps: health.Floats
    latency_ms: health.Floats
    cpu_free: health.Floats
    memory_free: health.Floats
    reputation: health.Floats
    temperature_c: health.Floats
    battery: health.Floats
    power_w: health.Floats
    _score: health.Floats

    def __init__(self, capacity_hint: int = 16) -> None:
        self.memo: dict[Hashable, Any] = {}
        self.telemetry: list[Telemetry | None] = []
        self.capabilities: list[Capabilities] = []
        self._rows: dict[str, int] = {}
        self._names: list[str] = []
        self._keys: list[str] = []
        self._codes: dict[str, int] = {}
        self._labelled: dict[tuple[str, str], set[int]] = {}
        self._capacity = 0
        self._grow(max(1, capacity_hint))

    def __len__(self) -> int:
        return len(self._names)

    def _grow(self, capacity: int) -> None:
        for name, (kind, fill) in _COLUMNS.items():
            column: NDArray[Any] = np.empty(capacity, dtype=kind)
            column.fill(fill)
            if self._capacity:
                column[: self._capacity] = getattr(self, name)
            setattr(self, name, column)
        self._capacity = capacity

    def row(self, node: str) -> int | None:
        """The row of `node`, or None if it never enrolled."""
        return self._rows.get(node)

    def name(self, row: int) -> str:
        """The node in `row`; raises `IndexError` where there is none."""
        return self._names[row]

    def key(self, node: str) -> str | None:
        """The public key (hex) that `node` signs with, or None if it never enrolled."""
        row = self._rows.get(node)
        return None if row is None else self._keys[row]

    def code(self, token: str) -> int:
        """The number that stands for a region or node type in the columns; -2, which none has, if no node named it."""
        return self._codes.get(token, _NO_TOKEN - 1)

    def labelled(self, key: str, value: str) -> Mask:
        """Which rows carry the label `key` = `value`."""
        mask = np.zeros(len(self), dtype=np.bool_)
        rows = self._labelled.get((key, value))
        if rows:
            mask[np.fromiter(rows, dtype=np.intp, count=len(rows))] = True
        return mask

    def _enter(self, node: str, key: str, capabilities: Capabilities) -> int:
        row = len(self._names)
        if row == self._capacity:
            self._grow(2 * row)
        self._rows[node] = row
        self._names.append(node)
        self._keys.append(key)
        self.telemetry.append(None)
        self.capabilities.append(capabilities)
        self._describe(row, capabilities)
        return row

    def _change(self, row: int, key: str, capabilities: Capabilities) -> None:
        self._keys[row] = key
        for label in self.capabilities[row].labels.items():
            rows = self._labelled[label]
            rows.discard(row)
            if not rows:
                del self._labelled[label]
        self.capabilities[row] = capabilities
        self._describe(row, capabilities)

    def _describe(self, row: int, capabilities: Capabilities) -> None:
        self.slots[row] = capabilities.slots
        self.limit[row] = capabilities.slots * LANE_TICKS
        self.cores[row] = capabilities.cores
        self.memory_mb[row] = capabilities.memory_mb
        self.region[row] = self._encoded(capabilities.region)
        self.node_type[row] = self._encoded(capabilities.node_type)
        for label in capabilities.labels.items():
            self._labelled.setdefault(label, set()).add(row)

    def _encoded(self, token: str | None) -> int:
        return _NO_TOKEN if token is None else self._codes.setdefault(token, len(self._codes))
