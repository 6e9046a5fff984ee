"""What the core tells its shell to do, gathered over a turn and handed over as a whole.

Guarantees that everything for one node, or one client's batch, travels in as few messages as their size allows, in order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bus.messages import Abandoned, Enrolled, Leader, Refused
from bus.wire import MAX_LINES
from coordinator.admission import Question
from coordinator.tasks import Holder, Task

__all__ = ["Instructions", "Placed", "Stopped", "Token"]

_BODY_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """The token of an `assigned` line: whom to tell once it is durable."""

    task: Task
    holders: Sequence[Holder]


@dataclass(frozen=True, slots=True, eq=False)
class Stopped:
    """The token of an `abandoned` line: whose attempts to cancel once it is durable."""

    decision: Abandoned
    holders: Sequence[Holder]


Token = Placed | Stopped | Refused | Enrolled | Leader
"""What the fenced writer gives back with a line that is durable."""


@dataclass(slots=True, eq=False)
class Instructions:
    """What to do.

    `lines` are for ASSIGNMENTS; `publish` may go out at once; `ask` is for the blob store; `again` are tasks whose verdict (at
    that sequence) is to be published again; `enrolled` are nodes whose enrolment became durable; `more` asks for another turn.
    """

    lines: list[tuple[bytes, Token]] = field(default_factory=list)
    publish: list[tuple[str, bytes]] = field(default_factory=list)
    ask: list[Question] = field(default_factory=list)
    again: list[tuple[str, int]] = field(default_factory=list)
    enrolled: list[str] = field(default_factory=list)
    more: bool = False
    _batches: dict[str, list[bytes]] = field(default_factory=dict)

    def batch(self, subject: str, line: bytes) -> None:
        """Publish `line` together with the others of this turn on `subject`."""
        self._batches.setdefault(subject, []).append(line)

    def close(self) -> "Instructions":
        """Turn the gathered lines into messages."""
        for subject, lines in self._batches.items():
            start, size = 0, 0
            for at, line in enumerate(lines):
                size += len(line) + 1
                if at > start and (size > _BODY_BYTES or at - start >= MAX_LINES):
                    self.publish.append((subject, b"\n".join(lines[start:at])))
                    start, size = at, len(line) + 1
            self.publish.append((subject, b"\n".join(lines[start:])))
        self._batches.clear()
        return self
