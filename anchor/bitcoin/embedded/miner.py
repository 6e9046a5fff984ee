"""Making blocks of the regression test network: the coinbase, the commitment to witnesses (BIP 141), and two hashes of work.

Pure, but for the search of a nonce, which takes two tries on average.
"""

from collections.abc import Sequence
from dataclasses import replace

from anchor.bitcoin.block import Block
from anchor.bitcoin.publications import Tip
from anchor.receipt.bitcoin import blocktree
from anchor.receipt.bitcoin.encoding import double_sha256
from anchor.receipt.bitcoin.header import EASIEST_BITS, Header, target_of
from anchor.receipt.bitcoin.transaction import COIN, Outpoint, Transaction, TxIn, TxOut

__all__ = ["HALVING", "assemble", "subsidy"]

HALVING = 150
"""Blocks between two halvings on the regression test network."""
_BITS = EASIEST_BITS["regtest"]
_VERSION = 0x2000_0000
_OP_RETURN_COMMITMENT = b"\x6a\x24\xaa\x21\xa9\xed"
_RESERVED = bytes(32)
_SMALL = 16
_OP_1 = 0x51


def subsidy(height: int) -> int:
    """What a block may make, in satoshis."""
    return 50 * COIN >> height // HALVING if height // HALVING < 64 else 0  # noqa: PLR2004


def assemble(
    before: Tip,
    transactions: Sequence[Transaction],
    *,
    time_s: int,
    script: bytes,
    fees_sat: int,
    mark: bytes,
) -> Block:
    """The block after `before` with these transactions, mined; it pays subsidy and fees to `script`.

    `mark` (at most 20 bytes) tells blocks apart that would else be the same.
    """
    height = before.height + 1
    commitment = _witness_commitment(transactions)
    coinbase = Transaction(
        (TxIn(Outpoint(bytes(32), 0xFFFF_FFFF), _height(height) + _push(mark), witness=(_RESERVED,)),),
        (TxOut(subsidy(height) + fees_sat, script), TxOut(0, _OP_RETURN_COMMITMENT + commitment)),
    )
    everything = (coinbase, *transactions)
    txids = tuple(tx.txid for tx in everything)
    header = Header(_VERSION, before.block, blocktree.root(txids), time_s, _BITS, 0)
    return Block(_worked(header), everything, txids)


def _worked(header: Header) -> Header:
    while int.from_bytes(header.hash, "little") > target_of(_BITS):
        header = replace(header, nonce=header.nonce + 1)
    return header


def _witness_commitment(transactions: Sequence[Transaction]) -> bytes:
    return double_sha256(blocktree.root([bytes(32), *(tx.wtxid for tx in transactions)]) + _RESERVED)


def _height(height: int) -> bytes:
    """The height as a script pushes a number (BIP 34)."""
    if height <= _SMALL:
        return bytes((_OP_1 + height - 1,))
    return _push(height.to_bytes(height.bit_length() // 8 + 1, "little"))


def _push(data: bytes) -> bytes:
    return bytes((len(data),)) + data
