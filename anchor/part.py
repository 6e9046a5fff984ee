"""What else an anchor keeps beside the log of verdicts, and writes to ANCHORS under the same leadership: commitments on Bitcoin, the ledger.

A part is a fold, as the log itself is. It is given every entry of both logs in order, by standbys, too; only the one that leads lets it write.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable

from anchor.receipt.note import Note
from anchor.receipt.published import Published
from bus.reader import Entry
from bus.service import ServiceDesk

__all__ = ["Part", "Write"]

type Write = Callable[[bytes], None]
"""Queue one line for ANCHORS. Every part, and this one too, is given it by `fold_anchors` once it is durable."""


class Part(ABC):
    """One of them, for one term. What a part does not say otherwise, it does not do."""

    name: str
    """Of its state in a checkpoint."""

    publishes: bool = False
    """Whether `published` may come to say more of a leaf, so that waiting for it is worth while."""

    @abstractmethod
    def fold_anchors(self, sequence: int, line: bytes) -> None:
        """Take in one line of ANCHORS, of whatever kind."""

    def fold_verdicts(self, entry: Entry) -> None:
        """Take in one entry of VERDICTS, behind the log of verdicts itself."""
        del entry

    def sync(self) -> None:
        """Return once what this part keeps on disk of what it folded is there; may be called in a thread. Raises `FolderUnusable`."""
        return

    def close(self) -> None:
        """The term is over: give up what is open."""
        return

    @abstractmethod
    def pack(self) -> bytes:
        """All that the logs have told this part, for a checkpoint. What was queued and is not durable is none of it."""

    @abstractmethod
    def unpack(self, packed: bytes) -> Callable[[], None]:
        """What makes this part be what was packed; it is called once everything else in the checkpoint was found good.

        Raises `folds.errors.CheckpointUnusable`.
        """

    def signed(self, note: Note) -> None:
        """This checkpoint is durable and may be shown; the newest one is told again when a leadership begins."""
        del note

    async def open(self, desk: ServiceDesk, write: Write) -> None:
        """Answer questions from here on: this process leads."""
        del desk, write

    async def run(self, write: Write) -> None:
        """Work for as long as this process leads; cancelled at the end."""
        del write
        await asyncio.Event().wait()

    async def published(self, leaf: int) -> tuple[Note, Published] | None:
        """The checkpoint under which a leaf is published for good, and the proof of that; None as long as there is none."""
        del leaf
        return None
