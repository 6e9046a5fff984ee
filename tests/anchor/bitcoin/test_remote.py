"""Nodes of others: what they answer is used where it can be true, and is an error that says why where it cannot."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anchor.bitcoin.chain import Request
from anchor.bitcoin.decisions import FeePolicy
from anchor.bitcoin.embedded.chain import EmbeddedChain
from anchor.bitcoin.errors import (
    BitcoinError,
    ChainUnavailable,
    ChainWrong,
    FeeCapReached,
    WalletEmpty,
    WalletLocked,
)
from anchor.bitcoin.publications import Tip, committed
from anchor.bitcoin.remote.core import CoreChain
from anchor.bitcoin.remote.esplora import EsploraChain
from anchor.bitcoin.remote.node import NodeChain, is_about_fees
from anchor.bitcoin.remote.psbt import read_psbt
from anchor.bitcoin.remote.rpc import Rpc
from anchor.errors import SettingsRefused
from anchor.receipt.errors import Malformed
from tests.anchor.bitcoin.bench import KEY, Anchor, published, root
from tests.anchor.bitcoin.scripted import COOKIE, Server, core, esplora, serving

type AnyChain = CoreChain | NodeChain | EsploraChain


@pytest.fixture
def cookie(tmp_path: Path) -> Path:
    """The file that Bitcoin Core writes when it starts."""
    path = tmp_path / ".cookie"
    path.write_text(COOKIE + "\n")
    return path


@pytest.fixture
async def node(chain: EmbeddedChain) -> AsyncIterator[Server]:
    """A node that answers as Bitcoin Core does."""
    async with serving(Server(chain), core) as server:
        yield server


@pytest.fixture
async def explorer(chain: EmbeddedChain) -> AsyncIterator[Server]:
    """A server that answers as Esplora does."""
    async with serving(Server(chain), esplora) as server:
        yield server


async def with_wallet(node: Server, cookie: Path, timeout_s: float = 60.0) -> CoreChain:
    """Bitcoin Core's own wallet."""
    made = CoreChain(Rpc(node.url, cookie=cookie, timeout_s=timeout_s), "regtest")
    await made.begin()
    return made


async def made_of(kind: str, node: Server, explorer: Server, cookie: Path) -> AnyChain:
    """A backend of each kind."""
    rpc = Rpc(node.url, cookie=cookie)
    made: AnyChain = {
        "core": lambda: CoreChain(rpc, "regtest"),
        "node": lambda: NodeChain(rpc, "regtest", node.chain.key),
        "esplora": lambda: EsploraChain(explorer.url + "/", "regtest", explorer.chain.key),
    }[kind]()
    await made.begin()
    return made


@pytest.mark.parametrize("kind", ["core", "node", "esplora"])
async def test_a_publication_over_the_wire(
    kind: str, chain: EmbeddedChain, node: Server, explorer: Server, cookie: Path
) -> None:
    """Built, replaced as fees rise, mined, reorganised, mined again and proven: by every backend."""
    backend = await made_of(kind, node, explorer, cookie)
    assert backend.name == chain.name
    anchor = Anchor(backend)
    await anchor.round(root(1))
    chain.estimate_sat_vb = 6.0
    await chain.mine(3, empty=True)
    await anchor.round()
    assert len(anchor.txids()) == 2
    await chain.mine(2)
    await anchor.round()
    assert anchor.status() == "mined"

    height = chain.kernel.tip.height - 2
    await chain.mine(3, on=Tip(height, chain.kernel.hash_at(height)), empty=True)
    anchor.restart()
    await anchor.round()
    assert anchor.status() == "broadcast"
    await chain.mine(7)
    await anchor.round()

    assert anchor.kinds() == "built broadcast built mined reorged mined final"
    assert anchor.proof().committed == committed([root(1)])
    assert published(chain) == {committed([root(1)]): 1}


@pytest.mark.parametrize("kind", ["core", "node", "esplora"])
async def test_a_coin_that_others_spent_is_found_out(
    kind: str, chain: EmbeddedChain, node: Server, explorer: Server, cookie: Path
) -> None:
    """The node says who spent it, and six blocks later another one is taken."""
    backend = await made_of(kind, node, explorer, cookie)
    anchor = Anchor(backend)
    await anchor.round(root(1))
    coin = anchor.publishing[1].spends
    chain.mempool.drop(anchor.txids()[0])
    rival = Request(number=9, committed=bytes(32), rate=3.0, max_fee_sat=9999, spends=coin)
    await chain.send((await chain.draft(rival)).tx)
    await chain.mine(7)
    await anchor.round()

    assert anchor.kinds() == "built broadcast stranded built broadcast"
    assert anchor.publishing[1].spends != coin


@pytest.mark.parametrize("version", [0, 2])
async def test_the_wallet_is_shown_what_it_signs_first(node: Server, cookie: Path, version: int) -> None:
    """Proposed, read here, signed, tried, and only then sent: the calls that Bitcoin Core documents, in this order."""
    node.psbt_version = version
    backend = await with_wallet(node, cookie)
    anchor = Anchor(backend)
    node.asked.clear()
    await anchor.round(root(1))

    calls = [call for call in node.asked if "psbt" in call or "accept" in call or "send" in call]
    assert calls == [
        "walletcreatefundedpsbt", "walletprocesspsbt", "finalizepsbt", "testmempoolaccept", "sendrawtransaction",
    ]  # fmt: skip
    assert anchor.status() == "broadcast"


async def test_a_locked_or_empty_wallet_says_what_to_do(node: Server, cookie: Path) -> None:
    """Nothing is lost, no coin stays locked, and when it is unlocked the publication goes on."""
    anchor = Anchor(await with_wallet(node, cookie))
    node.locked = True
    report = await anchor.round(root(1))
    assert isinstance(report.held[1], WalletLocked)
    assert "walletpassphrase" in str(report.held[1])
    assert not node.locks

    node.locked, node.empty = False, True
    report = await anchor.round(root(1))
    assert isinstance(report.held[1], WalletEmpty)
    assert "has not got enough confirmed coins and needs about 165 satoshis" in str(report.held[1])
    assert anchor.log == []

    node.empty = False
    await anchor.round(root(1))
    assert anchor.status() == "broadcast"


async def test_fees_above_the_cap_are_not_signed(node: Server, cookie: Path, chain: EmbeddedChain) -> None:
    """Neither by estimate, nor where the wallet proposes more than it was asked for."""
    anchor = Anchor(await with_wallet(node, cookie), FeePolicy(per_anchor_sat=500))
    chain.estimate_sat_vb = 90.0
    report = await anchor.round(root(1))
    assert "per_anchor_sat" in str(report.held[1])
    chain.estimate_sat_vb = 1.0
    node.lies["walletcreatefundedpsbt"] = lambda said: said | {"psbt": costing(said["psbt"], 501)}
    report = await anchor.round(root(1))

    assert isinstance(report.held[1], FeeCapReached)
    assert "proposes 501 satoshis, the caps leave 500" in str(report.held[1])
    assert "walletprocesspsbt" not in node.asked
    assert not node.locks
    assert anchor.log == []


def costing(psbt: str, fee: int) -> str:
    """The same proposal with less change."""
    raw = base64.b64decode(psbt)
    proposal = read_psbt(raw)
    change = proposal.outputs[1].value
    less = change - (fee - proposal.fee_sat)
    return base64.b64encode(raw.replace(change.to_bytes(8, "little"), less.to_bytes(8, "little"))).decode()


def elsewhere(psbt: str) -> str:
    """The same proposal, with other bytes in the commitment."""
    raw = base64.b64decode(psbt)
    at = raw.index(b"\x6a\x24AVCP") + 6
    return base64.b64encode(raw[:at] + bytes(32) + raw[at + 32 :]).decode()


CORE_LIES: list[tuple[str, Callable[[Any], Any], str]] = [
    ("getblockchaininfo", lambda said: said | {"chain": "main"}, "getblockchaininfo.chain"),
    ("getblockchaininfo", lambda said: said | {"blocks": "7"}, "getblockchaininfo.blocks"),
    ("getblockchaininfo", lambda said: said | {"blocks": -1}, "getblockchaininfo.blocks"),
    ("getblockchaininfo", lambda _: None, "getblockchaininfo.chain"),
    ("getblockhash", lambda _: "xyz", "getblockhash"),
    ("getblock", lambda said: said[:-2], "getblock"),
    ("getblock", lambda said: said[:160] + "00", "getblock"),
    ("getblock", lambda _: 7, "getblock"),
    ("getrawtransaction", lambda _: [], "getrawtransaction.txid"),
    ("estimatesmartfee", lambda _: {"feerate": 1.5}, "estimatesmartfee.feerate"),
    ("estimatesmartfee", lambda _: {"feerate": -1}, "estimatesmartfee.feerate"),
    ("estimatesmartfee", lambda _: {"feerate": True}, "estimatesmartfee.feerate"),
    ("walletcreatefundedpsbt", lambda said: said | {"psbt": "AAAA"}, "walletcreatefundedpsbt.psbt"),
    ("walletcreatefundedpsbt", lambda said: said | {"psbt": elsewhere(said["psbt"])}, "walletcreatefundedpsbt.outputs"),
    ("walletcreatefundedpsbt", lambda said: said | {"psbt": costing(said["psbt"], 0)}, "walletcreatefundedpsbt.fee"),
    ("walletcreatefundedpsbt", lambda _: "psbt", "walletcreatefundedpsbt.psbt"),
    ("finalizepsbt", lambda said: said | {"hex": "00"}, "finalizepsbt.hex"),
    ("finalizepsbt", lambda said: said | {"hex": said["hex"].replace("41564350", "41564351")}, "finalizepsbt.hex"),
    ("finalizepsbt", lambda said: said | {"complete": 1}, "finalizepsbt.complete"),
    ("testmempoolaccept", lambda _: [], "testmempoolaccept"),
    ("testmempoolaccept", lambda _: [{"allowed": False, "reject-reason": 5}], "testmempoolaccept.reject-reason"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "lie", "named"), CORE_LIES)
async def test_an_answer_that_cannot_be_true_is_named_and_nothing_is_lost(
    node: Server, cookie: Path, method: str, lie: Callable[[Any], Any], named: str
) -> None:
    """Whatever it lied about: when it speaks the truth again, the publication goes through, once."""
    chain = node.chain
    # Blocks are read from the beginning for a key of ours only.
    kind = "node" if method == "getblock" else "core"
    anchor = Anchor(await made_of(kind, node, node, cookie))
    node.lies[method] = lie
    with pytest.raises(ChainWrong) as wrong:
        await anchor.round(root(1))
    assert wrong.value.field == named

    node.lies.clear()
    anchor.restart()
    await anchor.round(*(() if anchor.log else (root(1),)))
    await chain.mine(7)
    await anchor.round()

    assert anchor.status() == "final"
    assert published(chain) == {committed([root(1)]): 1}


ESPLORA_LIES: list[tuple[str, Callable[[Any], Any], str]] = [
    ("blocks/hash", lambda _: b"<html>", "tip"),
    ("block", lambda _: {"height": "x"}, "block.height"),
    ("fee-estimates", lambda _: {"6": 1e9}, "fee-estimates.6"),
    ("fee-estimates", lambda _: {"6": "2"}, "fee-estimates.6"),
    ("fee-estimates", lambda _: b"[", "/fee-estimates"),
    ("address/utxo", lambda _: {}, "utxo"),
    ("address/utxo", lambda _: [{"status": {"confirmed": True}, "txid": "00"}], "utxo.txid"),
    ("tx", lambda _: {"txid": "00" * 32, "status": {}}, "tx.txid"),
]


@pytest.mark.parametrize(("path", "lie", "named"), ESPLORA_LIES)
async def test_a_server_that_lies_is_told_so(
    explorer: Server, chain: EmbeddedChain, path: str, lie: Callable[[Any], Any], named: str
) -> None:
    """The error names what cannot be true."""
    backend = EsploraChain(explorer.url, "regtest", chain.key)
    await backend.begin()
    anchor = Anchor(backend)
    explorer.lies[path] = lie
    with pytest.raises(ChainWrong) as wrong:
        await anchor.round(root(1))
    assert wrong.value.field == named


async def test_a_confirmation_that_is_only_claimed_is_never_final(
    explorer: Server, chain: EmbeddedChain
) -> None:
    """The server tells of a block without the transaction, or of headers without work: there is no proof, so it is not final."""
    backend = EsploraChain(explorer.url, "regtest", chain.key)
    anchor = Anchor(backend)
    await anchor.round(root(1))
    await chain.mine(7, empty=True)
    block = {"confirmed": True, "block_height": 102, "block_hash": chain.kernel.hash_at(102)[::-1].hex()}
    ours = anchor.txids()[0][::-1].hex()
    explorer.lies["tx"] = lambda said: said | {"status": block} if said["txid"] == ours else said
    with pytest.raises(ChainWrong, match="is not in the block"):
        await anchor.round()
    assert anchor.status() == "mined"

    explorer.lies["block/header"] = lambda said: said[:-8] + b"00000000"
    explorer.lies.pop("tx")
    await chain.mine(7)
    with pytest.raises(ChainWrong, match="proof"):
        await anchor.round()
    assert anchor.kinds() == "built broadcast mined reorged mined"

    explorer.lies.clear()
    await anchor.round()
    assert anchor.status() == "final"


@pytest.mark.parametrize(
    ("raw", "error", "why"),
    [
        (lambda _: b"", ChainWrong, "HTTP"),
        (lambda _: b"hello\r\n\r\n", ChainWrong, "HTTP"),
        (lambda whole: whole[:-5], ChainWrong, "HTTP"),
        (lambda whole: whole.replace(b'"id": 1', b'"id": 2'), ChainWrong, "id: 1, as was asked"),
        (lambda _: b"HTTP/1.1 200 X\r\n\r\n[" * 40_000, ChainWrong, "one JSON document"),
        (lambda _: b"HTTP/1.1 503 X\r\n\r\nWork queue depth exceeded", ChainUnavailable, "busy"),
        (lambda _: b"HTTP/1.1 200 X\r\n\r\n" + b" " * (17 * 2**20), ChainWrong, "bytes are read"),
        (
            lambda _: (
                b'HTTP/1.1 500 X\r\n\r\n{"id":1,"error":{"code":-28,"message":"Loading block index"},"result":null}'
            ),
            ChainUnavailable,
            "starting: Loading",
        ),
        (lambda _: b'HTTP/1.1 500 X\r\n\r\n{"id":1,"error":{"code":"x"}}', ChainWrong, "code"),
    ],
)
async def test_whatever_comes_over_the_wire_ends_in_an_error_that_says_why(
    node: Server, cookie: Path, raw: Callable[[bytes], bytes], error: type[BitcoinError], why: str
) -> None:
    """Nothing, garbage, half an answer, somebody else's, too much of it."""
    node.raw = raw
    with pytest.raises(error, match=why):
        await Rpc(node.url, cookie=cookie).call("getblockchaininfo")


async def test_a_node_that_hangs_or_drips_is_not_waited_for(node: Server, cookie: Path) -> None:
    """The time is for the whole answer, not for each byte of it."""
    rpc = Rpc(node.url, cookie=cookie, timeout_s=0.3)
    for hang_s, drip_s in ((30.0, 0.0), (0.0, 0.1)):
        node.hang_s, node.drip_s = hang_s, drip_s
        async with asyncio.timeout(60):
            with pytest.raises(ChainUnavailable, match=r"within 0\.3 s"):
                await rpc.call("getblockchaininfo")


async def test_the_cookie_is_read_for_each_question(node: Server, tmp_path: Path) -> None:
    """A node that restarts writes another one."""
    written = {"old": "__cookie__:old", "new": COOKIE}
    rpcs = {name: Rpc(node.url, cookie=written_to(tmp_path / name, text)) for name, text in written.items()}
    with pytest.raises(ChainUnavailable, match="refuses our user and password"):
        await rpcs["old"].call("getblockchaininfo")
    written_to(tmp_path / "old", COOKIE)
    assert await rpcs["old"].call("getblockchaininfo") == await rpcs["new"].call("getblockchaininfo")

    with pytest.raises(ChainUnavailable, match=r"cookie .* cannot be read"):
        await Rpc(node.url, cookie=tmp_path / "none").call("getblockchaininfo")
    assert "secret" not in repr(Rpc("http://user:secret@127.0.0.1:1/wallet/a"))


def written_to(path: Path, text: str) -> Path:
    """The file, with that text."""
    path.write_text(text)
    return path


@pytest.mark.parametrize("url", ["", "127.0.0.1:8332", "ftp://host", "http://", "http://host:99999999"])
def test_a_url_that_is_none_is_refused_by_name(url: str) -> None:
    """Before anything is sent anywhere."""
    with pytest.raises(SettingsRefused, match="chain: a URL is asked for"):
        Rpc(url)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader_of_proposals_in_any_other_way(data: bytes) -> None:
    """Whatever it is, it is read or refused."""
    for head in (b"psbt\xff", b"psbt\xff\x01\x04\x01\x01\x01\x05\x01\x01\x00"):
        try:
            read_psbt(head + data)
        except Malformed:
            continue


@pytest.mark.parametrize(
    ("reason", "about"),
    [
        ("min relay fee not met, 100 < 157", True),
        ("mempool min fee not met", True),
        ("insufficient fee, rejecting replacement", True),
        ("max-fee-exceeded", False),
        ("bad-txns-inputs-missingorspent", False),
        ("replacement transaction has an insufficient fee rate", True),
    ],
)
def test_the_nodes_words_for_too_low_a_fee_are_known(reason: str, about: bool) -> None:  # noqa: FBT001 -- a parameter
    """Of Bitcoin Core and of btcd; too high a fee is another matter."""
    assert is_about_fees(reason) is about


async def test_a_wallet_of_another_key_is_empty(node: Server, cookie: Path) -> None:
    """The blocks are read for our coins only."""
    backend = NodeChain(Rpc(node.url, cookie=cookie), "regtest", KEY)
    await backend.begin()

    report = await Anchor(backend).round(root(1))

    assert isinstance(report.held[1], WalletEmpty)
