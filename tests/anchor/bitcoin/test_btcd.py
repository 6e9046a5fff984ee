"""Against a real node that is not Bitcoin Core and not ours: btcd, over the wire. Run by `make test-btcd`, which builds it.

It has no wallet and no fee estimator: the key is ours, and proofs are made out of blocks.
"""

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from anchor.bitcoin.chain import Request
from anchor.bitcoin.errors import ChainUnavailable, ChainWrong, TxRefused, WalletEmpty
from anchor.bitcoin.publications import committed
from anchor.bitcoin.remote.node import NodeChain
from anchor.bitcoin.remote.rpc import Rpc, RpcError
from anchor.receipt.bitcoin.encoding import display
from anchor.receipt.bitcoin.transaction import TxOut
from tests.anchor.bitcoin.bench import KEY, Anchor, root

BTCD = os.environ.get("BTCD") or shutil.which("btcd")
pytestmark = pytest.mark.skipif(BTCD is None, reason="no btcd: `make test-btcd` builds it where there is Go")
WAIT_S = 60.0


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Btcd:
    """One node on the regression test network, which mines to the tests' key."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.rpc = Rpc(f"http://user:secret@127.0.0.1:{self.port}", timeout_s=30)
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Returns when it answers."""
        self.process = await asyncio.create_subprocess_exec(
            str(BTCD), "--regtest", f"--datadir={self.folder}", f"--logdir={self.folder}", "--notls", "--nolisten", "--rpcuser=user",
            "--rpcpass=secret", f"--rpclisten=127.0.0.1:{self.port}", f"--miningaddr={KEY.address('regtest')}", "--configfile=/dev/null",
            stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        async with asyncio.timeout(WAIT_S):
            while True:
                try:
                    await self.rpc.call("getblockcount")
                except ChainUnavailable:
                    assert self.process.returncode is None, "btcd ended"
                    await asyncio.sleep(0.05)
                else:
                    return

    async def stop(self) -> None:
        """Kill it; btcd begins this network anew at each start."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def mine(self, count: int = 1) -> None:
        """Mine with what waits."""
        await self.rpc.call("generate", count)

    async def reorganise(self, depth: int) -> None:
        """Make the last blocks invalid: what they held waits again, and others take their place."""
        height = await self.rpc.call("getblockcount")
        await self.rpc.call("invalidateblock", await self.rpc.call("getblockhash", height - depth + 1))

    async def chain(self) -> NodeChain:
        """A backend for it."""
        chain = NodeChain(self.rpc, "regtest", KEY)
        await chain.begin()
        return chain


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Btcd]:
    """A node with coins that can be spent."""
    started = Btcd(tmp_path)
    await started.start()
    await started.mine(102)
    yield started
    await started.stop()


async def test_a_publication_on_a_foreign_node_from_blocks_alone(node: Btcd) -> None:
    """Built, accepted, mined, proven; then reorganised away, and mined again in other blocks."""
    chain = await node.chain()
    anchor = Anchor(chain)
    await anchor.round(root(1))
    assert anchor.status() == "broadcast"
    await node.mine(3)
    await anchor.round()
    first = anchor.publishing[1].place

    await node.reorganise(3)
    await anchor.round()
    assert anchor.status() == "broadcast"
    await node.mine(7)
    await anchor.round()

    assert anchor.kinds() == "built broadcast mined reorged mined final"
    proof = anchor.proof()
    assert proof.committed == committed([root(1)])
    assert proof.block != first.block


async def test_a_replacement_is_taken_and_a_meagre_one_refused(node: Btcd) -> None:
    """Btcd's own rules for replacements (BIP 125), which nobody here wrote."""
    chain = await node.chain()
    anchor = Anchor(chain)
    await anchor.round(root(1))
    built = anchor.publishing[1].newest
    meagre = Request(
        number=1, committed=built.tx.outputs[0].script[6:], rate=1.0, max_fee_sat=9999, min_fee_sat=built.fee_sat + 1,
        spends=anchor.publishing[1].spends,
    )  # fmt: skip
    with pytest.raises(TxRefused) as refusal:
        await chain.send((await chain.draft(meagre)).tx)
    assert refusal.value.fee

    # Three blocks ago: btcd mines what it has, so it cannot be made to wait.
    anchor.publishing[1].attempts[0] = replace(built, height=built.height - 3)
    await anchor.round()

    assert len(anchor.txids()) == 2
    assert await chain.is_pooled(anchor.txids()[1])
    assert not await chain.is_pooled(anchor.txids()[0])
    await node.mine(7)
    await anchor.round()
    assert anchor.proof().txid == anchor.txids()[1]


async def test_what_the_node_refuses_is_told_in_its_words(node: Btcd) -> None:
    """A signature that was changed, more paid out than in, a coin that is not there; and sending twice is no error."""
    chain = await node.chain()
    good = (await chain.draft(Request(number=1, committed=bytes(32), rate=1.0, max_fee_sat=999))).tx
    greedy = replace(good, outputs=(good.outputs[0], TxOut(10**12, KEY.script)))
    for bad in (greedy, replace(good, lock_time=1)):
        with pytest.raises(TxRefused):
            await chain.send(bad)

    await chain.send(good)
    await chain.send(good)
    await node.mine()
    await chain.send(good)

    assert (await chain.source.tip()).height == 103


async def test_a_node_that_hangs_for_a_day_costs_time_only(node: Btcd) -> None:
    """Stopped in the middle (SIGSTOP): each question ends in time, and the publication goes on when the node does."""
    chain = NodeChain(Rpc(f"http://user:secret@127.0.0.1:{node.port}", timeout_s=0.5), "regtest", KEY)
    await chain.begin()
    anchor = Anchor(chain)
    await anchor.round(root(1))
    node.process.send_signal(signal.SIGSTOP)
    for _ in range(2):
        with pytest.raises(ChainUnavailable, match=r"did not answer within 0\.5 s"):
            await anchor.round()
        anchor.now_ms += 86_400_000
        anchor.restart()

    node.process.send_signal(signal.SIGCONT)
    anchor.chain = await node.chain()
    anchor.restart()
    await node.mine(7)
    await anchor.round()

    assert anchor.status() == "final"


async def test_the_node_must_be_the_one_that_was_meant(node: Btcd) -> None:
    """Another network, a wrong password, and a wallet that has nothing."""
    with pytest.raises(ChainWrong, match="main, as the operator said, not regtest"):
        await NodeChain(node.rpc, "main", KEY).begin()
    with pytest.raises(ChainUnavailable, match="refuses our user and password"):
        await Rpc(f"http://user:wrong@127.0.0.1:{node.port}").call("getblockcount")
    with pytest.raises(RpcError):
        await node.rpc.call("getblock", display(bytes(32)), 0)

    await node.reorganise(102)
    report = await Anchor(await node.chain()).round(root(1))

    assert isinstance(report.held[1], WalletEmpty)
