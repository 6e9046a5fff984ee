"""Receipts out of the anchor's folder: a verdict with the steps to what its verifier signed, its path in the log, and the signed checkpoint.

Guarantees that a receipt that is handed out passes the check that a stranger makes of it: it is checked here, too.
"""

from collections.abc import Sequence

from anchor.errors import LogDamaged
from anchor.folder import Folder, leaf_of
from anchor.receipt.check import Demands, check_receipt
from anchor.receipt.commitment import join
from anchor.receipt.container import Receipt
from anchor.receipt.errors import ReceiptError
from anchor.receipt.merkle import leaf_hash
from anchor.receipt.note import Key, Note, read_checkpoint
from anchor.receipt.proof import LogProof
from anchor.receipt.published import Published
from anchor.receipt.statement import Statement
from bus.wire import split_lines

__all__ = ["make_receipt", "statement_of"]


def statement_of(body: bytes, line: int) -> Statement:
    """One member of a signed message, with the steps from it to what was signed."""
    envelope, *members = split_lines(body)
    _, steps = join([leaf_hash(member) for member in members])
    return Statement(envelope, members[line], steps[line])


def make_receipt(
    folder: Folder, leaf: int, note: Note, keys: Sequence[Key], published: Published | None = None
) -> Receipt:
    """The receipt of a leaf under a signed note that covers it; `keys` are those that signed, the log's own first.

    Raises `LogDamaged` where the folder has not what it takes, or what it has does not hold.
    """
    message, line = folder.message(leaf)
    checkpoint = read_checkpoint(note.text)
    path = folder.inclusion(leaf_of(message.body, line), leaf, checkpoint)
    receipt = Receipt(
        verdict=statement_of(message.body, line),
        keys=tuple(keys),
        proof=LogProof(leaf, tuple(path), note),
        bitcoin=published,
    )
    try:
        check_receipt(receipt, Demands())
    except ReceiptError as error:
        # The verdict itself may contradict itself, as a verifier signed it; else something here is damaged.
        raise LogDamaged(
            f"the receipt of leaf {leaf} does not hold: {error}; if it is not the verdict's fault, restore the anchor's folder from a backup"
        ) from None
    return receipt
