"""Proofs out of tiles: that a leaf is in a tree of a given size, and that one tree begins with another. Pure, but for the reading of tiles.

Guarantees the proofs of RFC 6962, sections 2.1.1 and 2.1.2, for any size that the tree ever had, by reading at most two tiles a level.
Whether tiles are what was written is for whoever asked to see: a proof that does not lead to the root was made of damaged ones.
"""

from collections.abc import Callable

from anchor.receipt.merkle import HASH_BYTES, node_hash
from anchor.tree.edge import TILE_WIDTH, halves

__all__ = ["Proofs", "ReadTile"]

type ReadTile = Callable[[int, int, int], bytes]
"""`read(level, number, width)`: at least the first `width` hashes of a tile."""

type _Rows = list[list[bytes]]
_KEPT = 64
"""Tiles whose inner hashes are kept: some 50 KiB each. The upper ones serve every proof."""


class Proofs:
    """Proofs from the tiles that `read` gives."""

    def __init__(self, read: ReadTile) -> None:
        self._read = read
        self._kept: dict[tuple[int, int], _Rows] = {}

    def forget(self) -> None:
        """Read every tile anew: some were mended."""
        self._kept.clear()

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The path of leaf `index` in the tree of the first `size` leaves, lowest sibling first."""
        if not 0 <= index < size:
            raise IndexError(f"leaf {index} is not among {size}")
        path: list[bytes] = []
        low, high = 0, size
        while high - low > 1:
            middle = low + _split(high - low)
            if index < middle:
                path.append(self.subtree(middle, high, size))
                high = middle
            else:
                path.append(self.subtree(low, middle, size))
                low = middle
        return path[::-1]

    def consistency(self, old: int, size: int) -> list[bytes]:
        """The proof that the tree of `size` begins with that of `old`."""
        if not 0 <= old <= size:
            raise IndexError(f"a tree of {old} is no beginning of one of {size}")
        if old in (0, size):
            return []
        proof: list[bytes] = []
        low, high = 0, size
        while high != old:
            middle = low + _split(high - low)
            if old <= middle:
                proof.append(self.subtree(middle, high, size))
                high = middle
            else:
                proof.append(self.subtree(low, middle, size))
                low = middle
        if low:
            proof.append(self.subtree(low, high, size))
        return proof[::-1]

    def root(self, size: int) -> bytes:
        """The root over the first `size` leaves, of which there is at least one."""
        return self.subtree(0, size, size)

    def subtree(self, low: int, high: int, size: int) -> bytes:
        """MTH(D[low:high]) in a tree of `size`, where `low` is a place at which RFC 6962 begins such a subtree."""
        parts: list[bytes] = []
        while low < high:
            width = 1 << (high - low).bit_length() - 1
            parts.append(self._node(width.bit_length() - 1, low // width, size))
            low += width
        found = parts.pop()
        while parts:
            found = node_hash(parts.pop(), found)
        return found

    def _node(self, height: int, number: int, size: int) -> bytes:
        """The hash of a whole subtree of 2^height leaves."""
        level, row = divmod(height, 8)
        tile, at = divmod(number << row, TILE_WIDTH)
        rows = self._rows(level, tile, at + (1 << row), size)
        return rows[row][at >> row]

    def _rows(self, level: int, tile: int, needed: int, size: int) -> _Rows:
        """A tile's hashes and the inner ones above them. What of a tile is there grows, so more may be needed than was kept."""
        rows = self._kept.get((level, tile))
        if rows is None or len(rows[0]) < needed:
            width = max(needed, min(TILE_WIDTH, (size >> 8 * level) - tile * TILE_WIDTH))
            data = self._read(level, tile, width)
            rows = [[data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]]
            for _ in range(8):
                rows.append(halves(rows[-1]))
        else:
            del self._kept[level, tile]
        self._kept[level, tile] = rows  # the one used last stands last
        if len(self._kept) > _KEPT:
            del self._kept[next(iter(self._kept))]
        return rows


def _split(size: int) -> int:
    """The largest power of two smaller than `size` (RFC 6962's k)."""
    return 1 << (size - 1).bit_length() - 1
