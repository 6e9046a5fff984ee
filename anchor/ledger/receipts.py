"""Receipts of accounts: what a sealed state of the ledger holds under a name, under the log's signature, and published where it is.

Guarantees that a receipt that is handed out passes the check that a stranger makes of it: it is checked here, too.
"""

from anchor.errors import LogDamaged
from anchor.receipt.account import AccountReceipt
from anchor.receipt.account_check import check_account_receipt
from anchor.receipt.commitment import Step
from anchor.receipt.demands import Demands
from anchor.receipt.errors import ReceiptError
from anchor.receipt.note import Key, Note
from anchor.receipt.published import Published
from ledger.book import Sealed
from ledger.proof import key_of

__all__ = ["make_account_receipt"]


def make_account_receipt(
    sealed: Sealed, tree: str, name: str, *, key: Key, note: Note, published: Published | None
) -> AccountReceipt:
    """Of `name` in the tree `tree` (`accounts` or `energy`) of a state; `note` is the log's signature on its line, by `key`.

    Raises `LogDamaged` where what there is does not hold together.
    """
    siblings, leaf, neighbour = (sealed.accounts if tree == "accounts" else sealed.energy).path(name)
    way = key_of(name)
    steps = [
        Step(is_left=bool(way[depth >> 3] >> (7 - (depth & 7)) & 1), sibling=sibling)
        for depth, sibling in enumerate(siblings)
    ]
    receipt = AccountReceipt(
        tree,
        name,
        leaf,
        None if neighbour is None else neighbour.key + neighbour.text_digest,
        tuple(reversed(steps)),
        key,
        note,
        published,
    )
    try:
        check_account_receipt(receipt, Demands())
    except ReceiptError as error:
        raise LogDamaged(
            f"the receipt of {name} does not hold: {error}; start this anchor again, and restore its folder if that does not help"
        ) from None
    return receipt
