"""Publications on Bitcoin Core's own rules: mined, reorganised, replaced, evicted, restarted, and never lost or doubled."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from dataclasses import replace
from pathlib import Path

import pytest
from bitcoin.core import CBlock

from anchor.bitcoin.chain import Request, Watch
from anchor.bitcoin.decisions import GONE, SETTLED, FeePolicy
from anchor.bitcoin.embedded.chain import EmbeddedChain
from anchor.bitcoin.embedded.journal import Journal
from anchor.bitcoin.embedded.kernel import Kernel
from anchor.bitcoin.errors import FeeCapReached, StoreUnusable, TxRefused, WalletEmpty
from anchor.bitcoin.paying import pay
from anchor.bitcoin.publications import Tip, committed
from anchor.receipt.bitcoin.transaction import TxOut
from tests.anchor.bitcoin.bench import KEY, Anchor, Crash, published, root


def fork(chain: EmbeddedChain, depth: int) -> Tip:
    """The block that is so deep under the tip."""
    height = chain.kernel.tip.height - depth
    return Tip(height, chain.kernel.hash_at(height))


async def test_a_root_is_final_six_blocks_later_and_a_stranger_can_check_it(chain: EmbeddedChain) -> None:
    """From nothing to a proof, each step in the log before the next."""
    anchor = Anchor(chain)
    await anchor.round(root(1))
    assert anchor.status() == "broadcast"

    await chain.mine()
    await anchor.round()
    assert anchor.status() == "mined"
    await chain.mine(5)
    await anchor.round()
    assert anchor.status() == "mined"
    await chain.mine()
    await anchor.round()

    assert anchor.kinds() == "built broadcast mined final"
    proof = anchor.proof()
    assert proof.committed == committed([root(1)])
    assert (proof.height, proof.successors) == (102, 6)


async def test_many_logs_share_one_transaction(chain: EmbeddedChain) -> None:
    """And one commitment stands for all of them."""
    anchor = Anchor(chain)
    roots = [root(number, f"example.com/{number}") for number in range(1, 8)]
    await anchor.round(*roots)
    await chain.mine(7)
    await anchor.round()

    assert anchor.proof().committed == committed(roots)
    assert published(chain) == {committed(roots): 1}


async def test_what_is_wanted_waits_until_the_last_one_is_mined(chain: EmbeddedChain) -> None:
    """So that no transaction rests on an unconfirmed coin."""
    anchor = Anchor(chain)
    await anchor.round(root(1))
    await anchor.round(root(2))
    assert anchor.publishing.next_number == 2

    await chain.mine()
    await anchor.round(root(2))
    assert (anchor.status(1), anchor.status(2)) == ("mined", "broadcast")


@pytest.mark.parametrize("depth", [1, 6, 7, 40])
async def test_a_reorganisation_of_any_depth_leads_back_to_broadcast_and_on(
    chain: EmbeddedChain, depth: int
) -> None:
    """Also of what was final: the other branch publishes it again, once."""
    anchor = Anchor(chain)
    await anchor.round(root(1))
    await chain.mine(depth)
    await anchor.round()
    before = anchor.status()

    await chain.mine(depth + 1, on=fork(chain, depth), empty=True)
    await anchor.round()
    assert anchor.status() == "broadcast"
    await chain.mine(7)
    await anchor.round()

    assert before == ("final" if depth > 6 else "mined")
    assert anchor.status() == "final"
    assert anchor.kinds().count("reorged") == 1
    assert published(chain) == {committed([root(1)]): 1}
    assert anchor.proof().block == chain.kernel.hash_at(anchor.proof().height)


async def test_a_chain_of_publications_survives_a_reorganisation_in_order(chain: EmbeddedChain) -> None:
    """Each spends the change of the one before it; all come back."""
    anchor = Anchor(chain)
    for number in range(1, 6):
        await anchor.round(root(number))
        await chain.mine()
    await anchor.round()

    await chain.mine(7, on=fork(chain, 6), empty=True)
    await anchor.round()
    assert [anchor.status(number) for number in range(1, 6)] == ["broadcast"] * 5
    await chain.mine(8)
    await anchor.round()

    assert [anchor.status(number) for number in range(1, 6)] == ["final"] * 5
    assert set(published(chain).values()) == {1}


async def test_a_reorganisation_while_the_anchor_was_down_is_found(folder: Path) -> None:
    """A new life reads again what was built before, from the fork on."""
    chain = await EmbeddedChain.open(folder)
    anchor = Anchor(chain)
    await anchor.round(root(1))
    await chain.mine(3)
    await anchor.round()
    await chain.mine(4, on=fork(chain, 3))
    await chain.close()

    anchor.chain = chain = await EmbeddedChain.open(folder)
    anchor.restart()
    await anchor.round()
    assert anchor.status() == "broadcast"
    await chain.mine(7)
    await chain.close()
    anchor.chain = chain = await EmbeddedChain.open(folder)
    anchor.restart()
    await anchor.round()
    await chain.close()

    assert anchor.kinds() == "built broadcast mined reorged mined final"


async def test_a_double_restart_between_any_two_writes_publishes_once(chain: EmbeddedChain) -> None:
    """Crashes before and after each record, twice in a row: one transaction, one number."""
    anchor = Anchor(chain)
    for before in (True, False):
        for _ in range(2):
            anchor.restart()
            anchor.crash_before, anchor.crash_after = before, not before
            wanted = () if anchor.log else (root(1),)
            with pytest.raises(Crash):
                await anchor.round(*wanted)
            await chain.mine(4)
    anchor.restart()
    await chain.mine(7)
    await anchor.round()
    await chain.mine(7)
    await anchor.round()

    assert anchor.status() == "final"
    assert anchor.publishing.next_number == 2
    assert published(chain) == {committed([root(1)]): 1}


async def test_a_transaction_that_was_built_and_never_sent_is_sent_by_the_next_life(
    chain: EmbeddedChain,
) -> None:
    """The intent was durable: it is that very transaction, not another one."""
    anchor = Anchor(chain)
    anchor.crash_after = True
    with pytest.raises(Crash):
        await anchor.round(root(1))
    assert not len(chain.mempool)

    anchor.restart()
    await anchor.round()

    assert anchor.kinds() == "built broadcast"
    assert anchor.txids()[0] in chain.mempool


async def test_a_stuck_transaction_is_replaced_and_either_may_be_mined(chain: EmbeddedChain) -> None:
    """Fees rose: after three blocks a dearer one takes its place; a miner that had only the first one mines that."""
    anchor = Anchor(chain)
    await anchor.round(root(1))
    chain.estimate_sat_vb = 5.0
    await chain.mine(3, empty=True)
    await anchor.round()
    first, second = anchor.publishing[1].attempts
    assert second.rate >= 5.0
    assert first.txid not in chain.mempool
    assert second.txid in chain.mempool

    chain.mempool.drop(second.txid)
    chain.mempool.accept(first.tx)
    await chain.mine(7)
    await anchor.round()

    assert anchor.status() == "final"
    assert anchor.proof().txid == first.txid
    assert published(chain) == {committed([root(1)]): 1}


async def test_an_evicted_transaction_is_sent_again_or_replaced(chain: EmbeddedChain) -> None:
    """First as it is; and where the node now asks for more, by a dearer one."""
    anchor = Anchor(chain)
    await anchor.round(root(1))
    chain.mempool.drop(anchor.txids()[0])
    await anchor.round()
    assert anchor.txids()[0] in chain.mempool

    chain.mempool.raise_floor(1.2)
    await anchor.round()

    assert len(anchor.txids()) == 2
    assert anchor.txids()[1] in chain.mempool
    await chain.mine(7)
    await anchor.round()
    assert anchor.status() == "final"


async def test_a_fee_spike_over_the_cap_signs_nothing_and_loses_nothing(chain: EmbeddedChain) -> None:
    """The error names the cap; when fees fall, the publication goes on."""
    anchor = Anchor(chain, FeePolicy(per_anchor_sat=1000))
    chain.estimate_sat_vb = 50.0
    report = await anchor.round(root(1))
    assert anchor.log == []
    assert isinstance(report.held[1], FeeCapReached)
    assert "per_anchor_sat: 8250 satoshis are asked for, 1000 are left" in str(report.held[1])

    chain.estimate_sat_vb = 2.0
    await anchor.round(root(1))
    chain.estimate_sat_vb = 50.0
    await chain.mine(3, empty=True)
    await anchor.round()
    await chain.mine(3, empty=True)
    report = await anchor.round()

    assert anchor.publishing[1].exposure_sat == 1000
    assert isinstance(report.held[1], FeeCapReached)
    await chain.mine(7)
    await anchor.round()
    assert anchor.status() == "final"


async def test_the_cap_of_a_day_holds_until_the_day_is_over(chain: EmbeddedChain) -> None:
    """And what was published before counts."""
    anchor = Anchor(chain, FeePolicy(per_day_sat=400))
    for number in (1, 2):
        await anchor.round(root(number))
        await chain.mine()
    await anchor.round(root(3))
    assert anchor.publishing.next_number == 3
    report = await anchor.round(root(3))
    assert "per_day_sat" in str(report.held[3])

    anchor.now_ms += 86_400_001
    await anchor.round(root(3))

    assert anchor.publishing.next_number == 4


async def test_a_coin_that_others_spent_is_given_up_when_that_is_settled(chain: EmbeddedChain) -> None:
    """Another wallet with the same key: the publication is not lost, and gets another coin."""
    anchor = Anchor(chain)
    anchor.crash_after = True
    with pytest.raises(Crash):
        await anchor.round(root(1))
    built = anchor.publishing
    anchor.restart()
    coin = anchor.publishing[1].spends
    rival = Request(number=9, committed=bytes(32), rate=3.0, max_fee_sat=9999, spends=coin)
    await chain.send((await chain.draft(rival)).tx)
    await chain.mine()
    report = await anchor.round()
    assert "missingorspent" in str(report.held[1])
    await chain.mine(SETTLED - 1)
    await anchor.round()
    assert anchor.kinds() == "built"

    await chain.mine()
    await anchor.round()

    assert anchor.kinds() == "built stranded built broadcast"
    await chain.mine(7)
    await anchor.round()
    assert anchor.status() == "final"
    assert published(chain) == {committed([root(1)]): 1, bytes(32): 1}
    assert repr(built) == "Publishing(nothing, next 1)"


async def test_a_coin_that_a_reorganisation_unmade_is_given_up_in_the_end(folder: Path) -> None:
    """It was a miner's own, and its block lost: nobody can ever spend it again."""
    chain = await EmbeddedChain.open(folder)
    anchor = Anchor(chain)
    await anchor.round(root(1))
    made = chain.scanner.follower.coins[anchor.publishing[1].spends].height
    await chain.mine()
    await anchor.round()
    deep = chain.kernel.tip.height - made + 1

    await chain.mine(deep + 1, on=fork(chain, deep), empty=True)
    report = await anchor.round()
    assert "missingorspent" in str(report.held[1])
    await chain.mine(GONE)
    await anchor.round()

    assert anchor.kinds() == "built broadcast mined reorged stranded built broadcast"
    await chain.mine(7)
    await anchor.round()
    assert anchor.status() == "final"
    await chain.close()


async def test_another_chain_begins_what_was_not_final_anew(chain: EmbeddedChain, tmp_path: Path) -> None:
    """The folder of the chain was deleted, or the operator chose another one: what was final stays so."""
    anchor = Anchor(chain)
    await anchor.round(root(1))
    await chain.mine(7)
    await anchor.round(root(2))
    await chain.mine()
    await anchor.round()

    anchor.chain = other = await EmbeddedChain.open(tmp_path / "other")
    assert other.name != chain.name
    anchor.restart()
    await anchor.round()
    await other.mine(7)
    await anchor.round()

    assert (anchor.status(1), anchor.status(2)) == ("final", "final")
    assert anchor.kinds(2) == "built broadcast mined stranded built broadcast mined final"
    assert published(other) == {committed([root(2)]): 1}
    await other.close()


MINER = """
import asyncio, sys
from pathlib import Path
from anchor.bitcoin.embedded.chain import EmbeddedChain

async def main():
    chain = await EmbeddedChain.open(Path(sys.argv[1]))
    while True:
        tip = await chain.mine()
        print(tip.height, tip.block.hex(), flush=True)

asyncio.run(main())
"""


async def test_a_killed_process_loses_no_block(folder: Path) -> None:
    """SIGKILL while it mines: every block that it told of is there again."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", MINER, str(folder), stdout=PIPE)
    told: list[list[str]] = []
    while len(told) < 20:
        line = (await process.stdout.readline()).decode().split()
        assert line, await process.wait()
        told += [line] if line[0].isdigit() else []
    process.kill()
    rest = (await process.stdout.read()).decode().splitlines(keepends=True)
    await process.wait()
    told += [line.split() for line in rest if line.endswith("\n") and line[0].isdigit() and " " in line]
    told = [line for line in told if len(line) == 2]

    chain = await EmbeddedChain.open(folder)

    assert [chain.kernel.hash_at(int(height)).hex() for height, _ in told] == [name for _, name in told]
    await chain.mine()
    await chain.close()


async def test_a_chain_whose_files_are_damaged_is_made_again_from_the_journal(folder: Path) -> None:
    """All but the journal and the key may go."""
    chain = await EmbeddedChain.open(folder)
    tip = await chain.mine(3)
    await chain.close()
    for path in (folder / "kernel" / "state").rglob("*.log"):
        path.write_bytes(b"no database")
    for path in (folder / "kernel" / "state").rglob("CURRENT"):
        path.write_bytes(b"nothing")
    (folder / "coins.json").write_text("{]")

    again = await EmbeddedChain.open(folder)

    assert again.kernel.tip == tip
    assert len(again.scanner.follower.spendable()) == 5
    await again.close()


def test_a_journal_that_was_cut_drops_the_cut_block_only(tmp_path: Path) -> None:
    """A crash in the middle of a write; and many files."""
    journal = Journal(tmp_path, segment_bytes=100)
    blocks = [bytes((number,)) * 40 for number in range(1, 10)]
    for block in blocks:
        journal.append(block)
    journal.close()
    assert len(journal.files()) == 5 - 2
    last = tmp_path / f"{journal.files()[-1]:08}.blocks"
    os.truncate(last, last.stat().st_size - 1)

    again = Journal(tmp_path, segment_bytes=100)
    again.append(b"after")
    again.close()

    read = [block for number in again.files() for block in again.read(number)]
    assert read == [*blocks[:-1], b"after"]


async def test_one_process_alone_has_a_chain_open(chain: EmbeddedChain, folder: Path) -> None:
    """And its blocks are not thrown away because of it."""
    files = sorted((folder / "kernel").rglob("*"))
    with pytest.raises(StoreUnusable, match="another process is using it"):
        await EmbeddedChain.open(folder)
    tip = await chain.mine()
    assert chain.kernel.tip == tip
    assert sorted((folder / "kernel").rglob("*")) == files


async def test_bitcoins_rules_are_asked(chain: EmbeddedChain) -> None:
    """A signature for another value, a signature that was changed, and too much paid out are refused; our blocks are read by others."""
    request = Request(number=1, committed=bytes(32), rate=1.0, max_fee_sat=1000)
    coins = chain.scanner.follower.spendable()
    wrong = pay(request, [replace(coins[0], value=coins[0].value - 1)], chain.key).tx
    with pytest.raises(TxRefused, match="script-verify"):
        await chain.send(wrong)
    good = (await chain.draft(request)).tx
    greedy = replace(good, outputs=(good.outputs[0], TxOut(good.outputs[1].value * 2, chain.key.script)))
    with pytest.raises(TxRefused, match="in-belowout"):
        await chain.send(greedy)
    stranger = pay(request, coins[:1], KEY).tx
    with pytest.raises(TxRefused, match="script-verify"):
        await chain.send(stranger)

    await chain.send(good)
    await chain.mine()
    block = CBlock.deserialize(chain.kernel.block(chain.kernel.tip.block))

    assert [tx.GetTxid() for tx in block.vtx][1] == good.txid
    assert block.calc_merkle_root() == block.hashMerkleRoot


async def test_an_empty_wallet_says_so(chain: EmbeddedChain) -> None:
    """With what it has and what is needed; nothing is lost."""
    anchor = Anchor(chain)
    chain.scanner.follower.coins.clear()
    report = await anchor.round(root(1))

    assert isinstance(report.held[1], WalletEmpty)
    assert "the wallet has 0 satoshis" in str(report.held[1])
    assert anchor.log == []


async def test_the_miner_works_while_somebody_waits_and_rests_otherwise(folder: Path) -> None:
    """A receipt is final by itself; an idle chain writes nothing."""
    chain = await EmbeddedChain.open(folder, block_every_s=0.01)
    anchor = Anchor(chain)
    work = asyncio.create_task(chain.work())
    height = chain.kernel.tip.height
    await anchor.round(root(1))
    async with asyncio.timeout(60):
        while anchor.status() != "final":
            await asyncio.sleep(0.01)
            await anchor.round()
    rested = chain.kernel.tip.height
    await chain.look(Watch())
    await asyncio.sleep(0.1)

    assert rested <= height + 9
    assert chain.kernel.tip.height == rested
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    await chain.close()


def test_without_the_library_the_advice_is_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On a platform without wheels, too."""
    monkeypatch.setitem(sys.modules, "pbk", None)
    with pytest.raises(StoreUnusable, match="install the extra `anchor`"):
        Kernel(tmp_path)
