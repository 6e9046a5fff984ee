"""What is written into Bitcoin: 36 bytes that commit to the roots of one log or of many.

    commitment = SHA-256("ambient-vcp/anchor/1" ‖ 0x00 ‖ length of origin (1 byte) ‖ origin ‖ size (8 bytes, big-endian) ‖ root)
    batch      = commitment, where there is one; else the Merkle tree over them in the shape of RFC 6962, with nodes SHA-256(0x01 ‖ left ‖ right)
    payload    = "AVCP" ‖ batch

The leaves of the batch are the commitments themselves: they hash a text that does not begin with 0x01, so no node can be passed off as one.
Standard library only: part of the offline verifier.
"""

from collections.abc import Sequence
from hashlib import sha256

from anchor.bitcoin.errors import BrokenProof, Malformed
from anchor.bitcoin.transaction import Transaction

__all__ = [
    "DOMAIN",
    "MAX_BATCH",
    "PAYLOAD_BYTES",
    "TAG",
    "batch_path",
    "batch_root",
    "batch_root_by_path",
    "commitment",
    "output_script",
    "payload",
    "payload_of",
    "preamble",
]

TAG = b"AVCP"
DOMAIN = b"ambient-vcp/anchor/1\x00"
PAYLOAD_BYTES = 36
MAX_BATCH = 64
"""Logs in one transaction: more would make receipts longer than anybody has logs."""
MAX_ORIGIN_BYTES = 255
_ROOT_BYTES = 32
_OP_RETURN = 0x6A


def preamble(origin: str, size: int) -> bytes:
    """What stands before the root where it is hashed; raises `Malformed`."""
    name = origin.encode()
    if not 0 < len(name) <= MAX_ORIGIN_BYTES:
        raise Malformed("origin", f"1 to {MAX_ORIGIN_BYTES} bytes are allowed, not {len(name)}")
    if not 0 <= size < 1 << 63:
        raise Malformed("size", "0 to 2^63 - 1 is allowed")
    return DOMAIN + len(name).to_bytes(1) + name + size.to_bytes(8)


def commitment(origin: str, size: int, root: bytes) -> bytes:
    """What commits to the root of one log at one size, 32 bytes; raises `Malformed`."""
    if len(root) != _ROOT_BYTES:
        raise Malformed("root", f"{_ROOT_BYTES} bytes are asked for, not {len(root)}")
    return sha256(preamble(origin, size) + root).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def batch_root(commitments: Sequence[bytes]) -> bytes:
    """The root over 1 to `MAX_BATCH` commitments, in their order."""
    if not 0 < len(commitments) <= MAX_BATCH:
        raise Malformed("commitments", f"1 to {MAX_BATCH} share one transaction, not {len(commitments)}")
    level = list(commitments)
    while len(level) > 1:
        paired = [_node(a, b) for a, b in zip(level[::2], level[1::2], strict=False)]
        level = [*paired, level[-1]] if len(level) % 2 else paired
    return level[0]


def batch_path(commitments: Sequence[bytes], index: int) -> list[tuple[bool, bytes]]:
    """The siblings of commitment `index`, lowest first, each with whether it stands on the left."""
    level, found = list(commitments), []
    while len(level) > 1:
        if index ^ 1 < len(level):
            found.append((bool(index & 1), level[index ^ 1]))
        paired = [_node(a, b) for a, b in zip(level[::2], level[1::2], strict=False)]
        level, index = ([*paired, level[-1]] if len(level) % 2 else paired), index >> 1
    return found


def batch_root_by_path(commitment_: bytes, path: Sequence[tuple[bool, bytes]]) -> bytes:
    """What a path leads to from a commitment."""
    for on_left, sibling in path:
        commitment_ = _node(sibling, commitment_) if on_left else _node(commitment_, sibling)
    return commitment_


def payload(commitments: Sequence[bytes]) -> bytes:
    """The 36 bytes for the transaction that commits to all of them."""
    return TAG + batch_root(commitments)


def output_script(payload_: bytes) -> bytes:
    """The script of the output that holds a payload: OP_RETURN and one push, which nobody can ever spend."""
    return bytes((_OP_RETURN, len(payload_))) + payload_


def payload_of(tx: Transaction) -> bytes:
    """The payload that a transaction publishes; raises `BrokenProof` unless there is exactly one of ours."""
    prefix = bytes((_OP_RETURN, PAYLOAD_BYTES)) + TAG
    found = [
        out.script[2:]
        for out in tx.outputs
        if out.script.startswith(prefix) and len(out.script) == PAYLOAD_BYTES + 2
    ]
    if len(found) != 1:
        raise BrokenProof("transaction", f"one output with a payload is asked for, it has {len(found)}")
    return found[0]
