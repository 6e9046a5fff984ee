"""The Merkle tree of RFC 6962, section 2.1, over SHA-256: roots, paths and their check.

Pure functions over byte strings. Leaves and nodes are hashed under different prefixes, so a node can never be
passed off as a leaf (second pre-image attack, RFC 6962 2.1).
"""

from collections.abc import Sequence
from hashlib import sha256

__all__ = ["leaf_hash", "path", "root", "root_from_path"]


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of one leaf: SHA-256(0x00 ‖ leaf)."""
    return sha256(b"\x00" + leaf).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _split(size: int) -> int:
    """The largest power of two smaller than `size` (RFC 6962's k)."""
    return 1 << (size - 1).bit_length() - 1


def root(leaves: Sequence[bytes]) -> bytes:
    """The Merkle tree hash of `leaves`, 32 bytes; that of no leaves is SHA-256 of nothing."""
    if not leaves:
        return sha256().digest()
    level = [leaf_hash(leaf) for leaf in leaves]
    # Pairing neighbours and carrying an odd last one up unchanged yields exactly RFC 6962's recursion.
    while len(level) > 1:
        paired = [sha256(b"\x01" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=False)]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0]


def path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of leaf `index`, lowest sibling first (RFC 6962 2.1.1)."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} is not among {len(leaves)}")
    if len(leaves) == 1:
        return []
    k = _split(len(leaves))
    if index < k:
        return [*path(leaves[:k], index), root(leaves[k:])]
    return [*path(leaves[k:], index - k), root(leaves[:k])]


def root_from_path(leaf: bytes, index: int, size: int, siblings: Sequence[bytes]) -> bytes | None:
    """The root that `siblings` lead to from `leaf`, or None if they cannot be a path in a tree of `size`.

    The algorithm of RFC 9162, section 2.1.3.2; compare the answer with a root that is trusted.
    """
    if not 0 <= index < size:
        return None
    node, last, found = index, size - 1, leaf_hash(leaf)
    for sibling in siblings:
        if last == 0:
            return None
        if node % 2 or node == last:
            found = _node_hash(sibling, found)
            while node % 2 == 0 and node:
                node, last = node >> 1, last >> 1
        else:
            found = _node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    return found if last == 0 else None
