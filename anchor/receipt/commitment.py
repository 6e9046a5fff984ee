"""What is written into a Bitcoin transaction: 36 bytes that stand for the state of one log, or of many.

Guarantees that a commitment fits one state of one log only, and that neither a commitment nor a node over commitments can be passed off
as anything else that this project hashes: leaves and nodes of the logs begin with 0x00 and 0x01, commitments with a name.

A single log's payload is the tag and its commitment. Where several logs share a transaction it is the tag and the root of an RFC 6962 tree in
which the commitments stand where the hashes of leaves do; each log then has a path of `Step`s from its commitment to that root.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from anchor.receipt.merkle import HASH_BYTES, node_hash

__all__ = ["PAYLOAD_BYTES", "TAG", "Step", "commitment", "join", "op_return", "payload", "preamble", "walk"]

TAG = b"AVCP"
"""The first bytes of every payload: so that ours can be found on the chain."""

PAYLOAD_BYTES = len(TAG) + HASH_BYTES
_DOMAIN = b"ambient-vcp anchor v1\n"
_OP_RETURN = 0x6A


class Step(NamedTuple):
    """One step up a tree: the sibling's hash, and whether it stands to the left."""

    is_left: bool
    sibling: bytes


def commitment(origin: str, size: int, root: bytes) -> bytes:
    """SHA-256(domain || origin || LF || size, 8 bytes big-endian || root): 32 bytes for one state of the log called `origin`.

    An origin holds no line break (C2SP tlog-checkpoint), so no two states have the same bytes. Raises `ValueError` where it does.
    """
    if len(root) != HASH_BYTES:
        raise ValueError("an origin is one line that is not empty, and a root has 32 bytes")
    return sha256(preamble(origin, size) + root).digest()


def preamble(origin: str, size: int) -> bytes:
    """What stands before the root where it is hashed; raises `ValueError` as `commitment` does."""
    if "\n" in origin or not origin:
        raise ValueError("an origin is one line that is not empty, and a root has 32 bytes")
    return _DOMAIN + origin.encode() + b"\n" + size.to_bytes(8, "big")


def payload(committed: bytes) -> bytes:
    """The 36 bytes for a commitment, or for the root over several."""
    return TAG + committed


def op_return(committed: bytes) -> bytes:
    """The 38 bytes of an output's script that carries `payload(committed)` and nothing else: OP_RETURN and one push.

    Of no bytes: how every such script begins.
    """
    return bytes((_OP_RETURN, PAYLOAD_BYTES)) + payload(committed)


def walk(found: bytes, steps: Sequence[Step]) -> bytes:
    """Where `steps` lead from the hash `found`."""
    for is_left, sibling in steps:
        found = node_hash(sibling, found) if is_left else node_hash(found, sibling)
    return found


def join(commitments: Sequence[bytes]) -> tuple[bytes, list[tuple[Step, ...]]]:
    """The root over `commitments` (at least one), and for each the steps that lead to it."""
    level: list[tuple[bytes, tuple[int, ...]]] = [(each, (at,)) for at, each in enumerate(commitments)]
    steps: list[list[Step]] = [[] for _ in level]
    while len(level) > 1:
        paired: list[tuple[bytes, tuple[int, ...]]] = []
        for (left, below), (right, beside) in zip(level[::2], level[1::2], strict=False):
            for at in below:
                steps[at].append(Step(is_left=False, sibling=right))
            for at in beside:
                steps[at].append(Step(is_left=True, sibling=left))
            paired.append((node_hash(left, right), (*below, *beside)))
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0][0], [tuple(each) for each in steps]
