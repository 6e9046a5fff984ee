"""What the anchor did to publish its roots on Bitcoin: lines of ANCHORS. Each is there before it is acted on.

A publication is one commitment to the states of one log or more, under a number of its own; `Built` gives it a transaction, and every further `Built`
under the same number another one that spends the same coin: whichever of them is mined, it is one publication. Ids of transactions and
blocks are written as Bitcoin's nodes write them (reversed, in hex).
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

__all__ = ["Broadcast", "Built", "Final", "Mined", "Publication", "Reorged", "Root", "Stranded"]

_MAX_BATCH = 64
"""Logs that share a transaction: more would lengthen every receipt for more logs than anybody has."""
_U63 = 2**63 - 1
_MAX_TX_BYTES = 4096
_MAX_PROOF_BYTES = 131_072
_MAX_SAT = 21 * 10**14

type _Number = Annotated[int, Meta(ge=1, le=_U63)]
type _Height = Annotated[int, Meta(ge=0, le=2**31 - 1)]
type _Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}(?!\n)$")]
type _Moment = Annotated[int, Meta(ge=0, le=_U63)]


class Root(Struct, frozen=True, kw_only=True):
    """The state of one log: its origin, how many leaves it has, and the root over them (32 bytes).

    The origin `ledger` is the ledger's: then `size` is its epoch, and `root` its commitment, as docs/ledger.md says.
    """

    origin: Annotated[str, Meta(min_length=1, max_length=255)]
    size: Annotated[int, Meta(ge=0, le=_U63)]
    root: Annotated[bytes, Meta(min_length=32, max_length=32)]


class Built(Struct, frozen=True, kw_only=True, tag="built", tag_field="kind", omit_defaults=True):
    """Transaction `tx` (signed) is to publish number `number`; from now on it may be mined at any time.

    `roots` is what it commits to, in the order of the batch; only the first transaction of a number repeats them. `chain` says which chain it is for,
    `spends` (`txid:output`) the coin that every transaction of this number spends, until that coin is lost. `height` and `block` are the tip
    at the time. Fees are satoshis.
    """

    number: _Number
    chain: Annotated[str, Meta(min_length=1, max_length=100)]
    txid: _Hash
    tx: Annotated[bytes, Meta(max_length=_MAX_TX_BYTES)]
    spends: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}:[0-9]{1,10}(?!\n)$")]
    fee_sat: Annotated[int, Meta(ge=0, le=_MAX_SAT)]
    height: _Height
    block: _Hash
    at_ms: _Moment
    roots: Annotated[tuple[Root, ...], Meta(max_length=_MAX_BATCH)] = ()


class Broadcast(Struct, frozen=True, kw_only=True, tag="broadcast", tag_field="kind"):
    """A node took the transaction into its mempool."""

    number: _Number
    txid: _Hash
    at_ms: _Moment


class Mined(Struct, frozen=True, kw_only=True, tag="mined", tag_field="kind"):
    """The transaction is in a block of the chain with the most work."""

    number: _Number
    txid: _Hash
    height: _Height
    block: _Hash
    at_ms: _Moment


class Reorged(Struct, frozen=True, kw_only=True, tag="reorged", tag_field="kind"):
    """That block is no longer in the chain: the publication waits for another one."""

    number: _Number
    txid: _Hash
    height: _Height
    block: _Hash
    at_ms: _Moment


class Final(Struct, frozen=True, kw_only=True, tag="final", tag_field="kind"):
    """Six blocks follow the one with the transaction, on `network`. `proof` shows that to a stranger: see `anchor.receipt.bitcoin.spv`."""

    number: _Number
    network: Literal["main", "testnet4", "signet", "regtest"]
    txid: _Hash
    height: _Height
    block: _Hash
    proof: Annotated[bytes, Meta(max_length=_MAX_PROOF_BYTES)]
    at_ms: _Moment


class Stranded(Struct, frozen=True, kw_only=True, tag="stranded", tag_field="kind"):
    """None of the number's transactions can be mined any more: the coin was spent by `by`, or is gone, or the anchor uses another chain now.

    The next `Built` of this number may spend another coin.
    """

    number: _Number
    reason: Literal["spent", "missing", "chain"]
    at_ms: _Moment
    by: Annotated[str, Meta(max_length=64)] = ""


Publication = Built | Broadcast | Mined | Reorged | Final | Stranded
