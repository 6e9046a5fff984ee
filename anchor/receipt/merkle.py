"""The checking half of RFC 6962's Merkle tree, over SHA-256: hashes of leaves and nodes, and where a path leads. Pure.

Leaves and nodes are hashed under different prefixes, so a node can never be passed off as a leaf (second pre-image attack, RFC 6962 2.1).
The trees themselves are `anchor.tree`'s.
"""

from collections.abc import Sequence
from hashlib import sha256

__all__ = ["EMPTY_ROOT", "HASH_BYTES", "is_consistent", "leaf_hash", "node_hash", "root_from_path"]

HASH_BYTES = 32

EMPTY_ROOT = sha256().digest()
"""The root of a tree without leaves (RFC 6962 2.1)."""


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of one leaf: SHA-256(0x00 || leaf)."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


def root_from_path(found: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root to which `path` (lowest sibling first) leads from the leaf hash `found` at `index`; None if it is no path in a tree of `size`.

    The algorithm of RFC 9162, section 2.1.3.2; compare the answer with a root that is trusted.
    """
    if not 0 <= index < size:
        return None
    node, last = index, size - 1
    for sibling in path:
        if last == 0:
            return None
        if node % 2 or node == last:
            found = node_hash(sibling, found)
            while node % 2 == 0 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    return found if last == 0 else None


def is_consistent(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether `proof` shows that the tree of `new_size` begins with that of `old_size`: RFC 9162, section 2.1.4.2.

    A tree begins with the empty one and with itself, and the proof of that is empty.
    """
    if not 0 <= old_size <= new_size:
        return False
    if old_size == new_size:
        return not proof and old_root == new_root
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    # A left part that is a whole power of two is a node of the new tree: its root stands for itself.
    hashes = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    if not hashes:
        return False
    node, last = old_size - 1, new_size - 1
    while node % 2:
        node, last = node >> 1, last >> 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if node % 2 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while node % 2 == 0 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and old == old_root and new == new_root
