"""What a service of which one leads says of itself: who leads, how often that changed, and how far the logs are folded."""

from typing import TYPE_CHECKING

from bus.connection import Bus
from bus.streams import lag_behind
from bus.terms import Tally

if TYPE_CHECKING:
    from metrics.board import Board, Source

__all__ = ["leadership"]


def leadership(bus: Bus, service: str, tally: Tally) -> "Source":
    """The source of one process; between two terms it says only what it has counted."""

    async def say(board: "Board") -> None:
        board.say("ambient_leader_changes_total", tally.leaderships, service=service)
        board.say("ambient_fence_refusals_total", tally.refusals, service=service)
        if tally.term is None:
            return
        health = tally.term.health()
        board.say("ambient_leading", health.leading, service=service)
        board.say("ambient_leadership_epoch", health.epoch, service=service)
        board.say("ambient_open_tasks", health.open, service=service)
        for log, sequence in health.folded.items():
            board.say("ambient_folded_sequence", sequence, service=service, log=log)
        for log, entries in (await lag_behind(bus, health.folded)).items():
            board.say("ambient_fold_lag_entries", entries, service=service, log=log)

    return say
