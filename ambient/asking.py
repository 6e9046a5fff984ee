"""When to ask for verdicts that should have been noticed. Pure: the time (seconds, any origin) is passed in.

Notices are sent at most once, so a lost one must be asked for; but an open task is the usual case, so patience grows with each
answer "pending". All entries of one patience wait equally long, so each patience is a queue in order of time: everything
here costs the same however many tasks are open.
"""

from collections import deque

from ambient.outstanding import Entry

__all__ = ["MAX_QUESTION", "WAITS_S", "Schedule"]

WAITS_S = (0.05, 1.0, 2.0, 4.0, 8.0, 15.0)
"""The wait before each question. The first is for ids that the caller chose, whose verdict may long be known."""

_ELSEWHERE = 3

MAX_QUESTION = 500
"""Tasks in one question at most."""


class Schedule:
    """Which entries to ask for, and when."""

    def __init__(self) -> None:
        self._queues: list[deque[tuple[float, Entry]]] = [deque() for _ in WAITS_S]
        self._now: deque[Entry] = deque()
        self.at_most = MAX_QUESTION

    def at_once(self, entry: Entry) -> None:
        """Ask for this one first."""
        self._now.append(entry)

    def later(self, entry: Entry, now: float, *, soon: bool = False) -> None:
        """Ask for a new entry in a second, or `soon`."""
        entry.asked = 0 if soon else 1
        self._queues[entry.asked].append((now + WAITS_S[entry.asked], entry))

    def again(self, entry: Entry, now: float) -> None:
        """It is still pending: ask again, after a longer wait than before.

        Of tasks that another client submitted no notice comes here, so patience with them ends sooner.
        """
        entry.asked = min(entry.asked + 1, len(WAITS_S) - 1 if entry.submitted_here else _ELSEWHERE)
        self._queues[entry.asked].append((now + WAITS_S[entry.asked], entry))

    def all_at_once(self) -> None:
        """The connection was lost, and with it any number of notices: ask for everything."""
        for queue in self._queues:
            for _, entry in queue:
                entry.asked = min(entry.asked, 1)
                self._now.append(entry)
            queue.clear()

    def due(self, now: float) -> list[Entry]:
        """Take up to `at_most` open entries that are to be asked for now."""
        taken: list[Entry] = []
        while self._now and len(taken) < self.at_most:
            entry = self._now.popleft()
            if entry.open:
                taken.append(entry)
        for queue in self._queues:
            while queue and len(taken) < self.at_most and (not queue[0][1].open or queue[0][0] <= now):
                _, entry = queue.popleft()
                if entry.open:
                    taken.append(entry)
        return taken

    def next_in(self, now: float) -> float | None:
        """Seconds until there is something to ask; None while there is nothing to wait for."""
        if self._now:
            return 0.0
        heads = [queue[0][0] for queue in self._queues if queue]
        return max(0.0, min(heads) - now) if heads else None

    def answered(self) -> None:
        """A question was answered: it may be longer next time."""
        self.at_most = min(MAX_QUESTION, self.at_most * 2)

    def unanswered(self) -> None:
        """A question was not answered: its answer may have been too large for one message."""
        self.at_most = max(1, self.at_most // 2)

    def __len__(self) -> int:
        """Entries to ask for, some of which may be settled meanwhile."""
        return len(self._now) + sum(map(len, self._queues))
