"""The Merkle tree of a Bitcoin block: root, branch, and what a branch leads to.

Guarantees that `branch` and `root_by_branch` are inverse to each other.

The tree does not tell leaves from nodes (CVE-2017-12842), and repeats the last of an odd level (CVE-2012-2459): `anchor.receipt.bitcoin.spv` stops
the first by the coinbase's branch, and `is_ambiguous` finds the second.
"""

from collections.abc import Sequence

from anchor.receipt.bitcoin.encoding import double_sha256

__all__ = ["branch", "is_ambiguous", "root", "root_by_branch"]


def _above(level: Sequence[bytes]) -> list[bytes]:
    even = [*level, level[-1]] if len(level) % 2 else level
    return [double_sha256(even[at] + even[at + 1]) for at in range(0, len(even), 2)]


def root(txids: Sequence[bytes]) -> bytes:
    """The root over a block's transactions, of which there is at least one."""
    level = list(txids)
    while len(level) > 1:
        level = _above(level)
    return level[0]


def is_ambiguous(txids: Sequence[bytes]) -> bool:
    """Whether another list of transactions has the same root: two equal neighbours of one pair, on any level."""
    level = list(txids)
    while len(level) > 1:
        if any(level[at] == level[at + 1] for at in range(0, len(level) - 1, 2)):
            return True
        level = _above(level)
    return False


def branch(txids: Sequence[bytes], index: int) -> list[bytes]:
    """The siblings on the way from transaction `index` to the root, lowest first."""
    level, found = list(txids), []
    while len(level) > 1:
        found.append(level[min(index ^ 1, len(level) - 1)])
        level, index = _above(level), index >> 1
    return found


def root_by_branch(txid: bytes, index: int, siblings: Sequence[bytes]) -> bytes | None:
    """The root that a branch leads to; None where no tree has it."""
    if not 0 <= index < 1 << len(siblings):
        return None
    for sibling in siblings:
        if index & 1 and sibling == txid:
            return None  # only the last of an odd level stands beside itself, and that one is on the left
        txid = double_sha256(sibling + txid if index & 1 else txid + sibling)
        index >>= 1
    return txid
