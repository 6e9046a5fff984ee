"""A receipt's way to Bitcoin as an OpenTimestamps proof, for those who have the stock tools of that and nothing of ours.

Guarantees that the file says what the receipt shows, no more: it is made of the receipt alone, which must be published. What is stamped is the file
`leaf`: a byte 0x00 and the verdict as its verifier signed it, whose SHA-256 is the hash of the leaf in the log (RFC 6962).
"""

from typing import NamedTuple

from anchor.receipt.bitcoin.ots import bitcoin_ops, commitment_ops, log_ops, write
from anchor.receipt.commitment import commitment, payload, walk
from anchor.receipt.container import Receipt
from anchor.receipt.errors import LinkBroken
from anchor.receipt.merkle import leaf_hash
from anchor.receipt.note import read_checkpoint
from anchor.receipt.published import check_published

__all__ = ["Stamped", "stamp"]


class Stamped(NamedTuple):
    """The file that is stamped, and the proof, for `ots verify -f LEAF PROOF`."""

    leaf: bytes
    ots: bytes


def stamp(receipt: Receipt) -> Stamped:
    """Both files. Raises `LinkBroken` where the receipt shows no block, or what it shows does not hold."""
    if receipt.bitcoin is None:
        raise LinkBroken("confirmations", "no Bitcoin block is shown: get the receipt again later")
    state, proof = read_checkpoint(receipt.proof.note.text), receipt.proof
    committed = commitment(state.origin, state.size, state.root)
    confirmed = check_published(receipt.bitcoin, committed)
    ops = [
        *log_ops(proof.leaf, state.size, proof.path),
        *commitment_ops(state.origin, state.size, receipt.bitcoin.batch),
        *bitcoin_ops(receipt.bitcoin.proof, payload(walk(committed, receipt.bitcoin.batch))),
    ]
    leaf = receipt.verdict.leaf
    return Stamped(b"\x00" + leaf, write(leaf_hash(leaf), ops, confirmed.height))
