"""Which states of the log are published for good, and where in ANCHORS their proofs stand. A fold; pure.

Guarantees that a leaf is found under the smallest published state that holds it, and that a state whose proof was overtaken by a reorganisation is
not handed out. The proofs stay in ANCHORS: here are forty bytes for each.
"""

from bisect import bisect_right, insort
from collections.abc import Mapping
from typing import NamedTuple

from bus.messages import Signed
from bus.messages.publication import Built, Final, Publication, Reorged, Root

__all__ = ["Entry", "Proven"]


class Entry(NamedTuple):
    """One published state: its size, and the sequences in ANCHORS of its checkpoint, of its first transaction, and of its proof."""

    size: int
    number: int
    signed: int
    built: int
    final: int


class Proven:
    """Of one log, whose states have the sizes that are given to `fold`."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.built: dict[int, int] = {}
        self.signed: dict[int, int] = {}

    def __repr__(self) -> str:
        """How many, and how far."""
        return f"Proven({len(self.entries)} states, to {self.entries[-1].size if self.entries else 0})"

    def sign(self, sequence: int, line: Signed) -> None:
        """A checkpoint; a later one of the same size has more signatures."""
        self.signed[line.size] = sequence

    def fold(self, sequence: int, record: Publication, root: Root | None, watched: Mapping[int, int]) -> None:
        """A record about a publication, of which `root` is this log's state; `watched` are the sizes by number that may still change."""
        if root is None:
            return
        if isinstance(record, Built) and record.roots:
            self.built = {number: at for number, at in self.built.items() if number in watched}
            self.built[record.number] = sequence
            sizes = set(watched.values())
            # No state older than this one is published any more.
            self.signed = {size: at for size, at in self.signed.items() if size >= root.size or size in sizes}
        elif isinstance(record, Final):
            at, begun = self.signed.get(root.size), self.built.get(record.number)
            if at is not None and begun is not None:
                insort(self.entries, Entry(root.size, record.number, at, begun, sequence))
        elif isinstance(record, Reorged):
            self.entries = [entry for entry in self.entries if entry.number != record.number]

    def find(self, leaf: int) -> Entry | None:
        """Where the leaf is published; None where it is not."""
        at = bisect_right(self.entries, leaf, key=lambda entry: entry.size)
        return self.entries[at] if at < len(self.entries) else None
