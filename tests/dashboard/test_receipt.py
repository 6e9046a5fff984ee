"""The check of receipts in the browser: of every file it says what the check of the command line says, in the same words."""

import random
from base64 import b64encode
from typing import Any

import msgspec
import pytest

pytest.importorskip("playwright.async_api", reason="the browser tests need playwright: make setup")
from playwright.async_api import Page, expect

from ambient.cluster import Supervisor
from anchor.receipt.account import write_account_receipt
from anchor.receipt.container import MAX_RECEIPT_BYTES, write_receipt
from anchor.receipt.demands import Demands
from bus.wire import encode
from gateway.routes.receipts import report_of
from tests.anchor import accounts, receipts
from tests.anchor.test_account_receipt import BROKEN as BROKEN_ACCOUNTS
from tests.anchor.test_receipt import BROKEN, content, flip, logged, packed
from tests.dashboard.conftest import ELSEWHERE, Visitor
from tests.dashboard.test_pages import complaints
from tests.dashboard.test_scripts import run

pytestmark = pytest.mark.asyncio(loop_scope="session")

Report = dict[str, Any]


async def checked(page: Page, files: list[bytes]) -> list[Report]:
    """What the browser's check says of each file."""
    body = """
        const reports = [];
        for (const each of given) reports.push(await checkReceipt(Uint8Array.from(atob(each), (char) => char.charCodeAt(0))));
        return reports;
    """
    found: list[Report] = await run(
        page, "checkReceipt", "receipt/check.js", body, [b64encode(each).decode() for each in files]
    )
    return found


def expected(data: bytes) -> Report:
    """What the other check says."""
    told: Report = msgspec.to_builtins(report_of(data, Demands()))
    return told


def without_steps(report: Report) -> Report:
    return {name: value for name, value in report.items() if name != "steps"}


GOOD = {
    "a task's": write_receipt(receipts.made()),
    "one without a block": write_receipt(receipts.made(final=False)),
    "one without a witness": write_receipt(receipts.made(witnessed=False, final=False)),
    "one without evidence": write_receipt(receipts.made(with_evidence=False)),
    "one of a failed task": write_receipt(
        logged(encode(receipts.verdict(status="failed", output=None, output_digest="", reason="trap: ü")))(
            receipts.made()
        )._replace(evidence=())
    ),
    "a node's": write_account_receipt(accounts.made()),
    "a client's without a block": write_account_receipt(accounts.made("client/me", final=False)),
    "nobody's": write_account_receipt(accounts.made("node/nobody")),
    "a month's": write_account_receipt(accounts.made("node/node-2 2026-11", "energy")),
    "an empty month's": write_account_receipt(accounts.made("node/node-2 2026-12", "energy")),
    "a rich client's": write_account_receipt(
        accounts.made("client/me", state=accounts.ledger("me.t1", deposit=10**30).seal())
    ),
}


async def test_a_receipt_that_holds_shows_in_the_browser_what_it_shows_elsewhere(scripts: Page) -> None:
    """Of tasks and accounts, with and without block, witness and evidence: the same facts, the same sentences, and every step made that can be."""
    reports = await checked(scripts, list(GOOD.values()))

    for (name, data), report in zip(GOOD.items(), reports, strict=True):
        assert without_steps(report) == expected(data), name
        states = [step["state"] for step in report["steps"]]
        assert set(states) <= {"holds", "not in this receipt"}, name
        assert ("not in this receipt" in states) == (
            not report["block"] or (report["kind"] == "task" and not report["nodes"])
        ), name


CHANGED = [
    *((name, link, write_receipt(change(receipts.made()))) for name, link, change in BROKEN),
    *((name, link, write_account_receipt(change(accounts.made()))) for name, link, change in BROKEN_ACCOUNTS),
]
STEPS = {
    "verdict's signature": "Verdict's signature",
    "inclusion in the log": "Verdict in the log",
    "output": "Output of the verdict",
    "checkpoint": "Signatures of the log's state",
    "evidence of node node-1": "Evidence of the nodes",
    "proof of work": "Proof of work of the blocks",
    "headers": "Proof of work of the blocks",
    "Merkle branch": "Transaction in the block",
    "coinbase branch": "Transaction in the block",
    "commitment in the transaction": "Commitment in the transaction",
    "path": "Entry in the ledger",
    "neighbour": "Entry in the ledger",
    "root": "Entry in the ledger",
    "state": "Signature of the ledger's state",
}


async def test_whichever_link_is_broken_the_browser_names_it(scripts: Page) -> None:
    """One part exchanged for one that is well-formed: the same link is named for the same reason, in the step where it belongs, and no later step was made."""
    reports = await checked(scripts, [data for _, _, data in CHANGED])

    for (name, link, data), report in zip(CHANGED, reports, strict=True):
        assert (report["holds"], report["link"]) == (False, link), name
        told = expected(data)
        assert [report[each] for each in ("error", "proven", "unproven")] == [told["error"], [], []], name
        states = [step["state"] for step in report["steps"]]
        at = states.index("broken")
        assert set(states[:at]) <= {"holds", "not in this receipt"}, name
        assert set(states[at + 1 :]) <= {"not looked at"}, name
        assert report["steps"][at]["name"] == STEPS.get(link, report["steps"][at]["name"]), name
    assert {link for _, link, _ in CHANGED} >= set(STEPS)


async def test_no_damaged_file_is_believed_by_one_check_and_not_by_the_other(scripts: Page) -> None:
    """Single bits changed under a check sum that fits, cuts, what is no JSON, what unfolds without end: both checks stop at the same link."""
    chance = random.Random(7)  # noqa: S311 -- the same ones each time
    whole = [content(GOOD[name]) for name in ("a task's", "a node's", "nobody's")]
    files = [packed(flip(each, bit)) for each in whole for bit in chance.sample(range(8 * len(each)), 120)]
    files += [packed(each[: chance.randrange(len(each))]) for each in whole for _ in range(10)]
    data = GOOD["a task's"]
    files += [flip(data, bit) for bit in chance.sample(range(8 * len(data)), 20)]
    files += [
        b"",
        data[:20],
        data[:-1],
        data + b"\n",
        packed(content(data) + b"x 1\ny"),
        packed(bytes(MAX_RECEIPT_BYTES + 1)),
    ]
    files += [write_receipt(logged(line)(receipts.made())) for line in LINES]
    reports = await checked(scripts, files)

    for at, (file, report) in enumerate(zip(files, reports, strict=True)):
        told = expected(file)
        assert (report["holds"], report["link"]) == (told["holds"], told["link"]), (at, report, told)
    assert sum(not report["holds"] for report in reports) > 0.9 * len(reports)


async def drop(page: Page, name: str, data: bytes) -> None:
    """Let a file fall onto the place for receipts."""
    await page.locator(".drop").evaluate(
        """(element, [name, content]) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([Uint8Array.from(atob(content), (char) => char.charCodeAt(0))], name));
            element.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
        }""",
        [name, b64encode(data).decode()],
    )


async def test_a_dropped_receipt_is_checked_without_asking_anybody(
    visitor: Visitor, running: Supervisor
) -> None:
    """The page says what holds step by step, what is shown and what was not checked; of a broken one the step and the reason. The file is sent nowhere."""
    page = await visitor.open(f"{running.http}/anchor#token={running.token}")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.method} {request.url}"))
    await drop(page, "good.receipt", GOOD["a task's"])
    await expect(page.get_by_text("good.receipt holds")).to_be_visible()
    await expect(page.get_by_text("Checked in this browser; nobody was asked.")).to_be_visible()
    steps = page.get_by_label("Steps of the check").get_by_role("listitem")
    assert [each.split()[0] for each in await steps.all_inner_texts()] == ["holds"] * 10
    await expect(page.get_by_label("What was not checked")).to_contain_text(
        "That nobody made these blocks for the purpose"
    )
    assert await complaints(page) == {}

    _, link, data = next(each for each in CHANGED if each[1] == "Merkle branch")
    await drop(page, "bad.receipt", data)
    await expect(page.get_by_text("bad.receipt does not hold")).to_be_visible()
    await expect(page.get_by_role("alert")).to_contain_text(f"{link}: it does not lead to the root in block")
    await expect(steps.filter(has_text="broken")).to_have_text("brokenTransaction in the block")
    await expect(steps.filter(has_text="not looked at")).to_have_text(
        "not looked atCommitment in the transaction"
    )
    assert [each for each in sent if "receipts" in each] == []


async def test_where_the_browser_has_no_cryptography_the_gateway_checks_and_the_page_says_so(
    visitor: Visitor, running: Supervisor
) -> None:
    """Over plain HTTP from another machine's name browsers offer none: both verdicts still come, with who made them and why."""
    visitor.base = running.http.replace("127.0.0.1", ELSEWHERE)
    visitor.expected.append("Cross-Origin-Opener-Policy")  # which browsers heed over HTTPS only, and say so
    page = await visitor.open(f"{visitor.base}/anchor#token={running.token}")
    for name in ("a task's", "nobody's"):
        await drop(page, "good.receipt", GOOD[name])
        await expect(page.get_by_text("good.receipt holds")).to_be_visible()
        await expect(page.locator(".checked-by")).to_contain_text(
            "Checked by the gateway and not in this browser: this page came over plain HTTP"
        )
        await drop(page, "bad.receipt", CHANGED[0][2])
        await expect(page.get_by_role("alert")).to_contain_text("broken link: inclusion in the log")


_VERDICT = b'{"kind":"verdict","task":"a.b","status":"failed"'
LINES = [
    b'{"kind":"verdict","task":"a.b","task":"a.c"}',
    b"[1]",
    b"\xff",
    b"\xef\xbb\xbf" + _VERDICT + b"}",
    (_VERDICT + b"}").decode().encode("utf-16"),
    _VERDICT + b',"fuel":NaN}',
    _VERDICT + b',"fuel":01}',
    _VERDICT + b',"fuel":1.}',
    _VERDICT + b",}",
    _VERDICT + b"} ",
    _VERDICT + b',"more":"\\u00e9 \\n \\ud83d\\ude00","\\u0061":[{},[],-1e-3,true,null]}',
    _VERDICT + b',"more":"a\tb"}',
    _VERDICT + b',"more":"\\x"}',
    _VERDICT + b',"task":"a.b"}',
    _VERDICT + b',"\\u0074ask":"a.b"}',
    _VERDICT + b',"verify":1}',
    _VERDICT + b',"agree":null}',
    _VERDICT + b',"agree":["n","n"]}',
    _VERDICT + b',"output":"?"}',
    _VERDICT + b',"reason":{}}',
    b'{"kind":"verdict","task":1,"status":"failed"}',
    b'{"kind":"late"}',
    b'{"__proto__":{"kind":"verdict"},"task":"a.b","status":"failed"}',
    b"[" * 100_000,
]
