"""Of which leaves the log remembers the tasks in memory and in checkpoints: those of the last day and a little more. Pure.

Guarantees that the window is a function of VERDICTS alone (of the server's time stamps), so that every anchor has the same one whenever it folds;
it goes by whole hours, and never moves back.
"""

from collections import deque
from collections.abc import Iterable

__all__ = ["HOURS", "Window"]

HOURS = 25
"""Whole hours that are remembered at least: a day, as the logs have by default, and one for clocks."""
_HOUR_MS = 3_600_000


class Window:
    """`marks` are the hours in which leaves came, each with the first leaf of it."""

    def __init__(self, marks: Iterable[tuple[int, int]] = ()) -> None:
        self.marks: deque[tuple[int, int]] = deque(marks)

    def __repr__(self) -> str:
        """Where it begins."""
        return f"Window(from {self.first})"

    @property
    def first(self) -> int:
        """The first leaf in it."""
        return self.marks[0][1] if self.marks else 0

    def note(self, at_ms: int, leaf: int) -> None:
        """The next leaf is number `leaf`, in an entry that the server took at `at_ms`."""
        hour = at_ms // _HOUR_MS
        if not self.marks or hour > self.marks[-1][0]:
            self.marks.append((hour, leaf if self.marks else 0))
        while self.marks[0][0] + HOURS < self.marks[-1][0]:
            self.marks.popleft()
