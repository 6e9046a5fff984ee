"""What an anchor says of its publications to Prometheus."""

import time
from typing import TYPE_CHECKING

from anchor.bitcoin.part import BitcoinPart
from bus.terms import Tally

if TYPE_CHECKING:
    from metrics.board import Board, Source

__all__ = ["publication"]

_STATUSES = ("built", "broadcast", "mined", "final", "stranded")


def publication(tally: Tally) -> "Source":
    """The source of one process; between two terms, and where nothing is published, it says nothing."""

    async def say(board: "Board") -> None:
        parts = getattr(tally.term, "parts", ())
        for part in parts:
            if isinstance(part, BitcoinPart):
                _say(board, part)

    return say


def _say(board: "Board", part: BitcoinPart) -> None:
    statuses: list[str] = [each.status for each in part.publishing]
    for status in _STATUSES:
        board.say("ambient_anchor_publications", statuses.count(status), status=status)
    open_ms = [each.built_ms for each in part.publishing if each.status != "final"]
    lag_s = max(0.0, time.time() - min(open_ms) / 1000) if open_ms else 0.0
    board.say("ambient_anchor_lag_seconds", lag_s)
    board.say("ambient_anchor_unpublished_entries", part.unpublished)
    board.say("ambient_anchor_fees_paid_satoshis_total", part.publishing.paid_sat)
    board.say("ambient_anchor_held", len(part.held))
