"""Tasks without a verdict yet, and what to make of everything that is heard of them. Pure: no I/O, no clock.

Guarantees that each entry is settled once, however often its verdict is noticed, and that a refusal meets
the very submission that it was written for: when an id is used twice, the second submission may be refused while the first runs.
"""

from collections import deque
from collections.abc import Iterator
from typing import Protocol

from ambient.errors import AmbientError, TaskRejected
from bus.messages import Refused, Verdict

__all__ = ["Entry", "Outstanding", "Sink"]

_EARLY_REFUSALS = 256
"""Refusals that outran the acknowledgement of their submission; also those of other programs of the same client."""


class Entry:
    """One submission, or one question after a task that somebody else submitted.

    `digest` is the SHA-256 (hex) of the submitted line where the caller chose the id, which others may have used, too.
    `source` is the place (sequence, line) in TASKS, once known. `index` is the sink's own.
    """

    __slots__ = ("asked", "digest", "index", "line", "name", "older", "open", "sink", "source")

    def __init__(self, name: str, line: bytes, sink: "Sink", index: int = 0, digest: str = "") -> None:
        self.name = name
        self.line = line
        self.sink = sink
        self.index = index
        self.digest = digest
        self.source: tuple[int, int] | None = None
        self.older: Entry | None = None
        self.open = True
        self.asked = 0

    @property
    def submitted_here(self) -> bool:
        """Whether this client submitted the task, so that the cluster must know it sooner or later."""
        return bool(self.line) or self.source is not None

    def __repr__(self) -> str:
        """Name and state."""
        return f"Entry({self.name}, {'open' if self.open else 'settled'}, source={self.source})"


class Sink(Protocol):
    """Whoever waits for entries. Called from the event loop; must not block."""

    def stored(self, entry: Entry) -> None:
        """The submission is durable: from now on it will end in exactly one verdict."""

    def not_stored(self, entry: Entry, error: AmbientError) -> None:
        """Nothing was stored; the entry is forgotten."""

    def settled(self, entry: Entry, verdict: Verdict, output: bytes | None) -> None:
        """The verdict, with the output where it had to be fetched. Once per entry."""

    def broken(self, entry: Entry, error: AmbientError) -> None:
        """There will be no verdict for this entry (it was rejected, is unknown, the client closed)."""


class Outstanding:
    """All open entries of one client by task name; entries of the same name are chained, newest first."""

    def __init__(self, client: str) -> None:
        self._client = client
        self._open: dict[str, Entry] = {}
        self._early: deque[Refused] = deque(maxlen=_EARLY_REFUSALS)

    def __len__(self) -> int:
        return len(self._open)

    def __repr__(self) -> str:
        """How many tasks are open."""
        return f"Outstanding({self._client}, open={len(self._open)})"

    def add(self, entry: Entry) -> None:
        """Expect a verdict for this entry."""
        entry.older = self._open.get(entry.name)
        self._open[entry.name] = entry

    def forget(self, entry: Entry) -> None:
        """Expect nothing for this entry any more."""
        entry.open = False
        newer: Entry | None = None
        at = self._open.get(entry.name)
        while at is not None and at is not entry:
            newer, at = at, at.older
        if at is None:
            return
        if newer is not None:
            newer.older = entry.older
        elif entry.older is not None:
            self._open[entry.name] = entry.older
        else:
            del self._open[entry.name]

    def settle(self, verdict: Verdict) -> list[tuple[Entry, TaskRejected | None]]:
        """Take the entries that this verdict ends; a `TaskRejected` beside those whose task was another one.

        The same id with another body is another task, which the cluster refuses. Its submitter must not be
        handed the verdict of the first body, even if that comes before the refusal.
        """
        entry = self._open.pop(verdict.task, None)
        ended: list[tuple[Entry, TaskRejected | None]] = []
        while entry is not None:
            entry.open = False
            other = entry.digest and verdict.spec and entry.digest != verdict.spec
            ended.append((entry, _other_body(entry.name) if other else None))
            entry = entry.older
        return ended

    def stored(self, sequence: int, entries: list[Entry]) -> list[tuple[Entry, Refused]]:
        """A message of TASKS with these entries' lines is durable; returns refusals that came even earlier."""
        for line, entry in enumerate(entries):
            entry.source = (sequence, line)
            entry.line = b""
        if not self._early:
            return []
        early = [refused for refused in self._early if refused.source[0] == sequence]
        found = [(self.refused(refused), refused) for refused in early]
        for refused in early:
            self._early.remove(refused)
        return [(entry, refused) for entry, refused in found if entry is not None]

    def not_stored(self, entries: list[Entry]) -> list[Entry]:
        """A message with these entries' lines was refused; returns those that end by that.

        An entry may have its verdict already: the same bytes under the same id may have been submitted before.
        """
        ended = [entry for entry in entries if entry.open]
        for entry in ended:
            self.forget(entry)
        return ended

    def refused(self, refused: Refused) -> Entry | None:
        """Take the entry that a refusal is about; None if it is another program's, or too early to know."""
        entry = self._named(refused) if refused.task else self._at(refused.source)
        if entry is not None:
            self.forget(entry)
        elif refused not in self._early:
            self._early.append(refused)
        return entry

    def take(self, name: str) -> list[Entry]:
        """Take all entries of a name."""
        entry, entries = self._open.pop(name, None), []
        while entry is not None:
            entry.open = False
            entries.append(entry)
            entry = entry.older
        return entries

    def take_all(self) -> list[Entry]:
        """Take everything: the client closes."""
        return [entry for name in list(self._open) for entry in self.take(name)]

    def _named(self, refused: Refused) -> Entry | None:
        name = refused.task or ""
        entry = self._open.get(name) or self._open.get(f"{self._client}.{name}")
        # The message's sequence is enough: one message never holds the same name twice by accident.
        while entry is not None and (entry.source is None or entry.source[0] != refused.source[0]):
            entry = entry.older
        return entry

    def _at(self, source: tuple[int, int]) -> Entry | None:
        return next((entry for entry in self._entries() if entry.source == tuple(source)), None)

    def _entries(self) -> Iterator[Entry]:
        for newest in self._open.values():
            entry: Entry | None = newest
            while entry is not None:
                yield entry
                entry = entry.older


def _other_body(name: str) -> TaskRejected:
    return TaskRejected(
        "id",
        "was used before for a task with another body; choose a new id, or submit exactly the same again",
        task=name,
    )
