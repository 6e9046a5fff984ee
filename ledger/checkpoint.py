"""A ledger as bytes, and back.

Guarantees that a ledger which is restored and goes on from its positions ends in the state of one that folded the logs from their
beginnings, and that it can still prove what it could prove: of what moved since the newest state, the leaf as it was is kept, too.
A state that was sealed and is not yet durable is not kept; it is sealed again.

`VERSION` changes whenever older bytes would be read wrongly: they are then passed over, and the logs are folded.
"""

from collections import OrderedDict
from collections.abc import Mapping

import msgspec

from bus.messages.ledger import LedgerState
from ledger.book import Ledger, Moved, Sealed, energy_name
from ledger.burns import Burns
from ledger.errors import StateUnusable
from ledger.tree import Tree

__all__ = ["VERSION", "pack", "restore"]

VERSION = 1


class _Row(msgspec.Struct, array_like=True):
    """A packed thing: its fields in order, without their names."""


class _Newest(_Row):
    line: str
    accounts: dict[str, str | None]
    energy: list[tuple[str, str, str | None]]


class _State(_Row):
    verdicts: int
    anchors: int
    ordered: int
    epoch: int
    credited: int
    burned: int
    skipped: int
    contradictions: int
    accounts: list[tuple[str, int, int]]
    energy: list[tuple[str, str, int, int, dict[str, int]]]
    burns: tuple[int, list[bytes]]
    orders: dict[str, bytes]
    paid: list[tuple[int, int]]
    newest: _Newest | None


# JSON and not msgpack: sums have no limit here, and must have none there.
_ENCODE = msgspec.json.Encoder().encode
_STATE = msgspec.json.Decoder(_State)
_SEALED: msgspec.json.Decoder[LedgerState] = msgspec.json.Decoder(LedgerState)


def pack(ledger: Ledger) -> bytes:
    """All that the logs have told this ledger."""
    return _ENCODE(
        _State(
            verdicts=ledger.verdicts,
            anchors=ledger.anchors,
            ordered=ledger.ordered,
            epoch=ledger.epoch,
            credited=ledger.credited,
            burned=ledger.burned,
            skipped=ledger.skipped,
            contradictions=ledger.contradictions,
            accounts=list(ledger.accounts),
            energy=list(ledger.energy),
            burns=(ledger.burns.count, ledger.burns.peaks),
            orders=ledger.orders,
            paid=list(ledger.paid.items()),
            newest=None if ledger.newest is None else _packed(ledger, ledger.newest),
        )
    )


def _packed(ledger: Ledger, newest: Sealed) -> _Newest:
    moved = ledger.moved
    return _Newest(
        newest.line.decode(),
        {name: _text(newest.accounts, name) for name in sorted(moved.accounts)},
        [(*key, _text(newest.energy, energy_name(*key))) for key in sorted(moved.energy)],
    )


def _text(tree: Tree, name: str) -> str | None:
    text = tree.path(name).text
    return None if text is None else text.decode()


def restore(packed: bytes) -> Ledger:
    """The ledger that was packed. Raises `StateUnusable`, also where the roots are not those of the newest state."""
    try:
        state = _STATE.decode(packed)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StateUnusable(f"the ledger's state cannot be read: {error}") from None
    ledger = Ledger()
    ledger.verdicts, ledger.anchors, ledger.ordered = state.verdicts, state.anchors, state.ordered
    ledger.epoch, ledger.credited, ledger.burned = state.epoch, state.credited, state.burned
    ledger.skipped, ledger.contradictions = state.skipped, state.contradictions
    ledger.accounts.restore(state.accounts)
    ledger.energy.restore(state.energy)
    ledger.burns = Burns(*state.burns)
    ledger.orders, ledger.paid = state.orders, OrderedDict(state.paid)
    _reopen(ledger, state.newest)
    return ledger


def _reopen(ledger: Ledger, newest: _Newest | None) -> None:
    """Make the trees of the newest state anew: most leaves are as they are now, the rest was kept as it was."""
    accounts = {name: ledger.accounts.text(name) for name, _, _ in ledger.accounts}
    months = {(account, month): ledger.energy.text(account, month) for account, month, *_ in ledger.energy}
    if newest is None:
        ledger.reopen(None, Moved(set(accounts), set(months)))
        return
    moved = Moved(set(newest.accounts), {(account, month) for account, month, _ in newest.energy})
    energy = {energy_name(*key): text for key, text in months.items()}
    _undo(accounts, newest.accounts)
    _undo(energy, {energy_name(account, month): text for account, month, text in newest.energy})
    try:
        state = _SEALED.decode(newest.line)
    except msgspec.MsgspecError as error:
        raise StateUnusable(f"the ledger's newest state cannot be read: {error}") from None
    sealed = Sealed(newest.line.encode(), state, Tree().updated(accounts), Tree().updated(energy))
    if (sealed.accounts.root.hex(), sealed.energy.root.hex()) != (state.accounts_root, state.energy_root):
        raise StateUnusable("the ledger's accounts and its newest state do not fit together")
    ledger.reopen(sealed, moved)


def _undo(texts: dict[str, bytes], were: Mapping[str, str | None]) -> None:
    """Put leaves back to what they were; None: they were not there."""
    for name, text in were.items():
        if text is None:
            texts.pop(name, None)
        else:
            texts[name] = text.encode()
