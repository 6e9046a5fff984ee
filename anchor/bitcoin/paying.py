"""Making a transaction with a key of our own: which coins, what fee, what change. Pure, but for the signature.

Guarantees that the fee is within the request's limits and the rest comes back as change, that only confirmed coins are chosen (and the one that
the request names), and that nothing is signed otherwise. All inputs signal replaceability (BIP 125).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from anchor.bitcoin.chain import Draft, Request
from anchor.bitcoin.errors import FeeCapReached, WalletEmpty
from anchor.bitcoin.keys import Key
from anchor.receipt.bitcoin.transaction import Outpoint, Transaction, TxIn, TxOut
from anchor.receipt.commitment import op_return

__all__ = ["DUST_SAT", "Coin", "pay"]

DUST_SAT = 1000
"""The least change, and the least coin that is worth an input: nodes do not relay outputs of less than 294."""
_REPLACEABLE = 0xFFFF_FFFD
_WITNESS = (bytes(72), bytes(33))
"""As large as ours ever are: a signature with its hash type, and the key."""


@dataclass(frozen=True, slots=True)
class Coin:
    """A confirmed output that the key can spend."""

    outpoint: Outpoint
    value: int


def pay(request: Request, coins: Iterable[Coin], key: Key) -> Draft:
    """The signed transaction; raises `WalletEmpty` or `FeeCapReached`, and then nothing was signed."""
    chosen, fee = _choose(request, coins, key)
    tx = _unsigned(request, chosen, fee, key)
    signed = tuple(
        replace(entry, witness=key.sign(tx, at, chosen[at].value)) for at, entry in enumerate(tx.inputs)
    )
    paid = sum(coin.value for coin in chosen) - sum(out.value for out in tx.outputs)
    return Draft(replace(tx, inputs=signed), paid)


def _choose(request: Request, coins: Iterable[Coin], key: Key) -> tuple[list[Coin], int]:
    """The coin that is asked for, then the largest, until they pay the fee and leave change; and the fee."""
    # Largest first: one input, and the change is again the largest coin.
    usable = sorted(coins, key=lambda coin: (-coin.value, coin.outpoint))
    named = _named(request, usable)
    rest = [
        coin
        for coin in usable
        if coin.outpoint != request.spends and coin.outpoint not in request.avoid and coin.value >= DUST_SAT
    ]
    chosen = [named] if named else rest[:1]
    rest = rest if named else rest[1:]
    while chosen:
        fee = _fee(request, _size(request, chosen, key))
        if sum(coin.value for coin in chosen) >= fee + DUST_SAT:
            return chosen, fee
        if not rest:
            break
        chosen.append(rest.pop(0))
    have = sum(coin.value for coin in chosen)
    raise WalletEmpty(
        f"the wallet has {have} satoshis in confirmed coins and needs {_needed(request)}: send some to its address"
    )


def _needed(request: Request) -> int:
    return max(request.min_fee_sat, math.ceil(request.rate * 160)) + DUST_SAT


def _named(request: Request, usable: list[Coin]) -> Coin | None:
    if request.spends is None:
        return None
    if request.spends_sat is not None:
        return Coin(request.spends, request.spends_sat)
    for coin in usable:
        if coin.outpoint == request.spends:
            return coin
    raise WalletEmpty(f"the coin {request.spends} is not confirmed now: wait for it")


def _fee(request: Request, vsize: int) -> int:
    """What to pay for so many virtual bytes. A replacement may pay less than the wanted rate, where the caps leave no more."""
    wanted = max(math.ceil(request.rate * vsize), request.min_fee_sat)
    if wanted <= request.max_fee_sat:
        return wanted
    if 0 < request.min_fee_sat <= request.max_fee_sat:
        return request.max_fee_sat
    raise FeeCapReached("fee", f"{wanted} satoshis are asked for, the caps leave {request.max_fee_sat}")


def _size(request: Request, chosen: list[Coin], key: Key) -> int:
    sketch = _unsigned(request, chosen, 0, key)
    return replace(sketch, inputs=tuple(replace(entry, witness=_WITNESS) for entry in sketch.inputs)).vsize


def _unsigned(request: Request, chosen: list[Coin], fee: int, key: Key) -> Transaction:
    change = sum(coin.value for coin in chosen) - fee
    return Transaction(
        tuple(TxIn(coin.outpoint, sequence=_REPLACEABLE) for coin in chosen),
        (TxOut(0, op_return(request.committed)), TxOut(change, key.script)),
    )
