"""OpenTimestamps proofs (`.ots`): writing the path from a leaf of our log to a Bitcoin block in their operations, and following it.

Guarantees that a file written here is read by the stock `opentimestamps` library and means the same there: each step of the path is an operation
(append, prepend, SHA-256), and the result is the Merkle root of the block at the height that the file names. The file that is
stamped is 0x00 followed by the leaf: its SHA-256 is then the leaf's hash of RFC 6962, where the path begins.
`follow` reads such files back: straight ones, with one attestation, and none of the other operations of the format.

Format: python-opentimestamps 0.4, `core/timestamp.py`, `core/op.py`, `core/notary.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from anchor.receipt.bitcoin.encoding import Reader
from anchor.receipt.bitcoin.spv import SpvProof
from anchor.receipt.commitment import TAG, Step, preamble
from anchor.receipt.errors import Malformed

__all__ = ["MAX_OTS_BYTES", "Op", "Stamp", "bitcoin_ops", "commitment_ops", "follow", "log_ops", "write"]

_MAGIC = b"\x00OpenTimestamps\x00\x00Proof\x00\xbf\x89\xe2\xe8\x84\xe8\x92\x94\x01"
_SHA256, _APPEND, _PREPEND, _ATTESTATION = 0x08, 0xF0, 0xF1, 0x00
_BITCOIN = bytes.fromhex("0588960d73d71901")
_DIGEST_BYTES = 32
_MAX_OPERAND_BYTES = 4096
_MAX_OPS = 250
"""The stock library follows 256 operations at most."""
_MAX_HEIGHT_BYTES = 5
MAX_OTS_BYTES = 32_768


class Op(NamedTuple):
    """One operation: what is put before and after the message; with neither, the message is hashed."""

    before: bytes = b""
    after: bytes = b""

    def __call__(self, message: bytes) -> bytes:
        """The message that comes of it."""
        return self.before + message + self.after if self.before or self.after else sha256(message).digest()


HASH = Op()


def _node_ops(step: Step) -> list[Op]:
    """From a node to its parent in a tree of RFC 6962."""
    if step.is_left:
        return [Op(before=b"\x01" + step.sibling), HASH]
    return [Op(after=step.sibling), Op(before=b"\x01"), HASH]


def log_ops(index: int, size: int, siblings: Sequence[bytes]) -> list[Op]:
    """From the hash of leaf `index` to the root of a log of `size` leaves (RFC 9162, section 2.1.3.2)."""
    node, last, ops = index, size - 1, []
    for sibling in siblings:
        is_left = bool(node % 2 or node == last)
        ops += _node_ops(Step(is_left, sibling))
        while is_left and node and node % 2 == 0:
            node, last = node >> 1, last >> 1
        node, last = node >> 1, last >> 1
    return ops


def commitment_ops(origin: str, size: int, steps: Sequence[Step]) -> list[Op]:
    """From the root of a log to the payload of a transaction; `steps` as `anchor.receipt.commitment.join` gives them."""
    ops = [Op(before=preamble(origin, size)), HASH]
    for step in steps:
        ops += _node_ops(step)
    return [*ops, Op(before=TAG)]


def bitcoin_ops(proof: SpvProof, payload_: bytes) -> list[Op]:
    """From the payload to the Merkle root of the block; raises `Malformed` where the transaction does not hold the payload once."""
    before, found, after = proof.tx.partition(payload_)
    if not found or payload_ in after:
        raise Malformed("tx", "the payload is not in it, or twice")
    ops = [Op(before=before), Op(after=after), HASH, HASH]
    for level, sibling in enumerate(proof.branch):
        ops += [Op(before=sibling) if proof.index >> level & 1 else Op(after=sibling), HASH, HASH]
    return ops


def write(leaf_hash: bytes, ops: Sequence[Op], height: int) -> bytes:
    """The file that says: these operations lead from `leaf_hash` to the Merkle root of the Bitcoin block at `height`. Raises `Malformed`."""
    if len(ops) > _MAX_OPS:
        raise Malformed("ots", f"{_MAX_OPS} operations are followed at most, not {len(ops)}")
    parts = [_MAGIC, bytes((_SHA256,)), leaf_hash]
    for op in ops:
        for tag, operand in ((_PREPEND, op.before), (_APPEND, op.after)):
            if len(operand) > _MAX_OPERAND_BYTES:
                raise Malformed("ots", f"an operand has at most {_MAX_OPERAND_BYTES} bytes")
            if operand:
                parts += [bytes((tag,)), _varuint(len(operand)), operand]
        if op == HASH:
            parts.append(bytes((_SHA256,)))
    said = _varuint(height)
    parts += [bytes((_ATTESTATION,)), _BITCOIN, _varuint(len(said)), said]
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a file says: its operations lead from `leaf_hash` to `result`, which is the Merkle root of the block at `height`."""

    leaf_hash: bytes
    ops: tuple[Op, ...]
    result: bytes
    height: int


def follow(data: bytes) -> Stamp:
    """What a straight `.ots` file with one Bitcoin attestation says; raises `Malformed`."""
    if len(data) > MAX_OTS_BYTES:
        raise Malformed("ots", f"at most {MAX_OTS_BYTES} bytes are read, not {len(data)}")
    reader = Reader(data, "ots")
    if reader.take(len(_MAGIC)) != _MAGIC or reader.number(1) != _SHA256:
        raise Malformed("ots", "it does not begin as a proof of version 1 over SHA-256")
    leaf_hash = reader.take(_DIGEST_BYTES)
    ops: list[Op] = []
    message = leaf_hash
    while (tag := reader.number(1)) != _ATTESTATION:
        ops.append(_read_op(reader, tag))
        message = ops[-1](message)
        if len(ops) > _MAX_OPS or len(message) > _MAX_OPERAND_BYTES:
            raise Malformed("ots", "its path is longer than the format allows")
    if reader.take(len(_BITCOIN)) != _BITCOIN:
        raise Malformed("ots.attestation", "a block of Bitcoin is the only kind")
    length, before = _read_varuint(reader), reader.position
    height = _read_varuint(reader)
    if reader.position - before != length:
        raise Malformed("ots.attestation", f"it says {length} bytes and has {reader.position - before}")
    reader.finish()
    return Stamp(leaf_hash, tuple(ops), message, height)


def _read_op(reader: Reader, tag: int) -> Op:
    if tag == _SHA256:
        return HASH
    if tag not in (_APPEND, _PREPEND):
        raise Malformed("ots", f"operation {tag:#04x} is none of append, prepend and SHA-256")
    length = _read_varuint(reader)
    if not 0 < length <= _MAX_OPERAND_BYTES:
        raise Malformed("ots", f"an operand has 1 to {_MAX_OPERAND_BYTES} bytes, not {length}")
    operand = reader.take(length)
    return Op(after=operand) if tag == _APPEND else Op(before=operand)


def _varuint(number: int) -> bytes:
    """LEB128, as OpenTimestamps writes numbers."""
    written = bytearray()
    while number > 0x7F:  # noqa: PLR2004 -- seven bits a byte
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def _read_varuint(reader: Reader) -> int:
    number = 0
    for place in range(_MAX_HEIGHT_BYTES):
        byte = reader.number(1)
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:  # noqa: PLR2004 -- the last byte has no mark
            if place and not byte:
                raise Malformed("ots", "a number must be in its shortest spelling")
            return number
    raise Malformed("ots", f"a number has at most {_MAX_HEIGHT_BYTES} bytes")
