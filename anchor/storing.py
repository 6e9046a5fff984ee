"""What was folded and is not on disk yet, and its way there: messages, tiles, proofs of blocks, and the index of old tasks.

Guarantees that one commit is done after the other, each to its end once it was begun (whoever waits for it may be cancelled meanwhile), and that
`stored` is a state all of whose leaves are on disk. Whether it may be signed is not asked here.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from anchor.archive import Archive
from anchor.core import Core, Logged
from anchor.folder import Folder
from anchor.messages import Message
from anchor.part import Part
from anchor.receipt.note import Checkpoint
from anchor.steps import tell
from bus.steps import STEPS
from folds.runs import Run

__all__ = ["Stored", "Storing"]

_HELD_BYTES = 16 * 1024 * 1024
"""Messages in memory, not yet on disk, before no more are read."""


class Stored(NamedTuple):
    """A state whose leaves are on disk: those of VERDICTS up to the sequence `verdicts`."""

    state: Checkpoint
    verdicts: int


class Storing:
    """For one term, below `data`. `disk` guards the folder; `resume` is told when there is room again after `take` said that there is none."""

    def __init__(self, data: Path, core: Core, parts: Sequence[Part], resume: Callable[[], None]) -> None:
        self.folder = Folder(data)
        self.archive = Archive(data / "index")
        self.disk = asyncio.Lock()
        self.stored: Stored | None = None
        self._core = core
        self._parts = parts
        self._resume = resume
        self._fresh: list[tuple[Logged, bytes]] = []
        self._held = 0
        self._commits: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        """What waits for the disk."""
        return f"Storing({self.folder!r}, waiting={len(self._fresh)})"

    @property
    def waits(self) -> bool:
        """Whether anything is not on disk yet."""
        return bool(self._fresh)

    def take(self, logged: Logged, body: bytes) -> bool:
        """Keep what one message brought, with the next commit. False: commit first, before more is read."""
        self._fresh.append((logged, body))
        self._held += len(body)
        return self._held <= _HELD_BYTES

    async def commit(self) -> None:
        """Put all that is folded on disk. Raises `FolderUnusable`."""
        commit = asyncio.create_task(self._commit())
        self._commits.add(commit)
        commit.add_done_callback(self._commits.discard)
        # Not cut off in the middle: a thread that never began would have taken what it was to write with it.
        await asyncio.shield(commit)

    async def _commit(self) -> None:
        async with self.disk:
            fresh, self._fresh, self._held = self._fresh, [], 0
            stored = Stored(self._core.state, self._core.position)
            partial = self._core.edge.partial()
            messages = [Message(one.sequence, one.first, one.lines, body) for one, body in fresh if one.lines]
            full = [tile for one, _ in fresh for tile in one.tiles]
            await asyncio.to_thread(self.folder.commit, messages, full, partial)
            for part in self._parts:
                await asyncio.to_thread(part.sync)
            self.stored = stored
        if STEPS.on:
            for one, body in fresh:
                tell(one, body)
        self._resume()

    async def retire(self) -> None:
        """Move what is known of old tasks out of memory. Raises `FolderUnusable`.

        Not between packing the fold and listing its runs for a checkpoint: a run would then be in neither.
        """
        for run in self._core.retiring:
            await asyncio.to_thread(self._archive, run)
            self._core.retire([run])

    def _archive(self, run: Run) -> None:
        self.archive.add(self._core.retired, run.last, run.content())

    async def fill(self) -> None:
        """Make what the index lacks again, from the messages that are here. Raises `FolderUnusable`."""
        await asyncio.to_thread(self.archive.fill, self._core.retired, self.folder.messages)

    async def close(self) -> None:
        """Finish what was begun, and close the files."""
        await asyncio.gather(*self._commits, return_exceptions=True)
        async with self.disk:
            self.folder.close()
            self.archive.close()
            for part in self._parts:
                part.close()
