"""What a verifier says of its verdicts to Prometheus."""

from itertools import product
from typing import TYPE_CHECKING, get_args

from bus.messages import VerifyPolicy
from bus.terms import Tally
from verifier.figures import Figures
from verifier.term import Term

if TYPE_CHECKING:
    from metrics.board import Board, Source

__all__ = ["verdicts"]

_STATUSES = ("verified", "failed", "cancelled", "expired")
_POLICIES: tuple[type[VerifyPolicy], ...] = get_args(VerifyPolicy)


def verdicts(tally: Tally, figures: Figures) -> "Source":
    """The source of one process. What has not happened yet is told as 0, so that the first time is seen as a rise."""

    async def say(board: "Board") -> None:
        for status, policy in product(_STATUSES, _POLICIES):
            count = figures.verdicts[status, policy]
            board.say("ambient_verdicts_total", count, status=status, policy=_tag(policy))
        for reason, count in ({"attempts": 0, "deadline": 0} | figures.unverified).items():
            board.say("ambient_unverified_total", count, reason=reason)
        for reason, count in ({"wrong key": 0, "future decision": 0} | figures.ignored).items():
            board.say("ambient_results_ignored_total", count, reason=reason)
        for method, joules in figures.energy_j.items():
            board.say("ambient_verified_energy_joules_total", joules, method=method)
        board.say("ambient_dissents_total", figures.dissents)
        board.say("ambient_inconclusive_total", figures.inconclusive)
        board.say("ambient_verified_fuel_total", figures.fuel)
        if isinstance(tally.term, Term) and tally.term.leading:
            board.say("ambient_held_results", tally.term.held)

    return say


def _tag(policy: type[VerifyPolicy]) -> str:
    """Its name on the wire."""
    return str(policy.__struct_config__.tag)
