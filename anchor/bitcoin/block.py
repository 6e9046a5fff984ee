"""Whole blocks, as a node or our own miner makes them.

Guarantees of `parse_block` that the transactions are those that the header commits to, and that no other list of them is (CVE-2012-2459): what a node
hands out under a block's hash is that block, or an error.
"""

from dataclasses import dataclass

from anchor.receipt.bitcoin import blocktree
from anchor.receipt.bitcoin.encoding import Reader, compact
from anchor.receipt.bitcoin.header import Header
from anchor.receipt.bitcoin.transaction import MAX_TX_BYTES, Transaction, read_transaction
from anchor.receipt.errors import Malformed

__all__ = ["Block", "parse_block"]


@dataclass(frozen=True, slots=True)
class Block:
    """A header and the transactions that it commits to, the coinbase first; `txids` are theirs, in the same order."""

    header: Header
    transactions: tuple[Transaction, ...]
    txids: tuple[bytes, ...]

    def encode(self) -> bytes:
        """As nodes pass it on."""
        return (
            self.header.encode()
            + compact(len(self.transactions))
            + b"".join(tx.encode() for tx in self.transactions)
        )


def parse_block(data: bytes) -> Block:
    """The block that `data` is, its tree checked; raises `Malformed`."""
    reader = Reader(data, "block")
    header = Header.read(reader)
    count = reader.compact(MAX_TX_BYTES, "transactions")
    transactions = tuple(read_transaction(reader) for _ in range(count))
    reader.finish()
    if not transactions or not transactions[0].is_coinbase:
        raise Malformed("block.transactions", "the first one must be a coinbase")
    txids = tuple(tx.txid for tx in transactions)
    if blocktree.root(txids) != header.merkle_root or blocktree.is_ambiguous(txids):
        raise Malformed("block.transactions", "they are not those that the header commits to")
    return Block(header, transactions, txids)
