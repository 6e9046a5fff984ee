"""What an anchor says of the log of verdicts and of the ledger to Prometheus; `anchor.bitcoin.metrics` says the rest."""

from typing import TYPE_CHECKING

from anchor.ledger.part import LedgerPart
from anchor.term import Term
from bus.terms import Tally
from ledger.book import Ledger

if TYPE_CHECKING:
    from metrics.board import Board, Source

__all__ = ["keeping"]

_MSAT = 1000


def keeping(tally: Tally) -> "Source":
    """The source of one process, standbys included: they keep the same."""

    async def say(board: "Board") -> None:
        term = tally.term
        if not isinstance(term, Term):
            return
        signed = term.core.signed
        board.say("ambient_anchor_entries", term.core.edge.size, state="kept")
        board.say("ambient_anchor_entries", signed.size if signed is not None else 0, state="signed")
        for part in term.parts:
            if isinstance(part, LedgerPart):
                _say_ledger(board, part.ledger)

    return say


def _say_ledger(board: "Board", ledger: Ledger) -> None:
    board.say("ambient_ledger_epoch", ledger.newest.state.epoch if ledger.newest is not None else 0)
    board.say("ambient_ledger_accounts", len(ledger.accounts))
    board.say("ambient_ledger_credited_satoshis", ledger.credited / _MSAT)
    board.say("ambient_ledger_burned_satoshis", ledger.burned / _MSAT)
    board.say("ambient_ledger_contradictions", ledger.contradictions)
