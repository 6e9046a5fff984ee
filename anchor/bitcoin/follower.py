"""Following a chain block by block: which coins a key has, which watched transactions are where, who spent what. Pure.

Guarantees that after any blocks and rewinds it says what a follower would that had only ever seen the blocks of the present chain, as far back
as its own beginning. Blocks come in order; a rewind goes to any height that is still known, else `Lost` asks for a new beginning.

A coin keeps its spender until the block of that is `KEPT` deep, so that a rewind needs no undo data.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from anchor.bitcoin.block import Block
from anchor.bitcoin.chain import Spender
from anchor.bitcoin.paying import DUST_SAT, Coin
from anchor.bitcoin.publications import Place, Tip
from anchor.receipt.bitcoin.transaction import Outpoint

__all__ = ["KEPT", "MATURITY", "Follower", "Held", "Lost"]

KEPT = 2000
"""Blocks that can be rewound."""
MATURITY = 100
"""Blocks on a coinbase before its outputs can be spent (consensus)."""
_SWEEP = 100


class Lost(Exception):
    """The chain was reorganised below what is known: begin anew."""


@dataclass(slots=True)
class Held:
    """A coin of ours, since `height`; `spent` says by whom."""

    value: int
    height: int
    coinbase: bool
    spent: Spender | None = None


class Follower:
    """Follows from the block after `start` on; `script` is the output that pays to our key, if we have one."""

    def __init__(self, start: Tip, script: bytes | None = None) -> None:
        self.tip = start
        self.script = script
        self._hashes = {start.height: start.block}
        self._watched: set[bytes] = set()
        self._guarded: set[Outpoint] = set()
        self.coins: dict[Outpoint, Held] = {}
        self.mined: dict[bytes, Place] = {}
        self.spent: dict[Outpoint, Spender] = {}

    def __repr__(self) -> str:
        """How far, and how much."""
        return f"Follower(at {self.tip.height}, {len(self.coins)} coins, {len(self.mined)} found)"

    def watch(self, txids: Iterable[bytes], spends: Iterable[Outpoint]) -> None:
        """Look out for these from the next block on, and for nothing else."""
        self._watched, self._guarded = set(txids), set(spends)
        self.mined = {txid: place for txid, place in self.mined.items() if txid in self._watched}
        self.spent = {coin: by for coin, by in self.spent.items() if coin in self._guarded}

    def hash_at(self, height: int) -> bytes | None:
        """The block at that height, where it is known."""
        return self._hashes.get(height)

    def connect(self, block: Block) -> None:
        """The next block; the caller has seen that it follows the tip."""
        height, name = self.tip.height + 1, block.header.hash
        for txid, tx in zip(block.txids, block.transactions, strict=True):
            if txid in self._watched:
                self.mined[txid] = Place(txid, height, name)
            for entry in tx.inputs:
                self._spend(entry.spends, Spender(txid, height))
            if self.script is not None:
                for vout, out in enumerate(tx.outputs):
                    if out.script == self.script and out.value >= DUST_SAT:
                        self.coins[Outpoint(txid, vout)] = Held(out.value, height, tx.is_coinbase)
        self.tip = Tip(height, name)
        self._hashes[height] = name
        if height % _SWEEP == 0:
            self._sweep()

    def rewind(self, height: int) -> None:
        """Forget every block above `height`; raises `Lost`."""
        if height not in self._hashes:
            raise Lost
        for above in range(height + 1, self.tip.height + 1):
            del self._hashes[above]
        self.tip = Tip(height, self._hashes[height])
        self.mined = {txid: place for txid, place in self.mined.items() if place.height <= height}
        self.spent = {coin: by for coin, by in self.spent.items() if by.height <= height}
        self.coins = {coin: held for coin, held in self.coins.items() if held.height <= height}
        for held in self.coins.values():
            if held.spent and held.spent.height > height:
                held.spent = None

    def spendable(self) -> list[Coin]:
        """Our coins that the next block may spend."""
        return [Coin(coin, held.value) for coin, held in self.coins.items() if self.spendable_at(coin)]

    def spendable_at(self, outpoint: Outpoint) -> Held | None:
        """One such coin."""
        held = self.coins.get(outpoint)
        if held is None or held.spent or (held.coinbase and self.tip.height + 1 - held.height < MATURITY):
            return None
        return held

    def spenders(self, coins: Iterable[Outpoint]) -> dict[Outpoint, Spender]:
        """Who spent these, where anybody did."""
        found = {coin: self.spent.get(coin) or self._spender_of_ours(coin) for coin in coins}
        return {coin: by for coin, by in found.items() if by is not None}

    def _spender_of_ours(self, coin: Outpoint) -> Spender | None:
        held = self.coins.get(coin)
        return held.spent if held else None

    def _spend(self, coin: Outpoint, spender: Spender) -> None:
        held = self.coins.get(coin)
        if held is not None:
            held.spent = spender
        if coin in self._guarded:
            self.spent[coin] = spender

    def _sweep(self) -> None:
        low = self.tip.height - KEPT
        self._hashes = {height: name for height, name in self._hashes.items() if height > low}
        self.coins = {
            coin: held for coin, held in self.coins.items() if held.spent is None or held.spent.height > low
        }
