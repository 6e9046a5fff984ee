"""Bitcoin's transactions and headers, as far as a receipt needs them: ids, outputs, the height in a coinbase, proof of work. Pure.

Sources: Bitcoin's serialization as BIP 144 describes it (without witnesses, over which ids are not taken), BIP 34 for the height.
"""

from hashlib import sha256
from typing import NamedTuple

from anchor.receipt.errors import Malformed

__all__ = ["HEADER_BYTES", "Header", "Transaction", "double_sha256", "read_header", "read_transaction"]

HEADER_BYTES = 80
_MOST_TRANSACTION_BYTES = 400_000
"""Nodes relay no larger one (100,000 bytes without witnesses, four times that in weight)."""
_DANGEROUS_BYTES = 64
"""A transaction of this size could be read as two hashes, a node of the tree above it (CVE-2017-12842)."""
_NULL_OUTPOINT = bytes(32) + b"\xff\xff\xff\xff"
_OP_1, _OP_16 = 0x51, 0x60


def double_sha256(data: bytes) -> bytes:
    """SHA-256 of SHA-256: ids of transactions and blocks, and the nodes of a block's tree."""
    return sha256(sha256(data).digest()).digest()


class Transaction(NamedTuple):
    """A transaction without witnesses: its id (as hashed, not reversed as people write it), inputs and output scripts."""

    txid: bytes
    inputs: tuple[tuple[bytes, bytes], ...]
    scripts: tuple[bytes, ...]

    def height(self, field: str) -> int:
        """The block height that a coinbase says it is for (BIP 34). Raises `Malformed` where this is no coinbase."""
        if len(self.inputs) != 1 or self.inputs[0][0] != _NULL_OUTPOINT:
            raise Malformed(field, "must be a coinbase: one input, that spends nothing")
        script = self.inputs[0][1]
        if script and _OP_1 <= script[0] <= _OP_16:
            return script[0] - _OP_1 + 1
        size = script[0] if script else 0
        if not 1 <= size <= 5 or len(script) <= size:  # noqa: PLR2004 -- a script number has at most five bytes
            raise Malformed(field, "must begin with the height of its block (BIP 34)")
        return int.from_bytes(script[1 : 1 + size], "little")


class _Reader:
    def __init__(self, field: str, data: bytes) -> None:
        self.field = field
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        if size > len(self.data) - self.at:
            raise Malformed(self.field, "ends in the middle of a transaction")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self) -> int:
        """A CompactSize in its shortest form, which is the only one allowed."""
        first = self.take(1)[0]
        if first < 0xFD:  # noqa: PLR2004 -- CompactSize
            return first
        width = {0xFD: 2, 0xFE: 4, 0xFF: 8}[first]
        number = int.from_bytes(self.take(width), "little")
        if number < (0xFD if width == 2 else 1 << 4 * width):  # noqa: PLR2004 -- CompactSize
            raise Malformed(self.field, "must give each length in its shortest form")
        return number


def read_transaction(field: str, data: bytes) -> Transaction:
    """A transaction in the form without witnesses. Raises `Malformed`."""
    if len(data) == _DANGEROUS_BYTES or len(data) > _MOST_TRANSACTION_BYTES:
        raise Malformed(field, f"has at most {_MOST_TRANSACTION_BYTES} bytes, and never {_DANGEROUS_BYTES}")
    reader = _Reader(field, data)
    reader.take(4)
    inputs: list[tuple[bytes, bytes]] = []
    for _ in range(reader.number()):
        outpoint = reader.take(36)
        inputs.append((outpoint, reader.take(reader.number())))
        reader.take(4)
    scripts: list[bytes] = []
    for _ in range(reader.number()):
        reader.take(8)
        scripts.append(reader.take(reader.number()))
    reader.take(4)
    if reader.at != len(data) or not inputs or not scripts:
        raise Malformed(field, "must be one transaction without witnesses, and nothing behind it")
    return Transaction(double_sha256(data), tuple(inputs), tuple(scripts))


class Header(NamedTuple):
    """A block's header: its id (as hashed), its predecessor's, the root over its transactions, its time, and what its id must not exceed."""

    block: bytes
    previous: bytes
    root: bytes
    time_s: int
    target: int

    @property
    def has_work(self) -> bool:
        """Whether the id is as small as the header itself demands."""
        return 0 < self.target < 1 << 256 and int.from_bytes(self.block, "little") <= self.target

    @property
    def work(self) -> int:
        """How many hashes it takes to find such a header, on average: 2^256 / (target + 1), as Bitcoin counts chains."""
        return (1 << 256) // (self.target + 1)


def read_header(field: str, data: bytes) -> Header:
    """A header of 80 bytes. Raises `Malformed`."""
    if len(data) != HEADER_BYTES:
        raise Malformed(field, f"must have {HEADER_BYTES} bytes, these are {len(data)}")
    return Header(
        block=double_sha256(data),
        previous=data[4:36],
        root=data[36:68],
        time_s=int.from_bytes(data[68:72], "little"),
        target=_target(data[72:76]),
    )


def _target(bits: bytes) -> int:
    """Bitcoin's compact form: a mantissa of 23 bits and a sign, and how many bytes the number has. 0 for what cannot be one."""
    compact = int.from_bytes(bits, "little")
    size, mantissa = compact >> 24, compact & 0x7FFFFF
    if compact & 0x800000:
        return 0
    return mantissa << 8 * (size - 3) if size > 3 else mantissa >> 8 * (3 - size)  # noqa: PLR2004 -- the mantissa's bytes
