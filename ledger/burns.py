"""The list of burns as one root: RFC 6962, in the order of ANCHORS, kept as the few hashes that the next root needs."""

from collections.abc import Iterable
from functools import reduce
from hashlib import sha256

from bus.merkle import leaf_hash

__all__ = ["Burns"]


class Burns:
    """Grows only. `count` is how many there are; `peaks` the roots of the whole powers of two they are made of, the largest first."""

    __slots__ = ("count", "peaks")

    def __init__(self, count: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.count = count
        self.peaks = list(peaks)

    def append(self, payload: bytes) -> None:
        """One more."""
        found, rest = leaf_hash(payload), self.count
        # Like a carry in binary counting: each set bit of the count is a tree that the new one completes.
        while rest & 1:
            found, rest = _node(self.peaks.pop(), found), rest >> 1
        self.peaks.append(found)
        self.count += 1

    @property
    def root(self) -> bytes:
        """The Merkle tree hash; SHA-256 of nothing where there are none."""
        if not self.peaks:
            return sha256().digest()
        return reduce(lambda right, left: _node(left, right), reversed(self.peaks))


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()
