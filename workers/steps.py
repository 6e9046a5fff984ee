"""What a node's log says of each attempt, where that is asked for (`bus.steps`).

A slot has no log: it runs what strangers wrote, so whatever it printed would be theirs to forge. Its node tells of it, with its process id.
"""

from bus.messages import Result
from bus.steps import STEPS
from workers.attempt import Attempt
from workers.core import Orders

__all__ = ["tell_claimed", "tell_ordered", "tell_ran"]


def tell_ordered(orders: Orders) -> None:
    """Attempts go to the slots, are stopped, or are handed back."""
    for attempt in orders.run:
        STEPS.tell("taken", attempt.task, attempt.path, attempt=attempt.number)
    for attempt in orders.stop:
        STEPS.tell("stopped", attempt.task, attempt.path, attempt=attempt.number)
    for key in orders.hand_back:
        _tell_key("handed back", key, None)


def tell_ran(attempt: Attempt, result: Result) -> None:
    """An attempt has its outcome; where a slot had it, `slot_pid` names that process."""
    pid = attempt.ticket.pid if attempt.ticket is not None else 0
    STEPS.tell(
        "ran",
        attempt.task,
        attempt.path,
        attempt=attempt.number,
        status=result.status,
        reason=result.reason,
        wall_ms=round(result.wall_ms, 3),
        fuel=result.fuel,
        **({"slot_pid": pid} if pid else {}),
    )


def tell_claimed(key: str, path: str | None, sequence: int) -> None:
    """A claim is in RESULTS at `sequence`."""
    _tell_key("claimed", key, path, sequence=sequence)


def _tell_key(step: str, key: str, path: str | None, **facts: int) -> None:
    task, _, attempt = key.rpartition("#")
    STEPS.tell(step, task, path, attempt=int(attempt), **facts)
