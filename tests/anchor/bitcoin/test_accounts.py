"""What an account holds is proven down to a block of the embedded chain, whoever leads and whatever came between."""

import asyncio
from pathlib import Path
from typing import Any

from anchor.receipt.account_check import AccountReport, check_account
from anchor.receipt.demands import Demands
from bus.connection import Bus
from bus.errors import BusUnavailable
from bus.messages import AccountReceiptReply, AccountReceiptRequest, OrderReply
from tests.anchor.bitcoin.test_part import quick
from tests.anchor.scripted import WAIT_S, anchored, anchoring, judge, receipt
from tests.anchor.test_ledger import QUICK, credit, order


async def ask(bus: Bus, account: str, **more: Any) -> AccountReceiptReply:
    """The anchor's answer, once one leads."""
    subject = bus.subjects.service("anchor", "account")
    while True:
        try:
            question = AccountReceiptRequest(account=account, **more)
            return await bus.request(subject, question, AccountReceiptReply, timeout_s=2)
        except BusUnavailable:
            await asyncio.sleep(0.02)


async def final(bus: Bus, account: str, **more: Any) -> AccountReport:
    """Wait as the command does; what the receipt shows."""
    async with asyncio.timeout(WAIT_S):
        reply = await ask(bus, account, **more)
        while reply.more:
            await asyncio.sleep(0.02)
            reply = await ask(bus, account, **(more | {"since": reply.since}))
    assert reply.state == "final"
    return check_account(reply.receipt or b"", Demands(account=account, final=True, network="regtest"))


async def test_a_balance_is_final_by_itself_with_and_without_verdicts_and_over_restarts(
    bus: Bus, cluster: str, tmp_path: Path, folder: Path
) -> None:
    """A deposit alone is published, too; what moved since the question is not waited for; a successor in another folder proves the same."""
    settings: dict[str, Any] = {
        **QUICK,
        "key": tmp_path / "key",
        "checkpoint_s": 0.05,
        "bitcoin": quick(folder),
    }
    async with anchoring(bus.url, cluster, tmp_path / "a", **settings):
        assert await order(bus, credit(bus, 1000)) == OrderReply(ok=True)
        deposit = await final(bus, "client/me")
        await judge(bus, "me.t1", agree=("n1", "n2"), reward=101)
        await receipt(bus, "me.t1", "final")
        node = await final(bus, "node/n2")
        nobody = await final(bus, "node/n9")
        energy = await final(bus, "node/n1", tree="energy")
    async with anchoring(bus.url, cluster, tmp_path / "b", name="a2", **settings):
        await judge(bus, "me.t2", agree=("n2",), reward=100)
        later = await final(bus, "node/n2")
        published = await ask(bus, "node/n2", published=True)

    assert deposit.leaf == {"account": "client/me", "received": 1000, "given": 0}
    assert node.leaf == {"account": "node/n2", "received": 50, "given": 0}
    assert nobody.leaf is None
    assert (energy.leaf or {})["results"] == 1
    assert later.leaf == {"account": "node/n2", "received": 150, "given": 0}
    assert published.state == "final"
    assert {report.key for report in (deposit, node, nobody, energy, later)} == {deposit.key}


async def test_without_a_chain_a_balance_is_signed_and_says_so(
    bus: Bus, cluster: str, tmp_path: Path
) -> None:
    """Nothing more is to come, and nobody waits for it; a name that was never heard of is no account."""
    async with anchoring(bus.url, cluster, tmp_path, **QUICK):
        await order(bus, credit(bus, 5))
        async with asyncio.timeout(WAIT_S):
            reply = await ask(bus, "client/me")
            while reply.more:
                reply = await ask(bus, "client/me", since=reply.since)
    report = check_account(reply.receipt or b"")

    assert (reply.state, reply.said) == ("signed", "it is not published on Bitcoin")
    assert report.leaf == {"account": "client/me", "received": 5, "given": 0}
    assert report.state["epoch"] in {
        line.epoch for line in await anchored(bus) if hasattr(line, "accounts_root")
    }
