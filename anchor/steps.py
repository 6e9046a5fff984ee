"""What an anchor's log says of each verdict that it put into the log of verdicts, where that is asked for (`bus.steps`)."""

import msgspec

from anchor.core import Logged
from bus.steps import STEPS
from bus.wire import decode, decoder, split_lines

__all__ = ["tell"]


class _Named(msgspec.Struct):
    """The part of a verdict that is told."""

    task: str
    path: str = ""


_NAMED = decoder(_Named)


def tell(logged: Logged, body: bytes) -> None:
    """One line for each leaf that the message `body` brought; they are on disk."""
    if not logged.lines:
        return
    members = split_lines(body)[1:]  # the first line is the envelope
    for leaf, at in enumerate(logged.lines, logged.first):
        verdict = decode(members[at], _NAMED)
        STEPS.tell("logged", verdict.task, verdict.path, leaf=leaf, sequence=logged.sequence)
