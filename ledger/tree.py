"""A sparse Merkle tree over 256-bit keys that never changes: what is put in makes a new tree, which shares all that stayed.

Guarantees that the root depends on the leaves alone, not on the order or the cuts in which they came, and that an old tree goes on
giving its proofs. `ledger.proof` says how things are hashed. A change costs the hashes on the way to it; many at once share theirs.
Leaves are replaced and never taken out: an account that was there stays.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import NamedTuple

from ledger.proof import EMPTY, Neighbour, branch_hash, key_of, leaf_hash

__all__ = ["Path", "Tree"]


class _Leaf(NamedTuple):
    key: bytes
    text: bytes
    hash: bytes


class _Branch(NamedTuple):
    left: "_Node"
    right: "_Node"
    hash: bytes


_Node = _Leaf | _Branch | None


class Path(NamedTuple):
    """The way to a key: `siblings` from the root down, and what stands at its end.

    `text` is the leaf's where there is one, else None; `neighbour` another leaf that stands in its place.
    """

    siblings: list[bytes]
    text: bytes | None
    neighbour: Neighbour | None


class Tree:
    """Texts by name. `len` is the number of leaves. `Tree()` is the empty one; every other comes from `updated`."""

    __slots__ = ("_count", "_top")

    def __init__(self, _top: "_Node" = None, _count: int = 0) -> None:
        self._top = _top
        self._count = _count

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        """How large, and which."""
        return f"Tree({self._count}, root={self.root.hex()[:16]}…)"

    @property
    def root(self) -> bytes:
        """The 32 bytes that stand for all leaves."""
        return _hash(self._top)

    def updated(self, texts: Mapping[str, bytes]) -> "Tree":
        """The tree with these texts in it, each under its name; those of other names stay as they are."""
        leaves = [_leaf(name, text) for name, text in texts.items()]
        leaves.sort(key=lambda leaf: leaf.key)
        top, added = _merged(self._top, leaves, 0, len(leaves), 0)
        return Tree(top, self._count + added)

    def path(self, name: str) -> Path:
        """The proof of what stands under `name`, or that nothing does."""
        key, node = key_of(name), self._top
        siblings: list[bytes] = []
        while isinstance(node, _Branch):
            ahead, beside = (node.right, node.left) if _bit(key, len(siblings)) else (node.left, node.right)
            siblings.append(_hash(beside))
            node = ahead
        if node is None:
            return Path(siblings, None, None)
        if node.key == key:
            return Path(siblings, node.text, None)
        return Path(siblings, None, Neighbour(node.key, sha256(node.text).digest()))

    def texts(self) -> Iterator[bytes]:
        """All leaves' texts, by key."""
        waiting = [self._top]
        while waiting:
            node = waiting.pop()
            if isinstance(node, _Branch):
                waiting += (node.right, node.left)
            elif node is not None:
                yield node.text


def _leaf(name: str, text: bytes) -> _Leaf:
    key = key_of(name)
    return _Leaf(key, text, leaf_hash(key, sha256(text).digest()))


def _hash(node: _Node) -> bytes:
    return EMPTY if node is None else node.hash


def _bit(key: bytes, depth: int) -> int:
    return key[depth >> 3] >> (7 - (depth & 7)) & 1


def _merged(node: _Node, leaves: list[_Leaf], start: int, end: int, depth: int) -> tuple[_Node, int]:
    """The subtree at `depth` with `leaves[start:end]` (sorted by key) in it, and how many leaves it gained."""
    if start == end:
        return node, 0
    if isinstance(node, _Branch):
        middle = _middle(leaves, start, end, depth)
        left, more_left = _merged(node.left, leaves, start, middle, depth + 1)
        right, more_right = _merged(node.right, leaves, middle, end, depth + 1)
        return _branch(left, right), more_left + more_right
    if node is None:
        return _built(leaves, start, end, depth), end - start
    some = leaves[start:end]
    at = bisect_left(some, node.key, key=lambda leaf: leaf.key)
    if at < len(some) and some[at].key == node.key:
        return _built(some, 0, len(some), depth), len(some) - 1
    some.insert(at, node)
    return _built(some, 0, len(some), depth), len(some) - 1


def _built(leaves: list[_Leaf], start: int, end: int, depth: int) -> _Node:
    """A subtree of these leaves alone."""
    if end - start <= 1:
        return leaves[start] if start < end else None
    middle = _middle(leaves, start, end, depth)
    return _branch(_built(leaves, start, middle, depth + 1), _built(leaves, middle, end, depth + 1))


def _middle(leaves: list[_Leaf], start: int, end: int, depth: int) -> int:
    """Where the keys begin whose bit at `depth` is set."""
    return bisect_left(leaves, 1, start, end, key=lambda leaf: _bit(leaf.key, depth))


def _branch(left: _Node, right: _Node) -> _Branch:
    return _Branch(left, right, branch_hash(_hash(left), _hash(right)))
