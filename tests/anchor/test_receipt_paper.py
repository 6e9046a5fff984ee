"""RECEIPT.md tells the truth: its dictionary is ours, its program checks our receipts, and refuses what we refuse."""

import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import anchor
from anchor.receipt.account import AccountReceipt, write_account_receipt
from anchor.receipt.account_check import check_account
from anchor.receipt.bitcoin.header import EASIEST_BITS
from anchor.receipt.check import check
from anchor.receipt.container import write_receipt
from anchor.receipt.dictionary import DICTIONARY
from anchor.receipt.errors import ReceiptError
from tests.anchor import accounts, receipts
from tests.anchor.test_account_receipt import BROKEN as BROKEN_ACCOUNTS
from tests.anchor.test_receipt import BROKEN, Change

PAPER = (Path(anchor.__file__).parent / "RECEIPT.md").read_text()
SEEN_BY_THE_PROGRAM = {
    "another verdict",
    "a result for a verdict",
    "no step to the signed root",
    "another log's key",
    "another leaf",
    "another state of the log",
    "another batch",
    "another place in the block",
    "a branch at another depth",
    "another coinbase",
    "too few confirmations",
    "a header without work",
    "a chain that is easier than its network",
}

UNSEEN_OF_ACCOUNTS = {"a second signature", "a cosigner's key"}


def block(tag: str) -> str:
    return re.findall(rf"^```python {tag}\n(.*?)^```", PAPER, re.MULTILINE | re.DOTALL)[0]


@pytest.fixture(scope="module")
def program() -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(block("stranger"), "RECEIPT.md", "exec"), names)  # noqa: S102 -- the paper's own program
    return names


def test_the_dictionary_in_the_paper_is_the_one_in_use() -> None:
    """Byte for byte, and by its digest."""
    assert eval(block("dictionary")) == DICTIONARY  # noqa: S307 -- the paper's own expression
    assert sha256(DICTIONARY).hexdigest() in PAPER
    assert all(f"{bits:#010x}" in PAPER for bits in EASIEST_BITS.values())


@pytest.mark.parametrize("final", [True, False])
def test_a_strangers_program_accepts_what_holds(program: dict[str, Any], *, final: bool) -> None:
    """And says of it what ours says."""
    data = write_receipt(receipts.made(final=final))
    said, report = program["check"](data, DICTIONARY), check(data)

    assert said["verdict"]["task"] == report.verdict.task
    assert (said["by"], said["log"], said["size"]) == (report.signer, *report.checkpoint[:2])
    if final:
        assert report.confirmed is not None
        assert said["block"] == report.confirmed.block[::-1].hex()
        assert (said["time"], said["work"]) == (report.confirmed.time_s, report.confirmed.work)


@pytest.mark.parametrize(
    "change",
    [row[2] for row in BROKEN if row[0] in SEEN_BY_THE_PROGRAM],
    ids=[row[0] for row in BROKEN if row[0] in SEEN_BY_THE_PROGRAM],
)
def test_a_strangers_program_refuses_what_is_broken(program: dict[str, Any], change: Change) -> None:
    """Every link but evidence and witnesses, which it does not look at."""
    data = write_receipt(change(receipts.made()))

    with pytest.raises(ReceiptError):
        check(data)
    with pytest.raises(Exception):  # noqa: B017, PT011 -- a page of code has no errors of its own
        program["check"](data, DICTIONARY)


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("name", ["node/node-1", "node/nobody", "node/node-1 2026-11"])
def test_a_strangers_program_reads_accounts(program: dict[str, Any], name: str, *, final: bool) -> None:
    """What is there and what is not, in both trees, as ours says it; and any other state's leaf is refused."""
    receipt = accounts.made(name, "energy" if " " in name else "accounts", final=final)
    data = write_account_receipt(receipt)
    said, report = program["check"](data, DICTIONARY), check_account(data)

    assert (said["name"], said["leaf"], said["state"]) == (report.name, report.leaf, report.state)
    assert said["log"] == report.key.name
    if final:
        assert report.confirmed is not None
        assert said["block"] == report.confirmed.block[::-1].hex()


@pytest.mark.parametrize(
    "change",
    [row[2] for row in BROKEN_ACCOUNTS if row[0] not in UNSEEN_OF_ACCOUNTS],
    ids=[row[0] for row in BROKEN_ACCOUNTS if row[0] not in UNSEEN_OF_ACCOUNTS],
)
def test_a_strangers_program_refuses_what_is_broken_of_an_account(
    program: dict[str, Any], change: Callable[[AccountReceipt], AccountReceipt]
) -> None:
    """Every link but the number of signatures, which it does not count."""
    with pytest.raises(Exception):  # noqa: B017, PT011 -- a page of code has no errors of its own
        program["check"](write_account_receipt(change(accounts.made())), DICTIONARY)


def test_all_that_the_program_claims_to_see_is_tested() -> None:
    """A name that is no case any more would be a promise that nobody checks."""
    assert {row[0] for row in BROKEN} >= SEEN_BY_THE_PROGRAM
