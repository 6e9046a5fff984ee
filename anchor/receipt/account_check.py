"""The whole check of an account's receipt: from the leaf through the ledger's state to the blocks on top of its commitment; in words, too.

Guarantees that `check_account` returns only where every link that the receipt claims holds, and every demand of whoever checks; and that for one
state at most one thing can be shown of a name: one leaf, or that there is none.

The tree is sparse, over keys of 256 bits (docs/ledger.md): a subtree without leaves is 32 zero bytes, and one with a single leaf is that leaf.
So what stands in the place of a name that is not there is nothing, or one other leaf whose key begins with the same bits.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from anchor.receipt.account import AccountReceipt, read_account_receipt
from anchor.receipt.chain import Shown, check_chain
from anchor.receipt.commitment import walk
from anchor.receipt.demands import Demands
from anchor.receipt.errors import LinkBroken, Malformed
from anchor.receipt.merkle import HASH_BYTES, leaf_hash
from anchor.receipt.note import ED25519, Key, Note, check_note
from anchor.receipt.statement import read_json
from anchor.receipt.text import lines_of

__all__ = ["STATE_DOMAIN", "AccountReport", "check_account", "check_account_receipt", "state_text"]

STATE_DOMAIN = "ambient ledger state 1"
"""The first line of a state's note: no checkpoint of a log has two lines."""
_EMPTY = bytes(HASH_BYTES)
_KEY_BITS = 256


@dataclass(slots=True, kw_only=True)
class AccountReport(Shown):
    """What an account's receipt showed: `leaf` is what the ledger holds under `name` (None: nothing), `state` the signed line, `key` its signer."""

    tree: str
    name: str
    leaf: dict[str, Any] | None
    state: dict[str, Any]
    key: Key


def state_text(line: bytes) -> str:
    """The text that the log's key signs of a state's line in ANCHORS; but for its last line break, its SHA-256 is the commitment."""
    return f"{STATE_DOMAIN}\n{line.decode()}\n"


def check_account(data: bytes, demands: Demands | None = None) -> AccountReport:
    """Check a receipt's bytes. Raises `Malformed` or `LinkBroken`."""
    return check_account_receipt(read_account_receipt(data), demands or Demands())


def check_account_receipt(receipt: AccountReceipt, demands: Demands) -> AccountReport:
    """Check a receipt that was read. Raises `Malformed` or `LinkBroken`."""
    demands.of_an_account()
    state = _state(receipt.state)
    leaf = _check_tree(receipt, state)
    _check_signed(receipt, demands)
    report = AccountReport(tree=receipt.tree, name=receipt.name, leaf=leaf, state=state, key=receipt.key)
    account = receipt.name.partition(" ")[0]
    if demands.account not in (None, account):
        raise LinkBroken("account", f"the receipt is of {account}, not of {demands.account}")
    _say(report, demands)
    committed = sha256(receipt.state.text[:-1].encode()).digest()
    check_chain(receipt.bitcoin, committed, report, demands, what="The ledger's state")
    if receipt.bitcoin is None:
        report.unproven.append("When this state was there: no Bitcoin block is shown.")
    return report


def _state(note: Note) -> dict[str, Any]:
    lines = lines_of("state", note.text)
    if len(lines) != 2 or lines[0] != STATE_DOMAIN:  # noqa: PLR2004 -- the domain, and the line of ANCHORS
        raise Malformed("state", f"must have two lines: {STATE_DOMAIN!r}, and a line of ANCHORS")
    state = read_json("state", lines[1].encode())
    if state.get("kind") != "ledger":
        raise Malformed("state.kind", f"must be 'ledger', not {str(state.get('kind'))[:40]!r}")
    for name in ("epoch", "verdicts", "anchors", "credited", "burned"):
        _number("state", state, name)
    return state


def _check_tree(receipt: AccountReceipt, state: dict[str, Any]) -> dict[str, Any] | None:
    """What stands under the name, once it is sure that the tree with the state's root holds it there."""
    key = sha256(receipt.name.encode()).digest()
    bits, depth = int.from_bytes(key), len(receipt.steps)
    # Lowest first: the last step is at the root, where the first bit of the key decides.
    for at, step in enumerate(reversed(receipt.steps)):
        if step.is_left != bool(bits >> (_KEY_BITS - 1 - at) & 1):
            raise LinkBroken("path", f"it does not lead to the place of {receipt.name}")
    leaf, found = None, _EMPTY
    if receipt.leaf is not None:
        leaf = _leaf(receipt)
        found = leaf_hash(key + sha256(receipt.leaf).digest())
    elif receipt.neighbour is not None:
        other = int.from_bytes(receipt.neighbour[:HASH_BYTES])
        if other == bits or (other ^ bits) >> (_KEY_BITS - depth):
            raise LinkBroken("neighbour", "it does not stand in the place of this name, or is that very one")
        found = leaf_hash(receipt.neighbour)
    root = walk(found, receipt.steps).hex()
    if root != state.get(f"{receipt.tree}_root"):
        said = str(state.get(f"{receipt.tree}_root"))[:64]
        raise LinkBroken("root", f"leaf and path lead to {root}, the state says {said}")
    return leaf


def _leaf(receipt: AccountReceipt) -> dict[str, Any]:
    assert receipt.leaf is not None  # noqa: S101 -- asked for where there is one
    leaf = read_json("leaf", receipt.leaf)
    named = str(leaf.get("account"))
    if receipt.tree == "accounts":
        numbers = "received", "given"
    else:
        named, numbers = f"{named} {leaf.get('month')}", ("results", "fuel")
        by_method = leaf.get("energy_uj")
        if not isinstance(by_method, dict):
            raise Malformed("leaf.energy_uj", "must be an object: microjoules by method")
        for method in by_method:
            _number("leaf.energy_uj", by_method, method)
    for name in numbers:
        _number("leaf", leaf, name)
    if named != receipt.name:
        raise LinkBroken("leaf", f"it is of {named[:130]!r}, not of {receipt.name[:130]!r}")
    return leaf


def _number(field: str, said: dict[str, Any], name: str) -> None:
    if type(said.get(name)) is not int or said[name] < 0:
        raise Malformed(f"{field}.{name}", "must be a whole number, not negative")


def _check_signed(receipt: AccountReceipt, demands: Demands) -> None:
    key, note = receipt.key, receipt.state
    if key.kind != ED25519:
        raise LinkBroken("log's key", "it must be the log's own, no cosigner's")
    if list(check_note(note, [key])) != [key] or len(note.signatures) != 1:
        raise LinkBroken("state", f"it must be signed by {key.name}, and by nobody else")
    if demands.logs and key not in demands.logs:
        raise LinkBroken("log's key", f"{key} is none of those that you trust")


def _say(report: AccountReport, demands: Demands) -> None:
    state = report.state
    report.proven.append(_sentence(report))
    report.proven.append(
        f"So says state {state['epoch']} of the ledger, which the log's key {report.key} signed: with the verdicts up to {state['verdicts']} of VERDICTS "
        f"and the orders up to {state['anchors']} of ANCHORS."
    )
    report.proven.append(
        f"In it all accounts together hold {state['credited'] - state['burned']:,} msat: {state['credited']:,} credited, {state['burned']:,} burned."
    )
    if not demands.logs:
        report.unproven.append(
            f"That {report.key} is the log that you trust: compare it, or name it with --log-key."
        )
    report.unproven.append("That the sums are right: who reads both logs can add them up (docs/ledger.md).")
    report.unproven.append("What was paid and counted after that state.")


def _sentence(report: AccountReport) -> str:
    leaf = report.leaf
    if report.tree == "accounts":
        if leaf is None:
            return f"{report.name} is not in the ledger: it never received or gave anything."
        held = leaf["received"] - leaf["given"]
        return (
            f"{report.name} holds {held:,} msat: it received {leaf['received']:,} and gave {leaf['given']:,}."
        )
    if leaf is None:
        return f"Nothing was counted for {report.name}."
    # In whole numbers: they have no limit, and a float has.
    methods = ", ".join(
        f"{uj // 1_000_000:,}.{uj % 1_000_000:06d} J {method}" for method, uj in leaf["energy_uj"].items()
    )
    return f"{report.name} took {methods}: {leaf['results']:,} results, {leaf['fuel']:,} fuel."
