"""What happened in histories, counted: the faults that took effect, and what the system had to do about them.

A kind of fault that is drawn but never strikes where something is going on proves nothing, so it is counted where it takes effect. Each
name here is counted somewhere (`World.met`); a test holds that none of them stays at nothing.
"""

from collections import Counter
from collections.abc import Iterator

__all__ = ["COUNTED", "table"]

_FAULTS = (
    "crash of a coordinator",
    "crash of a verifier",
    "crash of a node",
    "crash of a client",
    "crash of a leader",
    "pause",
    "pause of a leader",
    "a leader wakes when another has the lease",
    "cut off, what it sends is lost",
    "cut off, what it sends is kept",
    "cut off, hears nothing",
    "cut off, is not heard",
    "a lease is given away",
    "two lead",
    "server restarts",
    "server loses power",
    "tasks is full",
    "assignments is full",
    "results is full",
    "verdicts is full",
    "a clock jumps: coordinator",
    "a clock jumps: node",
    "a clock jumps: server",
    "a leader is stopped in order",
    "a standby is stopped in order",
    "a node leaves",
    "a node is drained by its operator",
    "a node rests",
    "a node rests and is empty",
    "handed back at the end of a rest",
    "a twin starts",
    "a client submits again, unasked",
    "two clients use one id",
)

_MESSAGES = (
    "assignment lost",
    "notice lost",
    "heartbeat lost",
    "question lost",
    "reply lost",
    "acknowledgement lost",
    "lost with the server",
    "message doubled",
    "message late",
    "message overtaken",
)

_LOGS = (
    "refused: tasks is full",
    "refused: assignments is full",
    "refused: results is full",
    "refused: verdicts is full",
    "refused by sequence: assignments",
    "refused by sequence: verdicts",
    "refused by message id",
    "known message id",
    "a writer gives way: assignments",
    "a writer gives way: verdicts",
    "looked up, and its own",
    "sent again",
)

_KEPT = (
    "checkpoint of the coordinator",
    "checkpoint of the verifier",
    "a coordinator begins from a checkpoint",
    "a verifier begins from a checkpoint",
    "a damaged checkpoint is passed over",
    "a stale checkpoint is refused",
    "cut: tasks",
    "cut: assignments",
    "cut: results",
    "cut: verdicts",
    "a log was cut under its reader",
)

_WORK = (
    "a coordinator takes over",
    "a verifier takes over",
    "a verifier holds on",
    "retry",
    "inconclusive",
    "given up: cancelled",
    "given up: expired",
    "given up: failed",
    "refused",
    "verified",
    "failed",
    "dissent",
    "assignment told again",
    "attempt stopped",
    "attempts handed back",
    "asked to enrol again",
    "claim of a node that was not asked",
    "claim after the verdict",
    "claim from an outbox",
    "claim that waits for its decision",
    "id used again, same body",
    "id used again, other body",
    "submitted again after the verdict",
    "other body after the verdict",
    "another body had the id",
    "verdict told again",
    "verdict found by asking",
    "handed out",
)

COUNTED = (*_FAULTS, *_MESSAGES, *_LOGS, *_KEPT, *_WORK)


def table(counted: Counter[str], histories: int, cpu_s: float) -> Iterator[str]:
    """For a terminal: how often each happened, in all, in a thousand histories, and in a second of one core."""
    yield f"{'':44}{'in all':>10}{'in 1,000':>10}{'a second':>10}"
    for name in COUNTED:
        many = counted[name]
        yield f"{name:44}{many:10}{1000 * many / max(1, histories):10.1f}{many / max(cpu_s, 1e-9):10.2f}"
