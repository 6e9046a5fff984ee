"""What the anchor asks of a Bitcoin chain and its wallet, whichever backend it is.

Guarantees nothing itself: it says what each backend must. A backend raises `ChainUnavailable` where it cannot ask, `ChainWrong` where
the answer cannot be true, and never hands out a half-read answer. Signing happens only in `draft`, and only within the request's limits.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from anchor.bitcoin.publications import Place, Tip
from anchor.receipt.bitcoin.spv import SpvProof
from anchor.receipt.bitcoin.transaction import Outpoint, Transaction

__all__ = ["Chain", "Draft", "Network", "Request", "Spender", "View", "Watch"]

type Network = Literal["main", "testnet4", "signet", "regtest"]


@dataclass(frozen=True, slots=True)
class Watch:
    """What to look for: transactions that may be mined, where some of them were, and coins that must not be spent by others.

    `waiting` are those of `txids` that may be in the mempool, as none of their number is in a block; `final` those that are
    proven to be where they were seen. `since` is a block from before any of the transactions that have no place; None where there are none.
    """

    txids: frozenset[bytes] = frozenset()
    waiting: frozenset[bytes] = frozenset()
    final: frozenset[bytes] = frozenset()
    places: tuple[Place, ...] = ()
    spends: frozenset[Outpoint] = frozenset()
    since: Tip | None = None


@dataclass(frozen=True, slots=True)
class Spender:
    """Who spent a coin, in a block of the chain."""

    txid: bytes
    height: int


@dataclass(frozen=True, slots=True)
class View:
    """What the chain holds at one moment.

    `mined` has the watched transactions that are in blocks of the chain, `pooled` those in the node's mempool. `spent` tells who spent watched coins
    in blocks, `missing` which of them do not exist on this chain. `rate` is the node's estimate in satoshis a virtual byte, None where it has none.
    """

    tip: Tip
    mined: Mapping[bytes, Place] = field(default_factory=dict)
    pooled: frozenset[bytes] = frozenset()
    spent: Mapping[Outpoint, Spender] = field(default_factory=dict)
    missing: frozenset[Outpoint] = frozenset()
    rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A transaction to be made: it publishes `committed`, pays `rate` satoshis a virtual byte, at least `min_fee_sat` and at most `max_fee_sat`.

    With `spends` it must spend that coin, whose value is `spends_sat` where it is known. It must not spend what is in `avoid`.
    """

    number: int
    committed: bytes
    rate: float
    max_fee_sat: int
    min_fee_sat: int = 0
    spends: Outpoint | None = None
    spends_sat: int | None = None
    avoid: frozenset[Outpoint] = frozenset()


@dataclass(frozen=True, slots=True)
class Draft:
    """A signed transaction, and what it pays."""

    tx: Transaction
    fee_sat: int


class Chain(Protocol):
    """One chain and the wallet that pays on it."""

    @property
    def network(self) -> Network:
        """Which rules the headers follow."""
        ...

    @property
    def name(self) -> str:
        """Which chain it is; of two regression test chains each has its own name."""
        ...

    async def look(self, watch: Watch) -> View:
        """What the chain holds now."""
        ...

    async def draft(self, request: Request) -> Draft:
        """A signed transaction that nobody has seen yet; raises `WalletError` (and signs nothing) where it cannot be had within the limits."""
        ...

    async def send(self, tx: Transaction) -> None:
        """Give a transaction to the node; one that it already has is no error. Raises `TxRefused`."""
        ...

    async def prove(self, place: Place, successors: int) -> SpvProof:
        """The proof that a transaction is there, with so many headers on top; raises `ChainWrong` where it is not."""
        ...

    async def close(self) -> None:
        """Let go of files and connections."""
        ...
