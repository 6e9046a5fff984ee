"""Filling a folder that is behind the fold's checkpoint: another anchor led meanwhile, or the folder was lost.

Guarantees that what is filled in is the tree that the checkpoint has, or `LogDamaged`. Where VERDICTS was cut too far for that, the folder stays
without the leaves in between: the log goes on, and whoever asks for one of them is told (`anchor.folder.NotHere`).
"""

import structlog

from anchor.core import KNOWN, Core
from anchor.errors import LogDamaged
from anchor.folder import Folder
from anchor.messages import Message
from anchor.tree.edge import Edge, Tile
from bus.connection import Bus
from bus.reader import Entry, LogReader
from bus.streams import extent
from folds.remembered import Remembered

__all__ = ["refill"]

_log = structlog.get_logger("anchor.refill")

_COMMIT_BYTES = 8 * 1024 * 1024


async def refill(bus: Bus, core: Core, folder: Folder) -> None:
    """Bring `folder` to where `core` was restored. Raises `LogDamaged`, `FolderUnusable` or `BusUnavailable`."""
    last = folder.messages.last
    if folder.size >= core.edge.size:
        return
    scratch = Core(core.origin)
    scratch.unlogged = dict(core.unlogged)
    scratch.position = last.sequence if last is not None else 0
    try:
        scratch.edge = folder.edge_at(folder.size)
    except FileNotFoundError:
        scratch.edge, scratch.position = Edge(), 0
    first = (await extent(bus, "verdicts")).first
    if scratch.position == 0 and core.opened is not None:
        scratch.position = core.opened.begins - 1
    if first > scratch.position + 1:
        _log.error(
            "leaves are missing in this folder, and VERDICTS no longer has them: no receipts of them from here",
            leaves=(folder.size, core.edge.size),
        )
        return
    await _fold(bus, scratch, folder, core.position)
    if scratch.edge.pack() != core.edge.pack():
        raise LogDamaged(
            "VERDICTS does not lead to the anchor's checkpoint: restore VERDICTS, or the stream of checkpoints, from a backup"
        )


async def _fold(bus: Bus, scratch: Core, folder: Folder, upto: int) -> None:
    """Fold VERDICTS up to the sequence `upto` into `scratch`, and keep all of it in `folder`, some at a time."""
    messages: list[Message] = []
    tiles: list[Tile] = []
    held = 0

    def take(entry: Entry) -> None:
        nonlocal held
        if entry.sequence > upto:
            return
        logged = scratch.fold_verdicts(entry.sequence, entry.body)
        tiles.extend(logged.tiles)
        if logged.lines:
            messages.append(Message(entry.sequence, logged.first, logged.lines, entry.body))
        held += len(entry.body)
        if held > _COMMIT_BYTES:  # nobody is served yet, so the loop may wait for the disk
            commit()

    def commit() -> None:
        nonlocal held
        folder.commit(messages, tiles, scratch.edge.partial())
        scratch.index = Remembered(
            KNOWN.size
        )  # which task is which leaf is in the checkpoint, or in the archive
        messages.clear()
        tiles.clear()
        held = 0

    reader = LogReader(bus, "verdicts", take, start=scratch.position + 1)
    reader.start()
    try:
        await reader.reached(upto)
    finally:
        await reader.stop()
    commit()
