"""A Bitcoin node asked by JSON-RPC, and a wallet of one key of ours: nothing but blocks and a mempool is asked of the node.

Guarantees what `Chain` asks for, from any node that knows `getblockchaininfo`, `getblockhash`, `getblockheader`, `getblock`, `getrawtransaction`
and `sendrawtransaction`: Bitcoin Core, also pruned as far as the wallet has read, or btcd. Our coins, and where our transactions are, are read out of
the blocks themselves, each of which must have its work and its transactions; proofs are made of them, too.
`estimatesmartfee` and `testmempoolaccept` are used where the node has them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from anchor.bitcoin.block import Block, parse_block
from anchor.bitcoin.chain import Draft, Network, Request, View, Watch
from anchor.bitcoin.errors import ChainUnavailable, ChainWrong, TxRefused
from anchor.bitcoin.follower import Follower
from anchor.bitcoin.keys import Key
from anchor.bitcoin.paying import pay
from anchor.bitcoin.publications import Place, Tip
from anchor.bitcoin.remote.networks import check_genesis
from anchor.bitcoin.remote.rpc import METHOD_UNKNOWN, Rpc, RpcError, field
from anchor.bitcoin.scanner import Scanner
from anchor.receipt.bitcoin import spv
from anchor.receipt.bitcoin.encoding import display, from_display
from anchor.receipt.bitcoin.header import Header, check_work
from anchor.receipt.bitcoin.transaction import Outpoint, Transaction
from anchor.receipt.errors import Malformed, ReceiptError

__all__ = ["Node", "NodeChain", "RpcSource", "is_about_fees"]

_NAMES = {"main": "main", "mainnet": "main", "testnet4": "testnet4", "signet": "signet", "regtest": "regtest"}
_UNKNOWN_BLOCK = -5
_OUT_OF_RANGE = (-8, -1)
_UNKNOWN_TX = -5
_ALREADY_MINED = -27
_KNOWN = (
    "already exists",
    "already in mempool",
    "already-in-mempool",
    "already-known",
    "already have transaction",
    "already in utxo",
)
_SAT_KVB = 100_000
"""From bitcoin a thousand virtual bytes to satoshis a virtual byte."""
_FORK_BLOCKS = 2000


class RpcSource:
    """A node's blocks, each checked; `network` is what the operator says that it is on."""

    def __init__(self, rpc: Rpc, network: Network) -> None:
        self.rpc, self.network = rpc, network
        self._known = False

    async def tip(self) -> Tip:
        """The last block of the node's chain; raises `ChainUnavailable` while it still catches up with the network."""
        said = await self.rpc.call("getblockchaininfo")
        chain = field(said, "chain", str, "getblockchaininfo")
        if _NAMES.get(chain) != self.network:
            raise ChainWrong(
                "getblockchaininfo.chain", f"{self.network}, as the operator said, not {chain[:20]}"
            )
        if self.network != "regtest" and isinstance(said, dict) and said.get("initialblockdownload") is True:
            raise ChainUnavailable("the node is still reading old blocks: wait until it has caught up")
        height = field(said, "blocks", int, "getblockchaininfo")
        if not 0 <= height < 1 << 31:
            raise ChainWrong("getblockchaininfo.blocks", "a height")
        if not self._known:
            check_genesis(self.network, await self.hash_at(0))
            self._known = True
        return Tip(height, _hash(field(said, "bestblockhash", str, "getblockchaininfo"), "bestblockhash"))

    async def hash_at(self, height: int) -> bytes | None:
        """The block at that height, None above the tip."""
        try:
            return _hash(await self.rpc.call("getblockhash", height), "getblockhash")
        except RpcError as error:
            if error.code in _OUT_OF_RANGE:
                return None
            raise ChainUnavailable(str(error)) from None

    async def header(self, name: bytes) -> Header | None:
        """The header of that hash, with its work; None where the node does not know it."""
        try:
            raw = _bytes(await self.rpc.call("getblockheader", display(name), False), "getblockheader")  # noqa: FBT003
        except RpcError as error:
            if error.code == _UNKNOWN_BLOCK:
                return None
            raise ChainUnavailable(str(error)) from None
        try:
            return self._checked(Header.parse(raw), name)
        except ReceiptError as error:
            raise ChainWrong("getblockheader", str(error)) from None

    async def block(self, name: bytes) -> Block:
        """The block of that hash, with its work and its transactions."""
        try:
            raw = _bytes(await self.rpc.call("getblock", display(name), 0), "getblock")
        except RpcError as error:
            raise ChainUnavailable(f"block {display(name)}: {error}") from None
        try:
            block = parse_block(raw)
            self._checked(block.header, name)
        except ReceiptError as error:
            raise ChainWrong("getblock", str(error)) from None
        return block

    async def fork(self, tip: Tip) -> int:
        """Where the branch of `tip` left the chain; far below it, where the node no longer knows the branch."""
        name, height = tip.block, tip.height
        while height > 0 and await self.hash_at(height) != name:
            header = await self.header(name)
            if header is None:
                return max(0, tip.height - _FORK_BLOCKS)
            name, height = header.previous, height - 1
        return height

    def _checked(self, header: Header, name: bytes) -> Header:
        if header.hash != name:
            raise Malformed("header", f"block {display(name)} was asked for")
        check_work(header, self.network)
        return header


class Node(ABC):
    """What both wallets share: everything but choosing coins and signing."""

    def __init__(
        self, rpc: Rpc, network: Network, scanner: Callable[[RpcSource], Scanner], target: int
    ) -> None:
        self.network: Network = network
        self.name: str = network
        self.rpc, self.source, self._target = rpc, RpcSource(rpc, network), target
        self.scanner = scanner(self.source)
        self._watch = Watch()

    def __repr__(self) -> str:
        """Whom it asks."""
        return f"{type(self).__name__}({self.rpc!r}, {self.network})"

    async def begin(self) -> None:
        """Find out whether the node is what the operator says."""
        await self.source.tip()
        if self.network == "regtest":
            first = await self.source.hash_at(1) or b""
            self.name = f"regtest:{display(first)[:16]}"

    async def close(self) -> None:
        """Keep what was read for the next start."""
        self.scanner.save()

    async def work(self) -> None:
        """Return at once: others mine."""
        return

    async def look(self, watch: Watch) -> View:
        """What the node holds now."""
        self._watch = watch
        follower = await self.scanner.advance(watch)
        waiting = [txid for txid in watch.waiting if txid not in follower.mined]
        spent = follower.spenders(watch.spends)
        return View(
            tip=follower.tip,
            mined=dict(follower.mined),
            pooled=frozenset([txid for txid in waiting if await self.is_pooled(txid)]),
            spent=spent,
            missing=frozenset(
                [
                    coin
                    for coin in watch.spends
                    if coin not in spent and await self._is_missing(coin, follower)
                ]
            ),
            rate=await self._rate(),
        )

    @abstractmethod
    async def draft(self, request: Request) -> Draft:
        """A signed transaction."""

    async def send(self, tx: Transaction) -> None:
        """To the node; raises `TxRefused` with the node's reason."""
        raw = tx.encode().hex()
        await self._try(raw)
        try:
            await self.rpc.call("sendrawtransaction", raw)
        except RpcError as error:
            if error.code != _ALREADY_MINED and not _is_known(error.said):
                raise TxRefused(error.said, fee=is_about_fees(error.said)) from None

    async def prove(self, place: Place, successors: int) -> spv.SpvProof:
        """The proof out of the block itself; raises `ChainWrong` where the transaction is not there."""
        block = await self.source.block(place.block)
        headers = []
        for step in range(1 + successors):
            name = await self.source.hash_at(place.height + step)
            header = None if name is None else await self.source.header(name)
            if header is None:
                raise ChainUnavailable("the chain was reorganised while a proof was made")
            headers.append(header)
        try:
            return spv.make(block.transactions, place.txid, headers)
        except ReceiptError as error:
            raise ChainWrong("getblock", str(error)) from None

    async def is_pooled(self, txid: bytes) -> bool:
        """Whether a transaction waits in the node's mempool."""
        try:
            said = await self.rpc.call("getrawtransaction", display(txid), 1)
        except RpcError as error:
            if error.code == _UNKNOWN_TX:
                return False
            raise ChainUnavailable(str(error)) from None
        # With an index of transactions the node also tells of mined ones.
        return field(said, "txid", str, "getrawtransaction") == display(txid) and not said.get("blockhash")

    @abstractmethod
    async def _is_missing(self, coin: Outpoint, follower: Follower) -> bool:
        """Whether a coin that nobody spent in a block is not there at all."""

    async def _try(self, raw: str) -> None:
        """Ask first: what would be refused is then not passed on, nor remembered by the node's wallet."""
        try:
            said = await self.rpc.call("testmempoolaccept", [raw], 0.1)
        except RpcError as error:
            if error.code == METHOD_UNKNOWN:
                return
            raise TxRefused(error.said, fee=is_about_fees(error.said)) from None
        if not isinstance(said, list) or len(said) != 1:
            raise ChainWrong("testmempoolaccept", "one answer for one transaction")
        # btcd leaves `allowed` out where it is false.
        if isinstance(said[0], dict) and said[0].get("allowed") is True:
            return
        reason = field(said[0], "reject-reason", str, "testmempoolaccept")[:200]
        if not _is_known(reason):
            raise TxRefused(reason, fee=is_about_fees(reason))

    async def _rate(self) -> float | None:
        try:
            said = await self.rpc.call("estimatesmartfee", self._target)
        except RpcError:
            return None
        if not isinstance(said, dict) or said.get("feerate") is None:
            return None
        rate = field(said, "feerate", Decimal, "estimatesmartfee")
        if not 0 < rate < 1:
            raise ChainWrong(
                "estimatesmartfee.feerate", "more than 0 and less than 1 bitcoin for 1000 virtual bytes"
            )
        return float(rate * _SAT_KVB)


class NodeChain(Node):
    """A node, and our key; `birth` is a height before the key's first coin."""

    def __init__(
        self,
        rpc: Rpc,
        network: Network,
        key: Key,
        *,
        birth: int = 0,
        snapshot: Path | None = None,
        target: int = 6,
    ) -> None:
        self.key = key
        super().__init__(
            rpc,
            network,
            lambda source: Scanner(source, script=key.script, birth=birth, snapshot=snapshot),
            target,
        )

    async def draft(self, request: Request) -> Draft:
        """A transaction signed with our key."""
        follower = await self.scanner.advance(self._watch)
        return pay(request, follower.spendable(), self.key)

    async def _is_missing(self, coin: Outpoint, follower: Follower) -> bool:
        return coin not in follower.coins and not await self.is_pooled(coin.txid)


def is_about_fees(reason: str) -> bool:
    """Whether a higher fee may help, by the words of Bitcoin Core and btcd."""
    said = reason.lower()
    too_high = ("max-fee", "max fee", "maxfeerate", "absurdly")
    return "fee" in said and not any(word in said for word in too_high)


def _is_known(reason: str) -> bool:
    said = reason.lower().replace("txn-", "")
    return any(word in said for word in _KNOWN)


def _hash(said: object, what: str) -> bytes:
    try:
        return from_display(said, what)
    except Malformed as error:
        raise ChainWrong(what, error.limit) from None


def _bytes(said: object, what: str) -> bytes:
    try:
        return bytes.fromhex(said) if isinstance(said, str) else b""
    except ValueError:
        raise ChainWrong(what, "bytes in hexadecimal") from None
