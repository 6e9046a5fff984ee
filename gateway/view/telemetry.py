"""The last hour of how each node was, in buckets of ten seconds: least, mean and most. Pure: boards come in, with the moments that they are of.

Guarantees that memory is bounded: `BUCKET_BYTES` for each row of the board in each of `BUCKETS` buckets, 8.6 kB a node, and nothing for a node that
is not on the board. A node that is silent leaves a gap, and so does a coordinator that is: the last that was heard is never repeated as news. What a
column cannot hold exactly (see `BoardReply`) is not known more exactly here.

Rows follow the names: under another leader the board has other rows, and each node keeps its past.
"""

from collections import deque
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bus.messages import BoardReply
from gateway.resources.telemetry import NodeTelemetry, Spread

__all__ = ["BUCKETS", "BUCKET_BYTES", "STEP_MS", "TelemetryHistory"]

STEP_MS = 10_000
BUCKETS = 360
_PRESENT = 3
"""States below this one are of nodes that are heard: healthy, safe, draining."""


class _Quantity(NamedTuple):
    """A column of the board: what one of its numbers is worth, from where it counts, and to how many digits that is told."""

    column: str
    kind: str
    unit: float
    base: float
    digits: int

    @property
    def unknown(self) -> int:
        return int(np.iinfo(self.kind).max)


_QUANTITIES = {
    "cpu_free": _Quantity("cpu_free", "<u1", 1 / 200, 0, 3),
    "memory_free": _Quantity("memory_free", "<u1", 1 / 200, 0, 3),
    "latency_ms": _Quantity("latency", "<u2", 1 / 10, 0, 1),
    "temperature_c": _Quantity("temperature", "<u1", 1 / 2, -20, 1),
    "battery": _Quantity("battery", "<u1", 1 / 200, 0, 3),
    "power_w": _Quantity("power", "<u2", 1 / 50, 0, 2),
}
_STATS = ("min", "mean", "max")
_ROW = np.dtype([(name, of.kind, len(_STATS)) for name, of in _QUANTITIES.items()])
BUCKET_BYTES = _ROW.itemsize

type _Rows = NDArray[np.intp]


class _Sum:
    """The bucket under way, for one quantity."""

    def __init__(self, of: _Quantity, rows: int) -> None:
        self.of = of
        self.least = np.full(rows, of.unknown, of.kind)
        self.most = np.zeros(rows, of.kind)
        self.total = np.zeros(rows, np.uint64)
        self.count = np.zeros(rows, np.uint32)

    def add(self, column: bytes, present: NDArray[np.bool_]) -> None:
        codes = np.frombuffer(column, self.of.kind)
        rows = np.flatnonzero(present & (codes != self.of.unknown))
        known = codes[rows]
        self.least[rows] = np.minimum(self.least[rows], known)
        self.most[rows] = np.maximum(self.most[rows], known)
        self.total[rows] += known
        self.count[rows] += 1

    def moved(self, source: _Rows) -> None:
        for name, fill in (("least", self.of.unknown), ("most", 0), ("total", 0), ("count", 0)):
            setattr(self, name, _moved(getattr(self, name), source, fill))

    def stats(self, rows: slice) -> NDArray[Any]:
        count = self.count[rows]
        mean = np.rint(self.total[rows] / np.maximum(count, 1))
        found = np.stack([self.least[rows], mean, self.most[rows]], axis=1)
        found[count == 0] = self.of.unknown
        return found


class _Bucket:
    """Ten seconds: `number` since 1970, sums while they pass, one packed row a node afterwards."""

    def __init__(self, number: int, rows: int) -> None:
        self.number = number
        self.rows = np.empty(0, _ROW)
        self._sums = {name: _Sum(of, rows) for name, of in _QUANTITIES.items()}

    def add(self, board: BoardReply) -> None:
        present = np.frombuffer(board.state, np.uint8) < _PRESENT
        for each in self._sums.values():
            each.add(getattr(board, each.of.column), present)

    def close(self) -> None:
        self.rows = self.packed(slice(None))
        self._sums = {}

    def packed(self, rows: slice) -> NDArray[Any]:
        """Some rows, as they are at the moment while the bucket is not closed."""
        if not self._sums:
            return self.rows[rows]
        columns = {name: each.stats(rows) for name, each in self._sums.items()}
        found = np.empty(len(columns["cpu_free"]), _ROW)
        for name, column in columns.items():
            found[name] = column
        return found

    def moved(self, source: _Rows) -> None:
        for each in self._sums.values():
            each.moved(source)
        if not self._sums:
            self.rows = _moved(self.rows, source, _nothing(1)[0])


def _moved(column: NDArray[Any], source: _Rows, fill: Any) -> NDArray[Any]:
    """The column under new rows: `source` is the old row of each, or -1; what the column does not reach is `fill`."""
    found = np.full(len(source), fill, column.dtype)
    known = (source >= 0) & (source < len(column))
    found[known] = column[source[known]]
    return found


def _nothing(rows: int) -> NDArray[Any]:
    found = np.empty(rows, _ROW)
    for name, of in _QUANTITIES.items():
        found[name] = of.unknown
    return found


class TelemetryHistory:
    """All nodes of the newest board, over the last hour of the coordinator's clock."""

    def __init__(self) -> None:
        self._buckets: deque[_Bucket] = deque(maxlen=BUCKETS)
        self._names: list[str] = []
        self._rows: dict[str, int] = {}

    def __repr__(self) -> str:
        """How many nodes, and how far back."""
        return f"TelemetryHistory({len(self._names)} nodes, {len(self._buckets)} buckets)"

    def fold(self, board: BoardReply, names: list[str]) -> None:
        """The next board and what its rows are called. One that is older than the bucket under way counts into that."""
        if names is not self._names and names != self._names:
            self._follow(names)
        number = board.at_ms // STEP_MS
        if not self._buckets or number > self._buckets[-1].number:
            if self._buckets:
                self._buckets[-1].close()
            while self._buckets and self._buckets[0].number <= number - BUCKETS:
                self._buckets.popleft()
            self._buckets.append(_Bucket(number, board.total))
        self._buckets[-1].add(board)

    def _follow(self, names: list[str]) -> None:
        """The rows are other nodes' from here on, or there are more of them."""
        source = np.array([self._rows.get(name, -1) for name in names], dtype=np.intp)
        grows = names[: len(self._names)] == self._names
        for bucket in self._buckets:
            if not grows or bucket is self._buckets[-1]:  # a closed one need not reach as far as the rows
                bucket.moved(source)
        self._names, self._rows = names, {name: row for row, name in enumerate(names)}

    def of(self, node: str, since_ms: int = 0) -> NodeTelemetry | None:
        """The buckets of a node that end after `since_ms`, oldest first, from the first that has anything; None for a node that is not on the board."""
        row = self._rows.get(node)
        if row is None:
            return None
        held = {
            bucket.number: found
            for bucket in self._buckets
            if (bucket.number + 1) * STEP_MS > since_ms
            and (found := bucket.packed(slice(row, row + 1)).tobytes()) not in (b"", _NOTHING)
        }
        if not held:
            return NodeTelemetry(node=node, step_ms=STEP_MS, from_ms=0)
        first, last = min(held), max(held)
        rows = np.frombuffer(b"".join(held.get(number, _NOTHING) for number in range(first, last + 1)), _ROW)
        return NodeTelemetry(
            node=node,
            step_ms=STEP_MS,
            from_ms=first * STEP_MS,
            **{name: _spread(rows[name], of) for name, of in _QUANTITIES.items()},
        )


_NOTHING = _nothing(1).tobytes()


def _spread(codes: NDArray[Any], of: _Quantity) -> Spread | None:
    if np.all(codes == of.unknown):
        return None
    return Spread(**{stat: _told(codes[:, at], of) for at, stat in enumerate(_STATS)})


def _told(codes: NDArray[Any], of: _Quantity) -> list[float | None]:
    values = np.round(codes * of.unit + of.base, of.digits).tolist()
    return [None if code == of.unknown else value for code, value in zip(codes.tolist(), values, strict=True)]
