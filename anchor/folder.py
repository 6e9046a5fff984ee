"""The anchor's folder: messages and tiles together, proofs out of them, and the mending of what was damaged on the disk.

Guarantees that what `commit` was given is on disk when it returns, and that no proof leaves here that does not lead to the root that was signed:
where one does not, the tiles that it was made of are made again from what is below them (tiles from lower tiles, the lowest from the
messages), and where that does not help either, `LogDamaged` says so.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from anchor.errors import LogDamaged
from anchor.messages import Message, MessageStore
from anchor.receipt.merkle import HASH_BYTES, leaf_hash, root_from_path
from anchor.receipt.note import Checkpoint
from anchor.tiles import TileFolder, tile_path
from anchor.tree.edge import TILE_WIDTH, Edge, Tile, tile_root
from anchor.tree.proofs import Proofs
from bus.wire import split_lines

__all__ = ["Folder", "NotHere", "leaf_of"]

_log = structlog.get_logger("anchor.folder")


class NotHere(LogDamaged):
    """The leaf is in the log, but its message is not in this folder: `leaf` says which."""

    def __init__(self, leaf: int) -> None:
        super().__init__(
            f"leaf {leaf} is in the log, but not in this anchor's folder: ask another anchor, or restore the folder from a backup"
        )
        self.leaf = leaf


def leaf_of(body: bytes, line: int) -> bytes:
    """The leaf that a member of a message of VERDICTS is: envelope, line break, member."""
    lines = split_lines(body)
    return lines[0] + b"\n" + lines[1 + line]


class Folder:
    """The files below `folder`: `log/` is for everybody, `messages/` for receipts. Synchronous."""

    def __init__(self, folder: Path) -> None:
        """Open or make it; raises `FolderUnusable`."""
        self.messages = MessageStore(folder / "messages")
        self.tiles = TileFolder(folder / "log")
        self._used: list[tuple[int, int]] = []
        self._proofs = Proofs(self._read)

    def __repr__(self) -> str:
        """How far it reaches."""
        return f"Folder({self.messages!r}, {self.tiles!r})"

    @property
    def size(self) -> int:
        """Leaves up to which the messages are here."""
        return self.messages.last.end if self.messages.last is not None else 0

    def commit(self, messages: list[Message], full: Sequence[Tile], partial: Sequence[Tile]) -> None:
        """Keep these messages and tiles. Returns once they are on disk; raises `FolderUnusable`."""
        self.messages.append(messages)
        self.tiles.write(full, partial)
        self.messages.sync()
        self.tiles.sync()

    def edge_at(self, size: int) -> Edge:
        """The right edge of the tree of `size` leaves, from tiles. Raises `FileNotFoundError` where they are not here."""
        levels: list[bytes] = []
        while width := size >> 8 * len(levels):
            number, rest = divmod(width, TILE_WIDTH)
            data = self.tiles.read(len(levels), number, rest) if rest else b""
            levels.append(data[: rest * HASH_BYTES])
        return Edge(levels)

    def root(self, size: int) -> bytes:
        """The root over the first `size` leaves, from tiles. Raises `FileNotFoundError` where they are not here."""
        return self._proofs.root(size)

    def message(self, leaf: int) -> tuple[Message, int]:
        """The message that brought a leaf, and its line there. Raises `NotHere`."""
        message = self.messages.holding(leaf)
        if message is None:
            raise NotHere(leaf)
        return message, message.lines[leaf - message.first]

    def inclusion(self, leaf: bytes, index: int, checkpoint: Checkpoint) -> list[bytes]:
        """The path of a leaf in a signed tree. Raises `LogDamaged` where the tiles do not lead to its root, and could not be mended."""
        found = leaf_hash(leaf)

        def make() -> list[bytes] | None:
            path = self._proofs.inclusion(index, checkpoint.size)
            return path if root_from_path(found, index, checkpoint.size, path) == checkpoint.root else None

        return self._proven(make, f"leaf {index}")

    def consistency(self, old: int, checkpoint: Checkpoint) -> list[bytes]:
        """The proof that a signed tree begins with its first `old` leaves. Raises `LogDamaged`."""

        def make() -> list[bytes] | None:
            if checkpoint.size and self._proofs.root(checkpoint.size) != checkpoint.root:
                return None
            return self._proofs.consistency(old, checkpoint.size)

        return self._proven(make, f"the tree of {old} leaves")

    def _proven(self, make: Callable[[], list[bytes] | None], what: str) -> list[bytes]:
        for mended in (False, True):
            self._used.clear()
            try:
                proof = make()
            except FileNotFoundError:
                proof = None
            if proof is not None:
                return proof
            if not mended:
                self._mend()
        raise LogDamaged(
            f"tiles do not prove {what}, and cannot be made again from the messages here: restore the anchor's folder from a backup"
        )

    def _read(self, level: int, number: int, width: int) -> bytes:
        self._used.append((level, number))
        return self.tiles.read(level, number, width)

    def _mend(self) -> None:
        """Make the tiles of the last proof anew. Inner hashes that are kept were of damaged ones, perhaps."""
        self._proofs.forget()
        for level in range(max((each for each, _ in self._used), default=-1) + 1):
            for number in {number for each, number in self._used if each == level}:
                self._remake(level, number)

    def _remake(self, level: int, number: int) -> None:
        made = self._leaves(number) if level == 0 else self._below(level, number)
        if made is None:
            return
        try:
            there = self.tiles.read(level, number, TILE_WIDTH)
        except FileNotFoundError:
            there = b""
        if made != there:
            _log.warning("a damaged tile was made again", tile=tile_path(level, number))
            self.tiles.mend(Tile(level, number, made))

    def _leaves(self, number: int) -> bytes | None:
        """A full tile of leaves from the messages; None where they are not all here."""
        hashes: list[bytes] = []
        leaf, end = number * TILE_WIDTH, (number + 1) * TILE_WIDTH
        while leaf < end:
            message = self.messages.holding(leaf)
            if message is None:
                return None
            upto = min(end, message.end)
            hashes += [
                leaf_hash(leaf_of(message.body, message.lines[at - message.first]))
                for at in range(leaf, upto)
            ]
            leaf = upto
        return b"".join(hashes)

    def _below(self, level: int, number: int) -> bytes | None:
        """A full tile from those below it; None where they are not all here."""
        try:
            return b"".join(
                tile_root(self.tiles.read(level - 1, number * TILE_WIDTH + at, TILE_WIDTH))
                for at in range(TILE_WIDTH)
            )
        except FileNotFoundError:
            return None

    def close(self) -> None:
        """Close the files."""
        self.messages.close()
