"""Putting a damaged message back from VERDICTS, as long as that still holds it.

Guarantees that what is put back are the leaves that the log has: their hashes are those of the tiles. What cannot be found again stays missing, and
whoever asks for it is told (`anchor.folder.NotHere`).
"""

import asyncio
from collections.abc import Iterator

import structlog

from anchor.core import Core
from anchor.folder import Folder, leaf_of
from anchor.messages import Message
from anchor.receipt.merkle import HASH_BYTES, leaf_hash
from anchor.tree.edge import TILE_WIDTH, width_at
from bus.connection import Bus
from bus.errors import BusUnavailable
from bus.leader import stored

__all__ = ["mend_message"]

_log = structlog.get_logger("anchor.mending")

_MOST = 10_000
"""Messages looked at: between two that are whole there are no more, unless a whole file is lost."""


async def mend_message(bus: Bus, core: Core, folder: Folder, leaf: int) -> bool:
    """Whether the message that brought `leaf` is back where it stood. Raises `FolderUnusable`."""
    before, behind = await asyncio.to_thread(folder.messages.around, leaf)
    begins = core.opened.begins if core.opened is not None else 1
    since = before.sequence + 1 if before is not None else begins
    last = behind.sequence - 1 if behind is not None else core.position
    first = before.end if before is not None else 0
    for sequence in range(since, min(last, since + _MOST) + 1):
        message = await _message(bus, core, sequence, first)
        if message is None:
            continue
        if message.first <= leaf < message.end:
            if list(_hashes(message)) != _tiled(folder, core, message):
                return False
            await asyncio.to_thread(folder.messages.replace, message)
            _log.warning("a damaged message was read from VERDICTS again", sequence=sequence, leaf=leaf)
            return True
        first = message.end
    return False


async def _message(bus: Bus, core: Core, sequence: int, first: int) -> Message | None:
    """The message at a place of VERDICTS with the leaves that it brought; None where it is not there, or brought none."""
    try:
        found = await stored(bus, bus.subjects.stream("verdicts"), sequence=sequence)
    except BusUnavailable as error:
        _log.warning("VERDICTS cannot be read", sequence=sequence, reason=str(error))
        return None
    if found is None:
        return None
    scratch = Core(core.origin)
    scratch.unlogged = dict(core.unlogged)
    lines = scratch.fold_verdicts(sequence, found.data or b"").lines
    return Message(sequence, first, lines, found.data or b"") if lines else None


def _hashes(message: Message) -> Iterator[bytes]:
    return (leaf_hash(leaf_of(message.body, line)) for line in message.lines)


def _tiled(folder: Folder, core: Core, message: Message) -> list[bytes]:
    """The hashes of the message's leaves as the tree has them; fewer where the tiles are not here."""
    hashes: list[bytes] = []
    for leaf in range(message.first, message.end):
        tile, at = divmod(leaf, TILE_WIDTH)
        try:
            data = folder.tiles.read(0, tile, max(at + 1, width_at(core.edge.size, 0, tile)))
        except FileNotFoundError:
            break
        hashes.append(data[at * HASH_BYTES : (at + 1) * HASH_BYTES])
    return hashes
