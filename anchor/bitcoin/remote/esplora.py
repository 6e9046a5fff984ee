"""A server that speaks Esplora's HTTP, for those who run no node, and a wallet of one key of ours.

Guarantees that nothing it says counts as a proof: a publication is final only with headers and transactions that are checked here. Until then it
is believed, and can at worst make us wait, pay a fee twice within the caps, or be told of by `ChainWrong`.
It learns which transactions are ours. Interface: Esplora's API.md.
"""

import json
import math
from typing import Any

from anchor.bitcoin.block import parse_block
from anchor.bitcoin.chain import Draft, Network, Request, Spender, View, Watch
from anchor.bitcoin.errors import ChainUnavailable, ChainWrong, TxRefused
from anchor.bitcoin.keys import Key
from anchor.bitcoin.paying import Coin, pay
from anchor.bitcoin.publications import Place, Tip
from anchor.bitcoin.remote.http import exchange, parse_url
from anchor.bitcoin.remote.networks import check_genesis
from anchor.bitcoin.remote.node import is_about_fees
from anchor.bitcoin.remote.rpc import field
from anchor.receipt.bitcoin import spv
from anchor.receipt.bitcoin.encoding import display, from_display
from anchor.receipt.bitcoin.header import Header
from anchor.receipt.bitcoin.transaction import Outpoint, Transaction
from anchor.receipt.errors import Malformed, ReceiptError

__all__ = ["EsploraChain"]

_OK, _BAD, _MISSING = 200, 400, 404
_MOST_BYTES = 8 * 1024 * 1024
_MOST_SAID = 300
_MOST_RATE = 100_000


class EsploraChain:
    """A server at `url` (as in https://host/api), and our key."""

    def __init__(
        self, url: str, network: Network, key: Key, *, target: int = 6, timeout_s: float = 20.0
    ) -> None:
        self.network: Network = network
        self.name: str = network
        self.key, self._target, self._timeout_s = key, str(target), timeout_s
        self._url = parse_url("chain", url)
        self._held: tuple[Tip, frozenset[Place]] | None = None

    def __repr__(self) -> str:
        """Whom it asks."""
        return f"EsploraChain({self._url.hostname}, {self.network})"

    async def begin(self) -> None:
        """Find out whether the server is of the network that the operator means."""
        check_genesis(self.network, await self._hash_at(0))
        if self.network == "regtest":
            self.name = f"regtest:{display(await self._hash_at(1) or b'')[:16]}"

    async def close(self) -> None:
        """Nothing is kept open."""

    async def work(self) -> None:
        """Return at once: others mine."""

    async def look(self, watch: Watch) -> View:
        """What the server says now."""
        tip = await self._tip()
        mined = {place.txid: place for place in watch.places if await self._holds(place, tip, watch.final)}
        known = {
            txid: await self._status(txid) for txid in watch.txids if self._may_have_moved(txid, watch, mined)
        }
        mined |= {txid: place for txid, place in known.items() if isinstance(place, Place)}
        spent = {coin: by for coin in watch.spends if (by := await self._spender(coin)) is not None}
        missing = [
            coin for coin in watch.spends if coin not in spent and await self._status(coin.txid) is None
        ]
        return View(
            tip=tip,
            mined=mined,
            pooled=frozenset(txid for txid, status in known.items() if status is True),
            spent=spent,
            missing=frozenset(missing),
            rate=await self._rate(),
        )

    async def draft(self, request: Request) -> Draft:
        """A transaction signed with our key."""
        said = await self._json(f"/address/{self.key.address(self.network)}/utxo")
        if not isinstance(said, list):
            raise ChainWrong("utxo", "a list")
        return pay(request, [coin for each in said if (coin := _coin(each)) is not None], self.key)

    async def send(self, tx: Transaction) -> None:
        """To the server's node; raises `TxRefused` with its reason."""
        answer = await self._ask("/tx", tx.encode().hex().encode())
        if answer.status == _OK:
            return
        reason = answer.body.decode("utf-8", "replace")[:_MOST_SAID]
        if answer.status != _BAD:
            raise ChainUnavailable(f"{self!r} answers {answer.status}: {reason}")
        if "already" not in reason:
            raise TxRefused(reason, fee=is_about_fees(reason))

    async def prove(self, place: Place, successors: int) -> spv.SpvProof:
        """The proof out of the block itself."""
        try:
            block = parse_block(await self._raw(f"/block/{display(place.block)}/raw"))
            names = [await self._hash_at(place.height + step) for step in range(1 + successors)]
            headers = [await self._header(name) for name in names if name is not None]
            return spv.make(block.transactions, place.txid, headers)
        except ReceiptError as error:
            raise ChainWrong("block", str(error)) from None

    @staticmethod
    def _may_have_moved(txid: bytes, watch: Watch, mined: dict[bytes, Place]) -> bool:
        """One that waits, or was in a block that is no longer there."""
        return txid in watch.waiting or any(
            place.txid == txid and txid not in mined for place in watch.places
        )

    async def _tip(self) -> Tip:
        name = await self._text("/blocks/tip/hash")
        said = await self._json(f"/block/{display(_hash(name, 'tip'))}")
        height = field(said, "height", int, "block")
        return Tip(height, _hash(name, "tip"))

    async def _holds(self, place: Place, tip: Tip, final: frozenset[bytes]) -> bool:
        """Whether a transaction is still where it was; it is asked again when the tip has changed.

        Until that is proven the server is asked for the transaction, too: it may have told of a block that is there, and does not hold it.
        """
        if self._held is None or self._held[0] != tip:
            self._held = tip, frozenset()
        if place in self._held[1]:
            return True
        holds = await self._hash_at(place.height) == place.block
        if holds and place.txid not in final:
            holds = await self._status(place.txid) == place
        if holds:
            self._held = tip, self._held[1] | {place}
        return holds

    async def _status(self, txid: bytes) -> Place | bool | None:
        """Where it was mined; True in the mempool, None unknown."""
        answer = await self._ask(f"/tx/{display(txid)}")
        if answer.status == _MISSING:
            return None
        said = _document(self._good(answer.status, answer.body), "tx")
        if field(said, "txid", str, "tx") != display(txid):
            raise ChainWrong("tx.txid", "the one that was asked for")
        status = said.get("status")
        if not field(status, "confirmed", bool, "tx.status"):
            return True
        height = field(status, "block_height", int, "tx.status")
        return Place(txid, height, _hash(status.get("block_hash"), "tx.status.block_hash"))

    async def _spender(self, coin: Outpoint) -> Spender | None:
        answer = await self._ask(f"/tx/{display(coin.txid)}/outspend/{coin.vout}")
        if answer.status == _MISSING:
            return None
        said = _document(self._good(answer.status, answer.body), "outspend")
        if not field(said, "spent", bool, "outspend"):
            return None
        status = said.get("status")
        if not field(status, "confirmed", bool, "outspend.status"):
            return None
        return Spender(
            _hash(said.get("txid"), "outspend.txid"), field(status, "block_height", int, "outspend.status")
        )

    async def _rate(self) -> float | None:
        said = await self._json("/fee-estimates")
        rate = said.get(self._target) if isinstance(said, dict) else None
        if rate is None:
            return None
        if not isinstance(rate, int | float) or not math.isfinite(rate) or not 0 < rate < _MOST_RATE:
            raise ChainWrong(
                f"fee-estimates.{self._target}", f"more than 0 and less than {_MOST_RATE} sat/vB"
            )
        return float(rate)

    async def _hash_at(self, height: int) -> bytes | None:
        answer = await self._ask(f"/block-height/{height}")
        if answer.status == _MISSING:
            return None
        return _hash(
            self._good(answer.status, answer.body).decode("ascii", "replace").strip(), "block-height"
        )

    async def _header(self, name: bytes) -> Header:
        text = await self._text(f"/block/{display(name)}/header")
        try:
            return Header.parse(bytes.fromhex(text))
        except ValueError:
            raise ChainWrong("header", "80 bytes in hexadecimal") from None

    async def _text(self, path: str) -> str:
        return (await self._raw(path)).decode("ascii", "replace").strip()

    async def _json(self, path: str) -> Any:
        return _document(await self._raw(path), path)

    async def _raw(self, path: str) -> bytes:
        answer = await self._ask(path)
        return self._good(answer.status, answer.body)

    async def _ask(self, path: str, body: bytes | None = None) -> Any:
        base = self._url.path.rstrip("/")
        return await exchange(
            self._url, base + path, body=body, timeout_s=self._timeout_s, most_bytes=_MOST_BYTES
        )

    def _good(self, status: int, body: bytes) -> bytes:
        if status != _OK:
            said = body[:_MOST_SAID].decode("utf-8", "replace")
            raise ChainUnavailable(f"{self!r} answers {status}: {said}")
        return body


def _document(body: bytes, what: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ChainWrong(what, "one JSON document") from None


def _coin(said: object) -> Coin | None:
    """A confirmed coin of ours."""
    status = said.get("status") if isinstance(said, dict) else None
    if not field(status, "confirmed", bool, "utxo.status"):
        return None
    txid = _hash(field(said, "txid", str, "utxo"), "utxo.txid")
    value = field(said, "value", int, "utxo")
    vout = field(said, "vout", int, "utxo")
    if not (0 <= value < 1 << 63 and 0 <= vout < 1 << 32):
        raise ChainWrong("utxo", "an output and its value")
    return Coin(Outpoint(txid, vout), value)


def _hash(said: object, what: str) -> bytes:
    try:
        return from_display(said, what)
    except Malformed as error:
        raise ChainWrong(what, error.limit) from None
