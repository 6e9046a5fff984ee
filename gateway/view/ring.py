"""The newest entries of each log as events, from which all event streams are served. Pure.

A stream has a position in each log and no queue of its own: it takes from here what is behind its position. So memory is bounded whatever the
number of streams and however slowly they read; one that falls behind what is kept reads the log itself.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping

import msgspec

from bus.subjects import LOGS
from gateway.resources.events import LogEvent, LogItem

__all__ = ["ALL_LOGS", "Filter", "Ring", "position_of", "position_text"]

ALL_LOGS = (*LOGS, "anchors")
_LETTERS = dict(zip("tarvn", ALL_LOGS, strict=True))
_MOST_ITEMS = 20_000
_MOST_SEQUENCE = 2**63 - 1

type Filter = Callable[[LogItem], bool]
_encode = msgspec.json.Encoder().encode


def position_text(position: Mapping[str, int]) -> str:
    """A position in all logs as an event's id: `t12-a30-r7-v5-n2`."""
    return "-".join(f"{letter}{position.get(log, 0)}" for letter, log in _LETTERS.items())


def position_of(text: str) -> dict[str, int] | None:
    """The position that an id stands for; None for what is no id."""
    found: dict[str, int] = {}
    for part in text.split("-"):
        log = _LETTERS.get(part[:1])
        if log is None or log in found or not (part[1:].isascii() and part[1:].isdigit()):
            return None
        if len(part) > 20 or int(part[1:]) > _MOST_SEQUENCE:  # noqa: PLR2004 -- more digits than 2**63 has
            return None
        found[log] = int(part[1:])
    return found if len(found) == len(_LETTERS) else None


class Kept:
    """One entry; its unfiltered data is encoded once, for all streams."""

    __slots__ = ("_data", "at_ms", "items", "log", "sequence")

    def __init__(self, log: str, sequence: int, at_ms: int, items: list[LogItem]) -> None:
        self.log = log
        self.sequence = sequence
        self.at_ms = at_ms
        self.items = items
        self._data: bytes | None = None

    def data(self, chosen: Filter | None) -> bytes:
        """The event's data; empty where the filter lets nothing through."""
        if chosen is None:
            if self._data is None:
                self._data = self._encoded(self.items)
            return self._data
        items = [item for item in self.items if chosen(item)]
        return self._encoded(items) if items else b""

    def _encoded(self, items: list[LogItem]) -> bytes:
        if not items:
            return b""
        return _encode(LogEvent(log=self.log, sequence=self.sequence, at_ms=self.at_ms, items=items))


class Ring:
    """The newest entries of one log, at most `_MOST_ITEMS` lines of them."""

    def __init__(self, log: str, *, most_items: int = _MOST_ITEMS) -> None:
        self.log = log
        self.last = 0
        self._most = most_items
        self._kept: deque[Kept] = deque()
        self._items = 0
        self._begins = 1

    def __repr__(self) -> str:
        """What is kept."""
        return f"Ring({self.log}, {self.begins}..{self.last}, {self._items} items)"

    @property
    def begins(self) -> int:
        """The first sequence behind which nothing is missing here."""
        return self._begins

    def start(self, sequence: int) -> None:
        """The log is read from this sequence on."""
        self._begins, self.last = sequence, sequence - 1

    def put(self, kept: Kept) -> None:
        """The next entry of the log."""
        self._kept.append(kept)
        self._items += len(kept.items) + 1
        self.last = kept.sequence
        while self._items > self._most and len(self._kept) > 1:
            gone = self._kept.popleft()
            self._items -= len(gone.items) + 1
            self._begins = gone.sequence + 1

    def behind(self, position: int) -> Iterator[Kept]:
        """The entries behind `position`, oldest first; only for a position that is not behind what is kept."""
        kept = self._kept
        at = len(kept)
        while at and kept[at - 1].sequence > position:
            at -= 1
        for index in range(at, len(kept)):
            yield kept[index]
