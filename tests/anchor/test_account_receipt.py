"""An account's receipt is accepted where every link holds; whichever is broken is named, and no bit can be changed unnoticed."""

import random
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anchor.receipt.account import AccountReceipt, read_account_receipt, write_account_receipt
from anchor.receipt.account_check import check_account
from anchor.receipt.check import check
from anchor.receipt.commitment import Step
from anchor.receipt.container import read_receipt, write_receipt
from anchor.receipt.demands import Demands
from anchor.receipt.errors import LinkBroken, Malformed, ReceiptError
from anchor.receipt.kinds import check_any
from anchor.receipt.note import Note
from ledger.accounts import Accounts
from ledger.book import Sealed
from ledger.tree import Tree
from tests.anchor import accounts, receipts
from tests.anchor.accounts import made
from tests.anchor.test_receipt import content, flip, packed


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize(
    ("name", "tree", "said"),
    [
        ("node/node-1", "accounts", "node/node-1 holds 100 msat: it received 100 and gave 0."),
        ("client/me", "accounts", "client/me holds 800 msat: it received 1,000 and gave 200."),
        ("node/nobody", "accounts", "node/nobody is not in the ledger"),
        ("node/node-2 2026-11", "energy", "took 1.666666 J measured:rapl: 2 results, 2,468 fuel."),
        ("node/node-2 2026-12", "energy", "Nothing was counted for node/node-2 2026-12."),
    ],
)
def test_a_receipt_is_read_back_and_holds(name: str, tree: str, said: str, *, final: bool) -> None:
    """Of accounts and of months, of what is there and of what is not, with and without a block."""
    receipt = made(name, tree, final=final)
    data = write_account_receipt(receipt)
    report = check_account(data)

    assert read_account_receipt(data) == receipt
    assert said in report.proven[0]
    assert (report.name, report.tree, report.key) == (name, tree, accounts.KEY)
    assert (report.confirmed is not None) == final
    assert any("no Bitcoin block is shown" in each for each in report.unproven) != final
    assert check_any(data) == report
    assert len(data) <= 2048


def test_what_was_proven_is_said_in_words() -> None:
    """Who signed, up to where, what all accounts come to, and since when."""
    said = " ".join(check_account(write_account_receipt(made())).proven)

    assert f"state 1 of the ledger, which the log's key {accounts.KEY} signed" in said
    assert "with the verdicts up to 2 of VERDICTS and the orders up to 1 of ANCHORS" in said
    assert "all accounts together hold 1,000 msat: 1,000 credited, 0 burned" in said
    assert "The ledger's state is committed to by transaction" in said
    assert "it existed at 2023-11-14 22:13:20 UTC at the latest" in said


@pytest.mark.parametrize("name", ["node/node-1", "node/nobody"])
def test_every_bit_of_a_receipt_counts(name: str) -> None:
    """Whichever single bit of the file is changed, the file is refused."""
    data = write_account_receipt(made(name))

    assert [bit for bit in range(8 * len(data)) if not refused(flip(data, bit))] == []


@pytest.mark.parametrize(("name", "final"), [("node/node-1", True), ("node/nobody", False)])
def test_every_bit_counts_also_where_the_check_sum_was_made_to_fit(name: str, *, final: bool) -> None:
    """A forger writes the check sum anew: then the signature, hashes and work refuse each bit of what the file says.

    On the test chain every second header has the work that it asks for, so the last headers are left out here.
    """
    whole = content(write_account_receipt(made(name, final=final)))
    end = whole.index(b"\nheader\n") if final else len(whole)
    bits = range(8 * end)
    chosen = random.Random(5).sample(bits, 800) if final else bits  # noqa: S311 -- the same ones each time
    # Of what is not there another name may show the same, truly: whoever asks says of what.
    demands = Demands(account=name)

    assert [bit for bit in chosen if not refused(packed(flip(whole, bit)), demands)] == []


def refused(data: bytes, demands: Demands | None = None) -> bool:
    try:
        check_account(data, demands)
    except ReceiptError:
        return True
    return False


type Change = Callable[[AccountReceipt], AccountReceipt]


def other(**changes: Any) -> Change:
    """Parts as they are in the receipt that `made` makes of these."""

    def change(receipt: AccountReceipt) -> AccountReceipt:
        another = made(**changes)
        return receipt._replace(leaf=another.leaf, neighbour=another.neighbour, steps=another.steps)

    return change


def signed(line: bytes) -> Change:
    """Another state, under a signature that holds."""
    note = accounts.sign_state(accounts.LOG, accounts.ORIGIN, line)
    return lambda receipt: receipt._replace(state=note)


LATER = accounts.sealed("me.t1", "me.t2", "me.t3")
STATE = accounts.sealed("me.t1", "me.t2")
BROKEN: list[tuple[str, str, Change]] = [
    ("another account's leaf and path", "path", other(name="node/node-2")),
    ("another account's leaf", "leaf", lambda r: r._replace(leaf=made("node/node-2").leaf)),
    ("a leaf with another sum", "root", lambda r: r._replace(leaf=(r.leaf or b"").replace(b'"received":100', b'"received":900'))),
    ("a month's leaf", "leaf", lambda r: r._replace(leaf=made("node/node-1 2026-11", "energy").leaf, tree="energy")),
    ("the path of another account", "path", lambda r: r._replace(steps=made("node/node-2").steps)),
    ("a path that was cut", "root", lambda r: r._replace(steps=())),
    ("the other tree", "leaf", lambda r: r._replace(tree="energy", leaf=b'{"account":"node/node-1","month":"2026-11","results":1,"fuel":1,"energy_uj":{}}')),
    ("nothing where there is something", "root", lambda r: r._replace(leaf=None)),
    ("a neighbour from elsewhere", "neighbour", lambda r: r._replace(leaf=None, neighbour=sha256(b"x").digest() * 2)),
    ("itself as the neighbour", "neighbour", lambda r: r._replace(leaf=None, neighbour=sha256(r.name.encode()).digest() * 2)),
    ("a later state", "root", signed(LATER.line)),
    ("a state that nobody published", "commitment in the transaction", signed(STATE.line.replace(b'"burned":0', b'"burned":1'))),
    ("another log's key", "state", lambda r: r._replace(key=receipts.WITNESS_KEY._replace(kind=1))),
    ("a cosigner's key", "log's key", lambda r: r._replace(key=receipts.WITNESS_KEY)),
    ("a signature of another state", "signature of home.example/verdicts", lambda r: r._replace(state=Note(r.state.text, accounts.sign_state(accounts.LOG, accounts.ORIGIN, LATER.line).signatures))),
    ("a second signature", "state", lambda r: r._replace(state=Note(r.state.text, (*r.state.signatures, receipts.made().proof.note.signatures[1])))),
    ("another batch", "commitment in the transaction", lambda r: r._replace(bitcoin=r.bitcoin and r.bitcoin._replace(batch=()))),
    ("a block of another state", "commitment in the transaction", lambda r: r._replace(bitcoin=receipts.confirmed(LATER.commitment, batch=accounts.BATCH))),
    ("too few confirmations", "headers", lambda r: r._replace(bitcoin=receipts.confirmed(STATE.commitment, batch=accounts.BATCH, successors=5))),
]  # fmt: skip


@pytest.mark.parametrize(("link", "change"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_the_broken_link_is_named(link: str, change: Change) -> None:
    """Whichever part is exchanged for one that is well-formed, the error says which link it broke."""
    with pytest.raises(LinkBroken) as broken:
        check_account(write_account_receipt(change(made())))

    assert broken.value.link == link


@pytest.mark.parametrize(
    ("link", "demands"),
    [
        ("task", Demands(task="me.t1")),
        ("account", Demands(account="node/node-2")),
        ("verdict's signer", Demands(verifiers={receipts.LOG.key})),
        ("witnesses", Demands(witnesses={receipts.WITNESS_KEY}, quorum=1)),
        ("evidence", Demands(evidence=True)),
        ("log's key", Demands(logs={receipts.WITNESS_KEY})),
        ("headers", Demands(headers={bytes(32)})),
        ("network", Demands(network="main")),
        ("work", Demands(work=2**70)),
    ],
)
def test_what_the_reader_demands_must_hold_too(link: str, demands: Demands) -> None:
    """Also what the receipt of an account cannot show."""
    with pytest.raises(LinkBroken) as broken:
        check_account(write_account_receipt(made()), demands)

    assert broken.value.link == link


def test_demands_that_are_met_are_no_open_questions() -> None:
    """What is left unsaid is what no receipt of an account says."""
    receipt = made()
    assert receipt.bitcoin is not None
    demands = Demands(
        account="node/node-1",
        logs={accounts.KEY},
        headers={header.hash for header in receipt.bitcoin.proof.headers},
        network="regtest",
        work=14,
        final=True,
    )

    assert check_account(write_account_receipt(receipt), demands).unproven == [
        "That the sums are right: who reads both logs can add them up (docs/ledger.md).",
        "What was paid and counted after that state.",
    ]
    with pytest.raises(LinkBroken, match="no Bitcoin block is shown"):
        check_account(write_account_receipt(made(final=False)), Demands(final=True))


def test_the_two_kinds_of_receipt_are_never_taken_for_each_other() -> None:
    """Neither reader accepts the other's file, and a demand for one kind refuses the other."""
    account, verdict = write_account_receipt(made()), write_receipt(receipts.made())
    for read, data in ((read_receipt, account), (check, account), (check_account, verdict)):
        with pytest.raises(Malformed, match="must have the sections"):
            read(data)
    with pytest.raises(LinkBroken, match="account: the receipt is of a task"):
        check_any(verdict, Demands(account="node/node-1"))


@pytest.mark.parametrize(
    ("field", "old", "new"),
    [
        ("account", b"accounts\n", b"burns\n"),
        ("account", b"leaf {", b"loaf {"),
        ("state", b"ambient ledger state 1", b"ambient ledger state 2"),
        ("state.kind", b'"kind":"ledger"', b'"kind":"signed"'),
        ("state.epoch", b'"epoch":1', b'"epoch":-1'),
        ("state.credited", b'"credited":1000', b'"credited":1e3'),
        ("leaf.received", b'"received":100,', b'"received":true,'),
    ],
)
def test_what_cannot_be_read_names_its_field(field: str, old: bytes, new: bytes) -> None:
    """Before any link is looked at."""
    whole = content(write_account_receipt(made(final=False)))
    assert old in whole
    changed = whole.replace(old, new, 1)
    parts = dict.fromkeys(("account", "keys", "state"), b"")
    for name in parts:
        head = b"\n" + name.encode() + b" "
        at = (b"\n" + whole).index(head)
        size = int(whole[at + len(head) - 1 : whole.index(b"\n", at)])
        grown = size + (len(new) - len(old)) * (old in whole[at : at + size + 20])
        changed = changed.replace(b"%s %d\n" % (name.encode(), size), b"%s %d\n" % (name.encode(), grown), 1)

    with pytest.raises(Malformed) as malformed:
        check_account(packed(changed))
    assert malformed.value.field == field


NAMES = st.sampled_from([f"node/n{at}" for at in range(40)])


@settings(max_examples=60)
@given(st.dictionaries(NAMES, st.integers(1, 10**30), max_size=30), NAMES, NAMES)
def test_of_one_state_one_thing_can_be_shown_of_a_name(held: dict[str, int], name: str, lie: str) -> None:
    """What the tree holds, or that it holds nothing; under another name the same proof is refused."""
    book = Accounts()
    for each, amount in held.items():
        book.receive(each, amount)
    tree = Tree().updated({each: book.text(each) for each in held})
    before = STATE.state
    state = type(before)(
        **{field: getattr(before, field) for field in before.__struct_fields__}
        | {"accounts": len(tree), "accounts_root": tree.root.hex()}
    )
    line = accounts.encode(state)
    receipt = made(name, state=Sealed(line, state, tree, Tree()), final=False)
    leaf = check_account(write_account_receipt(receipt)).leaf

    assert (leaf["received"] if leaf else None) == held.get(name)
    if lie != name:
        renamed = check_if_any(receipt._replace(name=lie))
        # Only of what is not there may two names show the same: an empty place, or one neighbour, for both.
        assert renamed is None or (leaf is None and renamed == "nothing" and lie not in held)


def check_if_any(receipt: AccountReceipt) -> str | None:
    try:
        report = check_account(write_account_receipt(receipt))
    except ReceiptError:
        return None
    return "nothing" if report.leaf is None else "leaf"


def test_a_step_to_an_empty_place_is_a_step() -> None:
    """An empty sibling is 32 zero bytes, and counts like any other."""
    receipt = made("node/node-1")
    more = (Step(is_left=not receipt.steps[0].is_left, sibling=bytes(32)), *receipt.steps)

    with pytest.raises(LinkBroken):
        check_account(write_account_receipt(receipt._replace(steps=more)))
