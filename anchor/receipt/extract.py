"""What other tools read of a receipt: the C2SP tlog-proof, and an OpenTimestamps proof with the bytes that it stamps.

Guarantees that both say the same as the receipt: they are made of it, not kept in it a second time.
"""

from anchor.receipt.bitcoin import ots
from anchor.receipt.bitcoin.spv import check
from anchor.receipt.commitment import commitment as commitment_of
from anchor.receipt.commitment import payload, walk
from anchor.receipt.container import Receipt
from anchor.receipt.merkle import leaf_hash
from anchor.receipt.proof import write_proof

__all__ = ["extracted"]


def extracted(receipt: Receipt) -> dict[str, bytes]:
    """Files by name. `verdict.json` is the verdict; `leaf` is what `leaf.ots` stamps: 0x00, then the log's leaf, whose hash is SHA-256 of that.

    The receipt must have been checked. There is no `leaf.ots` where no block is shown.
    """
    leaf = b"\x00" + receipt.verdict.leaf
    files = {
        "verdict.json": receipt.verdict.member,
        "leaf": leaf,
        "verdict.tlog-proof": write_proof(receipt.proof),
    }
    published = receipt.bitcoin
    if published is not None:
        state = receipt.proof.checkpoint
        committed = walk(commitment_of(state.origin, state.size, state.root), published.batch)
        ops = [
            *ots.log_ops(receipt.proof.leaf, state.size, receipt.proof.path),
            *ots.commitment_ops(state.origin, state.size, published.batch),
            *ots.bitcoin_ops(published.proof, payload(committed)),
        ]
        height = check(published.proof, published.network).height
        files["leaf.ots"] = ots.write(leaf_hash(receipt.verdict.leaf), ops, height)
    return files
