"""Bitcoin transactions: reading, writing, ids and weights (BIP 141, BIP 144).

Guarantees that what was parsed is written again as the same bytes, and that a parse costs memory in proportion to the bytes given.
Left to the node: whether a transaction is valid.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from anchor.receipt.bitcoin.encoding import Reader, compact, double_sha256
from anchor.receipt.errors import Malformed

__all__ = [
    "COIN",
    "MAX_TX_BYTES",
    "Outpoint",
    "Transaction",
    "TxIn",
    "TxOut",
    "parse_transaction",
    "read_transaction",
]

COIN = 100_000_000
"""Satoshis in a bitcoin."""
MAX_TX_BYTES = 4_000_000
"""A block weighs at most this (BIP 141), so no transaction is longer and no part of one counts more."""
_MARKER_AND_FLAG = b"\x00\x01"
_WITNESS_SCALE = 4


class Outpoint(NamedTuple):
    """One output of one transaction."""

    txid: bytes
    vout: int

    def encode(self) -> bytes:
        """36 bytes, as in an input."""
        return self.txid + self.vout.to_bytes(4, "little")

    def __str__(self) -> str:
        """As nodes write it: `txid:vout`."""
        return f"{self.txid[::-1].hex()}:{self.vout}"


_NOTHING = Outpoint(bytes(32), 0xFFFF_FFFF)


@dataclass(frozen=True, slots=True)
class TxIn:
    """One input. The witness is a stack of byte strings, empty where there is none."""

    spends: Outpoint
    script: bytes = b""
    sequence: int = 0xFFFF_FFFF
    witness: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class TxOut:
    """One output; `value` in satoshis."""

    value: int
    script: bytes

    def encode(self) -> bytes:
        """As in a transaction."""
        return self.value.to_bytes(8, "little") + compact(len(self.script)) + self.script


@dataclass(frozen=True, slots=True)
class Transaction:
    """A whole transaction."""

    inputs: tuple[TxIn, ...]
    outputs: tuple[TxOut, ...]
    version: int = 2
    lock_time: int = 0

    def stripped(self) -> bytes:
        """Without witnesses: what the txid is the hash of."""
        return self._encode(witness=False)

    def encode(self) -> bytes:
        """With witnesses, where there are any: as nodes pass it on."""
        return self._encode(witness=any(entry.witness for entry in self.inputs))

    def _encode(self, *, witness: bool) -> bytes:
        parts = [
            self.version.to_bytes(4, "little"),
            _MARKER_AND_FLAG if witness else b"",
            compact(len(self.inputs)),
        ]
        for entry in self.inputs:
            parts += [entry.spends.encode(), compact(len(entry.script)), entry.script]
            parts.append(entry.sequence.to_bytes(4, "little"))
        parts.append(compact(len(self.outputs)))
        parts += [out.encode() for out in self.outputs]
        if witness:
            for entry in self.inputs:
                parts.append(compact(len(entry.witness)))
                parts += [compact(len(item)) + item for item in entry.witness]
        parts.append(self.lock_time.to_bytes(4, "little"))
        return b"".join(parts)

    @property
    def txid(self) -> bytes:
        """32 bytes, in hashing order."""
        return double_sha256(self.stripped())

    @property
    def wtxid(self) -> bytes:
        """The hash over witnesses as well (BIP 141)."""
        return double_sha256(self.encode())

    @property
    def weight(self) -> int:
        """Weight units (BIP 141)."""
        return (_WITNESS_SCALE - 1) * len(self.stripped()) + len(self.encode())

    @property
    def vsize(self) -> int:
        """Virtual bytes: a quarter of the weight, rounded up."""
        return -(-self.weight // _WITNESS_SCALE)

    @property
    def is_coinbase(self) -> bool:
        """Whether this is what a miner pays itself: one input that spends nothing."""
        return len(self.inputs) == 1 and self.inputs[0].spends == _NOTHING


def parse_transaction(data: bytes, what: str = "tx") -> Transaction:
    """The transaction that `data` is, all of it; raises `Malformed`."""
    reader = Reader(data, what)
    parsed = read_transaction(reader)
    reader.finish()
    return parsed


def read_transaction(reader: Reader) -> Transaction:
    """The next transaction of a block or of another message; raises `Malformed`."""
    version = reader.number(4)
    count = reader.compact(MAX_TX_BYTES, "inputs")
    # BIP 144: no input, and then a flag, mark a transaction with witnesses.
    has_witness = count == 0
    if has_witness:
        if reader.number(1) != 1:
            raise Malformed(f"{reader.what}.flag", "1 must follow the marker of a transaction with witnesses")
        count = reader.compact(MAX_TX_BYTES, "inputs")
    # The lists grow as they are read: a number that was only claimed costs nothing.
    inputs = [_read_input(reader) for _ in range(count)]
    outputs = [_read_output(reader) for _ in range(reader.compact(MAX_TX_BYTES, "outputs"))]
    if has_witness:
        inputs = [replace(entry, witness=_read_witness(reader)) for entry in inputs]
        if not any(entry.witness for entry in inputs):
            raise Malformed(f"{reader.what}.witness", "where it is announced, one input at least has one")
    return Transaction(tuple(inputs), tuple(outputs), version, reader.number(4))


def _read_input(reader: Reader) -> TxIn:
    spends = Outpoint(reader.take(32), reader.number(4))
    return TxIn(spends, reader.string(MAX_TX_BYTES, "script"), reader.number(4))


def _read_output(reader: Reader) -> TxOut:
    return TxOut(reader.number(8), reader.string(MAX_TX_BYTES, "script"))


def _read_witness(reader: Reader) -> tuple[bytes, ...]:
    count = reader.compact(MAX_TX_BYTES, "witness")
    return tuple(reader.string(MAX_TX_BYTES, "witness") for _ in range(count))
