"""All nodes at once, in columns, for who shows ten thousand of them."""

import msgspec
from msgspec import Struct

from bus.messages import NodeState
from gateway.resources.common import Count

__all__ = ["NodeBoard", "NodeSample"]


class NodeBoard(Struct, frozen=True, kw_only=True):
    """Every node, one entry a row. A row is the same node for as long as `shape` is the same; `shape` is empty before the first board.

    The columns are base64 of little-endian numbers, as the wire's `BoardReply` says: `state` (bytes: 0 healthy, 1 safe, 2 draining, 3 suspect, 4 dead,
    5 left), `score` (16 bits, in 1/10,000), `open` (16 bits), `cpu_free` and `memory_free` (bytes, in 1/200), `latency` and `silent`
    (16 bits, in tenths of a millisecond and of a second).
    """

    shape: str = ""
    total: Count = 0
    at_ms: Count = 0
    state: bytes = b""
    score: bytes = b""
    open: bytes = b""
    cpu_free: bytes = b""
    memory_free: bytes = b""
    latency: bytes = b""
    silent: bytes = b""
    names: list[str] = msgspec.field(default_factory=list)


class NodeSample(Struct, frozen=True, kw_only=True):
    """How a node was at a moment; free shares 0..1."""

    at_ms: Count
    state: NodeState
    score: float
    open: Count
    cpu_free: float
    memory_free: float
    latency_ms: float
