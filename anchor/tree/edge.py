"""A growing RFC 6962 tree, of which only the right edge is in memory: what is to its left is in full tiles. Pure.

Guarantees that memory does not grow with the tree (at most 256 hashes for each of eight levels of tiles), that tiles come out in the order in
which they fill, and that the root is that of all leaves appended so far. Tiles are those of C2SP tlog-tiles: 256 hashes wide, and each
hash of a level stands for a full tile of the level below.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

from anchor.receipt.merkle import EMPTY_ROOT, HASH_BYTES, node_hash

__all__ = ["TILE_BYTES", "TILE_WIDTH", "Edge", "Tile", "halves", "tile_root", "width_at"]

TILE_WIDTH = 256
TILE_BYTES = TILE_WIDTH * HASH_BYTES


class Tile(NamedTuple):
    """Consecutive hashes of one level: tile `number` of `level`, full where it has 256 of them."""

    level: int
    number: int
    data: bytes

    @property
    def width(self) -> int:
        """How many hashes it holds."""
        return len(self.data) // HASH_BYTES


def width_at(size: int, level: int, number: int) -> int:
    """How many hashes tile `number` of `level` has in a tree of `size` leaves: 0 to 256."""
    return max(0, min(TILE_WIDTH, (size >> 8 * level) - number * TILE_WIDTH))


def halves(hashes: Sequence[bytes]) -> list[bytes]:
    """The next level up: each two neighbours hashed together. An odd last one is left out."""
    sha = sha256
    pairs = zip(hashes[::2], hashes[1::2], strict=False)
    return [sha(b"\x01" + left + right).digest() for left, right in pairs]


def tile_root(data: bytes) -> bytes:
    """The root over a full tile: what stands for it in the level above."""
    level = [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
    while len(level) > 1:
        level = halves(level)
    return level[0]


class Edge:
    """The right edge of a tree of `size` leaves. `levels` are the hashes of each level that are in no full tile yet."""

    def __init__(self, levels: Iterable[bytes] = ()) -> None:
        """Go on from `levels` as `pack` gave them; an empty tree without. Raises `ValueError` where they are none."""
        self.levels = [bytearray(each) for each in levels]
        self.size = 0
        for at, level in enumerate(self.levels):
            if len(level) % HASH_BYTES or len(level) >= TILE_BYTES:
                raise ValueError(f"level {at} of an edge has 0 to 255 whole hashes, not {len(level)} bytes")
            self.size += (len(level) // HASH_BYTES) << 8 * at

    def __repr__(self) -> str:
        """How large the tree is."""
        return f"Edge(size={self.size}, levels={len(self.levels)})"

    def pack(self) -> list[bytes]:
        """Everything that a new `Edge` needs to go on."""
        return [bytes(level) for level in self.levels]

    def append(self, hashes: Sequence[bytes]) -> list[Tile]:
        """Add leaf hashes at the end; the tiles that became full, lower levels first."""
        full: list[Tile] = []
        level, incoming = 0, b"".join(hashes)
        before = self.size
        self.size += len(hashes)
        while incoming:
            if level == len(self.levels):
                self.levels.append(bytearray())
            held = self.levels[level]
            held += incoming
            number = (before >> 8 * level) // TILE_WIDTH
            roots: list[bytes] = []
            done = len(held) // TILE_BYTES * TILE_BYTES
            for at in range(0, done, TILE_BYTES):
                tile = Tile(level, number + at // TILE_BYTES, bytes(held[at : at + TILE_BYTES]))
                full.append(tile)
                roots.append(tile_root(tile.data))
            del held[:done]
            level, incoming = level + 1, b"".join(roots)
        return full

    def partial(self) -> list[Tile]:
        """The tiles of the edge that hold something: with the full ones they are the whole tree."""
        return [
            Tile(level, (self.size >> 8 * level) // TILE_WIDTH, bytes(held))
            for level, held in enumerate(self.levels)
            if held
        ]

    def root(self) -> bytes:
        """The root over all leaves (RFC 6962, section 2.1)."""
        found: bytes | None = None
        for held in self.levels:
            row = [bytes(held[at : at + HASH_BYTES]) for at in range(0, len(held), HASH_BYTES)]
            # The lowest bits of the size are the rightmost subtrees: each is the left neighbour of all that is to its right.
            for _ in range(8):
                if len(row) % 2:
                    found = row[-1] if found is None else node_hash(row[-1], found)
                row = halves(row)
        return EMPTY_ROOT if found is None else found
