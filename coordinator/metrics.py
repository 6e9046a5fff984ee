"""What a coordinator says of tasks and nodes to Prometheus; a standby says nothing, so that sums over all coordinators are right."""

from typing import TYPE_CHECKING

import numpy as np

from bus.terms import Tally
from coordinator.columns import Mask
from coordinator.figures import Figures
from coordinator.registry import DRAINING, HEALTHY, SAFE, Registry
from coordinator.term import Term

if TYPE_CHECKING:
    from metrics.board import Board, Source

__all__ = ["decisions"]

_HEALTH = tuple(round(bound / 10, 1) for bound in range(1, 11))


def decisions(tally: Tally, figures: Figures) -> "Source":
    """The source of one process. Counts stay from term to term; what is true at the moment is said by who leads."""

    async def say(board: "Board") -> None:
        _say_counts(board, figures)
        term = tally.term
        if isinstance(term, Term) and term.core.leading:
            _say_waiting(board, term, term.now_ms())
            _say_nodes(board, term.core.registry)

    return say


def _say_counts(board: "Board", figures: Figures) -> None:
    board.say("ambient_tasks_read_total", figures.read)
    board.say("ambient_tasks_refused_total", figures.refused)
    board.say("ambient_lost_attempts_total", figures.lost)
    for kind, count in figures.decided.items():
        board.say("ambient_decisions_total", count, kind=kind)
    for state, count in figures.gone.items():
        board.say("ambient_node_losses_total", count, state=state)
    for stage, histogram in figures.stages.items():
        board.say("ambient_task_stage_seconds", histogram, stage=stage)
    for status, histogram in figures.whole.items():
        board.say("ambient_task_seconds", histogram, status=status)


def _say_waiting(board: "Board", term: Term, now_ms: int) -> None:
    queue = term.core.queue
    oldest_ms = queue.oldest_ms()
    board.say("ambient_waiting_tasks", queue.waiting)
    board.say("ambient_hopeless_tasks", min(queue.hopeless, queue.waiting))
    board.say("ambient_queue_age_seconds", 0 if oldest_ms is None else max(0, now_ms - oldest_ms) / 1000)
    board.say("ambient_gate_shut", term.load.is_over)


def _say_nodes(board: "Board", registry: Registry) -> None:
    for state, count in registry.counts().items():
        board.say("ambient_nodes", count, state=state)
    size = len(registry)
    states = registry.state[:size]
    scores = registry.score[(states == HEALTHY) | (states == SAFE) | (states == DRAINING)]
    # A score of 0.7 that was added up from its terms may be a hair above.
    for bound in _HEALTH:
        board.say("ambient_nodes_health_bucket", int((scores <= bound + 1e-9).sum()), le=str(bound))
    board.say("ambient_nodes_health_bucket", len(scores), le="+Inf")
    for reason, count in _safe(registry, states == SAFE).items():
        board.say("ambient_nodes_safe", count, reason=reason)
    healthy = states == HEALTHY
    slots, held = registry.slots[:size][healthy], registry.open[:size][healthy]
    board.say("ambient_slots", int(slots.sum()), state="offered")
    board.say("ambient_slots", int(np.minimum(slots, held).sum()), state="busy")


def _safe(registry: Registry, rows: Mask) -> dict[str, int]:
    """How many nodes say which reason for safe mode. It is their own text, so that what begins like none of ours is `means`."""
    counts = dict.fromkeys(("temperature", "latency", "errors", "means"), 0)
    for row in np.flatnonzero(rows):
        last = registry.telemetry[row]
        for said in (
            {_reason(part) for part in last.safe_mode.split("; ") if part} if last is not None else ()
        ):
            counts[said] += 1
    return counts


def _reason(said: str) -> str:
    """The breaker that `workers.breakers` tells so."""
    first, _, rest = said.partition(" ")
    if first in ("temperature", "latency"):
        return first
    return "errors" if first.isdecimal() and rest.startswith("consecutive errors") else "means"
