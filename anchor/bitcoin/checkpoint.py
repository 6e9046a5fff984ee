"""The state of publications as bytes, and back.

Guarantees that a state which is restored and goes on folding ends as one that folded ANCHORS from its beginning.
"""

from collections import deque
from collections.abc import Mapping

import msgspec

from anchor.bitcoin.publications import Attempt, Open, Place, Publishing, Tip, committed, parse_outpoint
from anchor.receipt.bitcoin.transaction import parse_transaction
from anchor.receipt.errors import ReceiptError
from bus.messages.publication import Root
from folds.errors import CheckpointUnusable

__all__ = ["pack", "unpack"]


class _Attempt(msgspec.Struct, array_like=True):
    tx: bytes
    fee_sat: int
    height: int
    generation: int


class _Open(msgspec.Struct, array_like=True):
    number: int
    chain: str
    roots: tuple[Root, ...]
    spends: str
    since: tuple[int, bytes]
    built_ms: int
    status: str
    place: tuple[bytes, int, bytes] | None
    generation: int
    attempts: list[_Attempt]


class _State(msgspec.Struct):
    next_number: int
    built_ms: int
    newest: tuple[Root, ...]
    paid_sat: int
    spent: list[tuple[int, int]]
    open: list[_Open]
    notes: list[tuple[int, str]] = []


_ENCODE = msgspec.msgpack.Encoder().encode
_STATE = msgspec.msgpack.Decoder(_State)


def pack(publishing: Publishing, notes: Mapping[int, str]) -> bytes:
    """All that ANCHORS has told; `notes` are checkpoints by size that a publication may be of."""
    return _ENCODE(
        _State(
            next_number=publishing.next_number,
            built_ms=publishing.built_ms,
            newest=publishing.newest,
            paid_sat=publishing.paid_sat,
            spent=list(publishing.spent),
            open=[_packed(each) for each in publishing],
            notes=list(notes.items()),
        )
    )


def _packed(each: Open) -> _Open:
    return _Open(
        each.number,
        each.chain,
        each.roots,
        str(each.spends),
        each.since,
        each.built_ms,
        each.status,
        each.place,
        each.generation,
        [_Attempt(one.tx.encode(), one.fee_sat, one.height, one.generation) for one in each.attempts],
    )


def unpack(packed: bytes) -> tuple[Publishing, dict[int, str]]:
    """Undo `pack`; raises `CheckpointUnusable`."""
    publishing = Publishing()
    try:
        state = _STATE.decode(packed)
        for each in state.open:
            publishing.put(_unpacked(each))
    except (msgspec.MsgspecError, UnicodeDecodeError, ReceiptError, ValueError) as error:
        raise CheckpointUnusable(f"the state of publications cannot be read: {error}") from None
    publishing.next_number, publishing.built_ms = state.next_number, state.built_ms
    publishing.newest, publishing.paid_sat = state.newest, state.paid_sat
    publishing.spent = deque(state.spent)
    return publishing, dict(state.notes)


def _unpacked(packed: _Open) -> Open:
    txs = [parse_transaction(one.tx) for one in packed.attempts]
    return Open(
        number=packed.number,
        chain=packed.chain,
        roots=packed.roots,
        committed=committed(packed.roots),
        spends=parse_outpoint(packed.spends),
        since=Tip(*packed.since),
        built_ms=packed.built_ms,
        attempts=[
            Attempt(tx, tx.txid, one.fee_sat, one.height, one.generation)
            for tx, one in zip(txs, packed.attempts, strict=True)
        ],
        status=packed.status,  # type: ignore[arg-type]  # written from one
        place=None if packed.place is None else Place(*packed.place),
        generation=packed.generation,
    )
