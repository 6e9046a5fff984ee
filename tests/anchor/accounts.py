"""Receipts of accounts made for tests: every part is real (trees, keys, a mined block), only small."""

from hashlib import sha256

from anchor.ledger.receipts import make_account_receipt
from anchor.notes import key_of, sign_state
from anchor.receipt.account import AccountReceipt
from anchor.receipt.commitment import Step
from bus.messages import Credit
from bus.reader import Entry
from bus.signing import VERDICTS, Identity
from bus.wire import encode
from ledger.book import Ledger, Sealed
from ledger.orders import sign
from tests.anchor import receipts

ORIGIN = receipts.ORIGIN
LOG = receipts.LOG
KEY = key_of(LOG, ORIGIN)
OPERATOR = Identity.from_seed(bytes([5]) * 32)
NOVEMBER_MS = 1_794_000_000_000
BATCH = (Step(is_left=True, sibling=sha256(b"the log's own commitment").digest()),)


def ledger(*tasks: str, deposit: int = 1000) -> Ledger:
    """A client `me` that paid in, and tasks that `node-1` and `node-2` agreed on, for 100 msat each."""
    book = Ledger()
    order = Credit(cluster="home", id="d1", account="client/me", amount=deposit)
    book.fold_anchors(Entry(1, 0, "a", encode(sign(order, OPERATOR))))
    for at, task in enumerate(tasks, 1):
        verdict = receipts.verdict(
            task, source=(at, 0), reward=100, energy_j=2.5, energy_method="measured:rapl"
        )
        body = receipts.VERIFIER.seal(VERDICTS, [encode(verdict)])
        book.fold_verdicts(Entry(at, NOVEMBER_MS, "v", body))
    return book


def sealed(*tasks: str) -> Sealed:
    return ledger(*tasks).seal()


def made(
    name: str = "node/node-1",
    tree: str = "accounts",
    *,
    final: bool = True,
    state: Sealed | None = None,
    by: Identity = LOG,
) -> AccountReceipt:
    """The receipt of a name, in a state after two tasks; published beside the log's own state."""
    of = state or sealed("me.t1", "me.t2")
    published = receipts.confirmed(of.commitment, batch=BATCH) if final else None
    note = sign_state(by, ORIGIN, of.line)
    return make_account_receipt(of, tree, name, key=key_of(by, ORIGIN), note=note, published=published)
