"""ANCHORS may be cut below what the folds that read it have kept: nothing that was proven is lost, and nothing is signed or paid twice."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from anchor.errors import LogDamaged
from anchor.receipt.check import Demands, check
from bus.connection import Bus
from bus.messages import Opened, OrderReply, Signed
from bus.messages.publication import Built, Final
from bus.streams import extent, last_sequence
from folds.store import manifests_of
from tests.anchor.bitcoin.test_accounts import final
from tests.anchor.bitcoin.test_part import quick
from tests.anchor.scripted import WAIT_S, anchored, anchoring, judge, receipt
from tests.anchor.test_ledger import QUICK, credit, order


async def kept(bus: Bus) -> dict[str, int]:
    """Wait until a checkpoint reaches all that is in both logs; how far that is."""
    async with asyncio.timeout(WAIT_S):
        while True:
            ends = {log: await last_sequence(bus, log) for log in ("verdicts", "anchors")}
            found = await manifests_of(bus, "anchor")
            if found and all(found[0][1].positions[log] >= end for log, end in ends.items()):
                return ends
            await asyncio.sleep(0.02)


async def cut(bus: Bus, ends: dict[str, int]) -> None:
    """Both logs, as far as that."""
    for log, end in ends.items():
        await bus.js.purge_stream(bus.subjects.stream(log), seq=end + 1)


async def test_after_the_cut_every_receipt_is_had_as_before_and_the_rest_goes_on(
    bus: Bus, cluster: str, tmp_path: Path, folder: Path
) -> None:
    """Final receipts of old tasks and accounts, an order that comes again, new verdicts: over restarts, also on an empty disk."""
    settings: dict[str, Any] = {
        **QUICK,
        "key": tmp_path / "key",
        "checkpoint_s": 0.02,
        "bitcoin": quick(folder),
    }
    async with anchoring(bus.url, cluster, tmp_path / "a", **settings):
        assert await order(bus, credit(bus, 1000)) == OrderReply(ok=True)
        await judge(bus, "me.t1", agree=("n1",), reward=100)
        before = await receipt(bus, "me.t1", "final")
        await judge(bus, "me.t2", agree=("n1",), reward=100)
        await receipt(bus, "me.t2", "final")
        balance = await final(bus, "node/n1")
    async with anchoring(bus.url, cluster, tmp_path / "a", **settings):
        # Nothing moves any more, so that there is nothing behind the checkpoint.
        ends = await kept(bus)
    published = max(line.number for line in await anchored(bus) if isinstance(line, Final))
    await cut(bus, ends)
    assert (await extent(bus, "anchors")).first > 1

    async with anchoring(bus.url, cluster, tmp_path / "a", **settings):
        assert await order(bus, credit(bus, 1000)) == OrderReply(ok=True)
        again = await receipt(bus, "me.t1", "final")
        await judge(bus, "me.t3", agree=("n1",), reward=100)
        new = await receipt(bus, "me.t3", "final")
        after = await final(bus, "node/n1")
        lines = await anchored_from(bus, ends["anchors"])
    async with anchoring(bus.url, cluster, tmp_path / "b", name="b1", **settings):
        await judge(bus, "me.t4", agree=("n1",), reward=100)
        elsewhere = await receipt(bus, "me.t4", "final")
        client = await final(bus, "client/me")

    assert again.receipt == before.receipt
    for reply, task in ((new, "me.t3"), (elsewhere, "me.t4")):
        check(reply.receipt or b"", Demands(task=task, final=True))
    assert [(report.leaf or {})["received"] for report in (balance, after)] == [200, 300]
    assert client.leaf == {"account": "client/me", "received": 1000, "given": 400}
    assert not any(isinstance(line, Opened) for line in lines)
    assert min(line.size for line in lines if isinstance(line, Signed)) == 3
    assert min(line.number for line in lines if isinstance(line, Built)) > published


async def anchored_from(bus: Bus, sequence: int) -> list[Any]:
    """The lines behind a sequence of ANCHORS, which is what is left of it."""
    assert (await extent(bus, "anchors")).first == sequence + 1
    return list(await anchored(bus, start=sequence + 1))


async def test_a_log_that_was_cut_is_never_begun_anew(bus: Bus, cluster: str, tmp_path: Path) -> None:
    """Where all checkpoints are lost as well, nobody knows any more what was signed: an anchor ends with advice, and signs nothing."""
    key = tmp_path / "key"
    await judge(bus, "me.t1")
    async with anchoring(bus.url, cluster, tmp_path / "a", key=key, checkpoint_s=0.02):
        await receipt(bus, "me.t1")
    end = await last_sequence(bus, "anchors")
    await bus.js.purge_stream(bus.subjects.stream("anchors"), seq=end + 1)
    await bus.js.purge_stream(bus.subjects.stream("checkpoints"))
    with pytest.raises(LogDamaged, match="restore the stream of checkpoints"):
        async with anchoring(bus.url, cluster, tmp_path / "b", key=key) as task:
            await asyncio.wait_for(task, WAIT_S)

    assert await last_sequence(bus, "anchors") == end
