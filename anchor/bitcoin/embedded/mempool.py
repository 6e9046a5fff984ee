"""The mempool of the embedded chain: what waits to be mined, by the rules that Bitcoin Core's relay follows. Pure.

Guarantees that what it holds can be mined together: each transaction spends what is there and unspent, or what a transaction before it makes, and
no two spend the same. A transaction that spends what another one does replaces it (and what rests on that) if it pays more, in all and for each byte
(BIP 125, rules 3, 4 and 6). What is below the floor is not taken, and leaves when the floor rises.
"""

from collections.abc import Callable
from dataclasses import dataclass

from anchor.bitcoin.errors import TxRefused
from anchor.receipt.bitcoin.transaction import Outpoint, Transaction, TxOut

__all__ = ["Mempool", "Waiting"]

_RELAY_SAT_VB = 1.0

type FindCoin = Callable[[Outpoint], TxOut | None]
"""The output at an outpoint, where the next block may spend it."""
type CheckScripts = Callable[[Transaction, list[TxOut]], None]


@dataclass(frozen=True, slots=True)
class Waiting:
    """One transaction, and what it pays."""

    tx: Transaction
    txid: bytes
    fee_sat: int

    @property
    def rate(self) -> float:
        """Satoshis for each virtual byte."""
        return self.fee_sat / self.tx.vsize


class Mempool:
    """Transactions in an order in which they can be mined."""

    def __init__(self, find: FindCoin, check: CheckScripts) -> None:
        self._find, self._check = find, check
        self._waiting: dict[bytes, Waiting] = {}
        self.floor_sat_vb = _RELAY_SAT_VB

    def __repr__(self) -> str:
        """How many wait, and for how much."""
        return f"Mempool({len(self._waiting)} waiting, floor {self.floor_sat_vb})"

    def __contains__(self, txid: bytes) -> bool:
        return txid in self._waiting

    def __len__(self) -> int:
        return len(self._waiting)

    def accept(self, tx: Transaction) -> None:
        """Take a transaction; raises `TxRefused` with Bitcoin Core's word for the reason."""
        txid = tx.txid
        if txid in self._waiting:
            return
        replaced = self._conflicts(tx)
        spent = [self._coin(entry.spends, replaced) for entry in tx.inputs]
        fee = sum(coin.value for coin in spent) - sum(out.value for out in tx.outputs)
        if fee < 0:
            raise TxRefused("bad-txns-in-belowout")
        if fee < self.floor_sat_vb * tx.vsize:
            raise TxRefused("min relay fee not met", fee=True)
        self._check_replacement(tx, fee, replaced)
        self._check(tx, spent)
        for gone in replaced:
            del self._waiting[gone]
        self._waiting[txid] = Waiting(tx, txid, fee)

    def raise_floor(self, floor_sat_vb: float) -> None:
        """From now on take only what pays so much; what pays less is evicted, with what rests on it."""
        self.floor_sat_vb = floor_sat_vb
        for waiting in list(self._waiting.values()):
            if waiting.rate < floor_sat_vb:
                self.drop(waiting.txid)

    def drop(self, txid: bytes) -> None:
        """Forget a transaction and what rests on it."""
        for gone in self._with_descendants({txid}):
            self._waiting.pop(gone, None)

    def next_block(self) -> list[Waiting]:
        """What the next block holds: everything that can still be spent, the rest is dropped."""
        self.revise()
        return list(self._waiting.values())

    def revise(self) -> None:
        """Drop what the chain, as it is now, makes impossible."""
        kept, self._waiting = self._waiting, {}
        for waiting in kept.values():
            spends = [entry.spends for entry in waiting.tx.inputs]
            if all(self._output(coin) is not None for coin in spends):
                self._waiting[waiting.txid] = waiting

    def _output(self, coin: Outpoint) -> TxOut | None:
        parent = self._waiting.get(coin.txid)
        if parent is not None and coin.vout < len(parent.tx.outputs):
            return parent.tx.outputs[coin.vout]
        return self._find(coin)

    def _coin(self, coin: Outpoint, replaced: set[bytes]) -> TxOut:
        found = None if coin.txid in replaced else self._output(coin)
        if found is None:
            raise TxRefused("bad-txns-inputs-missingorspent")
        return found

    def _conflicts(self, tx: Transaction) -> set[bytes]:
        spends = {entry.spends for entry in tx.inputs}
        direct = {
            waiting.txid
            for waiting in self._waiting.values()
            if any(entry.spends in spends for entry in waiting.tx.inputs)
        }
        return self._with_descendants(direct)

    def _with_descendants(self, txids: set[bytes]) -> set[bytes]:
        found = set(txids)
        for waiting in self._waiting.values():
            if any(entry.spends.txid in found for entry in waiting.tx.inputs):
                found.add(waiting.txid)
        return found

    def _check_replacement(self, tx: Transaction, fee: int, replaced: set[bytes]) -> None:
        if not replaced:
            return
        others = [self._waiting[txid] for txid in replaced]
        least = sum(other.fee_sat for other in others) + _RELAY_SAT_VB * tx.vsize
        if fee < least or any(fee / tx.vsize <= other.rate for other in others):
            raise TxRefused("insufficient fee", fee=True)
