"""The anchor publishes what it signed, by itself, on Bitcoin Core's rules: receipts become final, whoever leads, and whatever ends."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL
from io import BytesIO
from pathlib import Path

import pytest
from bitcoin.core import CBlock
from opentimestamps.core.serialize import BytesDeserializationContext
from opentimestamps.core.timestamp import DetachedTimestampFile

from anchor.bitcoin.checkpoint import pack, unpack
from anchor.bitcoin.embedded.chain import EmbeddedChain
from anchor.bitcoin.opening import ChainSettings
from anchor.errors import SettingsRefused
from anchor.receipt.check import Demands, check
from anchor.receipt.container import read_receipt
from anchor.receipt.extract import extracted
from bus.connection import Bus
from bus.messages.publication import Built, Final
from folds.errors import CheckpointUnusable
from tests.anchor.scripted import EVERY_S, anchored, anchoring, health, judge, receipt


def quick(folder: Path, **more: object) -> ChainSettings:
    """A chain with blocks as fast as they can be watched."""
    return ChainSettings(**{"folder": folder, "every_s": 0.05, "block_every_s": 0.02} | more)


async def test_a_receipt_becomes_final_by_itself_and_anyone_can_check_it(
    bus: Bus, cluster: str, tmp_path: Path, folder: Path
) -> None:
    """By our own check, and by the stock OpenTimestamps library with nothing but the block."""
    await judge(bus, "me.t1", "me.t2", "me.t3")
    async with anchoring(bus.url, cluster, tmp_path / "a1", bitcoin=quick(folder)):
        reply = await receipt(bus, "me.t2", "final")
        again = await judge(bus, "me.t4")
        later = await receipt(bus, "me.t4", "final")
    report = check(reply.receipt, Demands(task="me.t2", network="regtest", final=True))
    assert report.confirmed.successors == 6
    assert again
    assert check(later.receipt).confirmed.height > report.confirmed.height
    assert len(reply.receipt) <= 2048

    files = extracted(read_receipt(reply.receipt))
    read = DetachedTimestampFile.deserialize(BytesDeserializationContext(files["leaf.ots"]))
    assert read.file_hash_op.hash_fd(BytesIO(files["leaf"])) == read.file_digest
    [(message, attestation)] = read.timestamp.all_attestations()
    chain = await EmbeddedChain.open(folder)
    block = CBlock.deserialize(chain.kernel.block(chain.kernel.hash_at(attestation.height)))
    await chain.close()
    attestation.verify_against_blockheader(message, block)


async def test_a_successor_goes_on_from_the_log_or_a_checkpoint(
    bus: Bus, cluster: str, tmp_path: Path, folder: Path
) -> None:
    """Other folders, the same key and chain: what was published stays so, nothing is published twice, and new verdicts are."""
    sizes = []
    for life in (1, 2, 3):
        await judge(bus, f"me.t{life}")
        data = tmp_path / f"a{life % 2}"
        more = {"key": tmp_path / "key", "checkpoint_s": 0.05, "name": f"a{life}"}
        async with anchoring(bus.url, cluster, data, bitcoin=quick(folder), **more):
            replies = [await receipt(bus, f"me.t{number}", "final") for number in range(1, life + 1)]
            await asyncio.sleep(0.2)
        for number, reply in enumerate(replies, 1):
            check(reply.receipt, Demands(task=f"me.t{number}", final=True))
        sizes.append(len(replies))
    lines = await anchored(bus)
    # The ledger may follow its log a publication later: then that has a new root beside the old one.
    built = [
        tuple(root.size for root in line.roots) for line in lines if isinstance(line, Built) and line.roots
    ]

    assert sizes == [1, 2, 3]
    assert built == sorted(set(built))
    assert {sizes[0] for sizes in built} == {1, 2, 3}
    assert sum(isinstance(line, Final) for line in lines) == len(built)


PROCESS = """
import asyncio, sys
from pathlib import Path
from anchor.bitcoin.opening import ChainSettings
from anchor.service import run
from anchor.settings import AnchorSettings
url, cluster, data, folder = sys.argv[1:]
chain = ChainSettings(folder=Path(folder), every_s=0.05, block_every_s=0.02)
asyncio.run(run(AnchorSettings(url=url, cluster=cluster, data=Path(data), name="a1", every_s=0.02, bitcoin=chain)))
"""


async def test_an_anchor_that_is_killed_again_and_again_publishes_once(
    bus: Bus, cluster: str, tmp_path: Path, folder: Path
) -> None:
    """SIGKILL at any moment: the next life finds what was built, in the log and on the chain."""
    for life in (1, 2):
        arguments = bus.url, cluster, str(tmp_path / "a1"), str(folder)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROCESS, *arguments, stdout=DEVNULL, stderr=DEVNULL
        )
        await health(bus)
        await judge(bus, f"me.t{life}")
        await receipt(bus, f"me.t{life}", "signed" if life < 2 else "final")
        process.kill()
        await process.wait()
    async with anchoring(bus.url, cluster, tmp_path / "a1", bitcoin=quick(folder)):
        for life in (1, 2):
            check((await receipt(bus, f"me.t{life}", "final")).receipt, Demands(final=True))
    numbers = [line.number for line in await anchored(bus) if isinstance(line, Final)]

    assert sorted(numbers) == list(range(1, len(numbers) + 1))


async def test_a_chain_that_cannot_be_opened_costs_the_proof_only(
    bus: Bus, cluster: str, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process has it: receipts are signed meanwhile, and become final when it lets go."""
    monkeypatch.setattr("anchor.bitcoin.part._AGAIN_S", EVERY_S)
    other = await EmbeddedChain.open(folder)
    await judge(bus, "me.t1")
    async with anchoring(bus.url, cluster, tmp_path / "a1", bitcoin=quick(folder)):
        reply = await receipt(bus, "me.t1")
        assert (reply.said, reply.more) == ("it is not published on Bitcoin, yet", True)
        assert "leaf.ots" not in extracted(read_receipt(reply.receipt))
        await other.close()
        await receipt(bus, "me.t1", "final")


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"chain": "bitcoind"}, "chain"),
        ({"chain": "core+ftp://host"}, "chain"),
        ({"chain": "core+http://h", "network": "moon"}, "network"),
        ({"chain": "core+http://h", "network": "main"}, "mainnet"),
        ({"chain": "core+http://h", "network": "main", "mainnet": True}, "max_fee_sat"),
        ({"chain": "core+http://h", "network": "main", "mainnet": True, "max_fee_sat": 1000}, "max_fee_sat"),
        ({"every_s": 0.0}, "anchor_every"),
        ({"count": -1}, "anchor_count"),
        ({"max_fee_sat": 0}, "max_fee_sat"),
    ],
)
def test_settings_that_could_cost_money_by_accident_are_refused(
    tmp_path: Path, settings: dict[str, object], field: str
) -> None:
    """The main chain only by name and with both caps; each error names its setting."""
    with pytest.raises(SettingsRefused) as refused:
        ChainSettings(folder=tmp_path, **settings)
    assert refused.value.field == field


def test_the_main_chain_can_be_asked_for(tmp_path: Path) -> None:
    """Then its caps are the operator's."""
    chosen = ChainSettings(
        folder=tmp_path,
        chain="core+http://h",
        network="main",
        mainnet=True,
        max_fee_sat=900,
        max_fee_day_sat=5000,
    )

    assert (chosen.policy.per_anchor_sat, chosen.policy.per_day_sat) == (900, 5000)
    assert chosen.interval_s == 3600


async def test_a_checkpoint_of_publications_is_the_whole_state() -> None:
    """Packed at any record, restored, and folded on: the same as folding all of them."""
    from anchor.bitcoin.publications import Publishing  # noqa: PLC0415
    from tests.anchor.bitcoin.test_decisions import of_a_real_history  # noqa: PLC0415 -- a history that exists already

    records = await of_a_real_history()
    for cut in range(len(records) + 1):
        publishing = Publishing()
        for record in records[:cut]:
            publishing.fold(record)
        restored, notes = unpack(pack(publishing, {3: "a note"}))
        assert notes == {3: "a note"}
        assert pack(restored, {}) == pack(publishing, {})
        for record in records[cut:]:
            restored.fold(record)
        assert repr(restored) == "Publishing(1 final, next 2)"
        assert restored.paid_sat > 0
    with pytest.raises(CheckpointUnusable, match="publications cannot be read"):
        unpack(b"nothing")
