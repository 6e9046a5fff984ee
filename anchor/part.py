"""What else an anchor keeps beside the log of verdicts, and writes to ANCHORS under the same leadership: commitments on Bitcoin, the ledger.

A part is a fold, as the log itself is. It is given every entry of both logs in order, by standbys, too; only the one that leads lets it write.
"""

from collections.abc import Callable
from typing import Protocol

from anchor.receipt.note import Note
from anchor.receipt.published import Published

__all__ = ["Part", "Write"]

type Write = Callable[[bytes], None]
"""Queue one line for ANCHORS. Every part, and this one too, is given it by `fold_anchors` once it is durable."""


class Part(Protocol):
    """One of them, for one term."""

    def fold_anchors(self, sequence: int, line: bytes) -> None:
        """Take in one line of ANCHORS, of whatever kind."""

    def fold_verdicts(self, sequence: int, body: bytes) -> None:
        """Take in one entry of VERDICTS, behind the log of verdicts itself."""

    def signed(self, note: Note) -> None:
        """This checkpoint is durable and may be shown; the newest one is told again when a leadership begins."""

    async def run(self, write: Write) -> None:
        """Work for as long as this process leads; cancelled at the end."""

    def published(self, leaf: int) -> tuple[Note, Published] | None:
        """The checkpoint under which a leaf is published for good, and the proof of that; None as long as there is none."""
