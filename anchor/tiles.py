"""The log's public folder: tiles and checkpoint as C2SP tlog-tiles lays them out, so that any web server can serve them.

Guarantees that a file is there whole or not at all, also after a power failure once `sync` has returned. One that was written and not yet synced
may be empty then: whoever reads it notices, and makes it again (`anchor.folder`). Entries are not served as bundles: those hold entries of up to 65,535 bytes, and a verdict may be longer.
"""

from collections.abc import Iterable
from pathlib import Path

from anchor.errors import FolderUnusable
from anchor.receipt.merkle import HASH_BYTES
from anchor.tree.edge import TILE_BYTES, TILE_WIDTH, Tile
from bus.disk import sync_path

__all__ = ["TileFolder", "tile_path"]


def tile_path(level: int, number: int, width: int = TILE_WIDTH) -> str:
    """The path of a tile below the log's prefix: `tile/<L>/<N>`, with `.p/<W>` where it is partial."""
    groups = [f"{number % 1000:03d}"]
    while number := number // 1000:
        groups.append(f"x{number % 1000:03d}")
    path = f"tile/{level}/{'/'.join(reversed(groups))}"
    return path if width == TILE_WIDTH else f"{path}.p/{width}"


class TileFolder:
    """The files below `folder`. Synchronous; what is written is on disk after `sync`."""

    def __init__(self, folder: Path) -> None:
        """Open or make `folder`; raises `FolderUnusable`."""
        self._folder = folder
        self._dirty: set[Path] = set()
        self._partial: dict[tuple[int, int], bytes] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable(folder, error) from None

    def __repr__(self) -> str:
        """Where."""
        return f"TileFolder({self._folder})"

    def write(self, full: Iterable[Tile], partial: Iterable[Tile]) -> None:
        """Write tiles. The partial ones are the whole edge of the tree; earlier widths of them go. Raises `FolderUnusable`."""
        before, self._partial = self._partial, {(each.level, each.number): each.data for each in partial}
        for tile in full:
            self._put(tile_path(tile.level, tile.number), tile.data)
        for (level, number), data in self._partial.items():
            if before.get((level, number)) != data:
                self._put(tile_path(level, number, len(data) // HASH_BYTES), data)
        for (level, number), data in before.items():
            if self._partial.get((level, number)) != data:
                (self._folder / tile_path(level, number, len(data) // HASH_BYTES)).unlink(missing_ok=True)

    def read(self, level: int, number: int, width: int) -> bytes:
        """At least the first `width` hashes of a tile. Raises `FileNotFoundError` where they are not here, `FolderUnusable`."""
        held = self._partial.get((level, number))
        if held is not None and len(held) >= width * HASH_BYTES:
            return held
        try:
            data = self._find(level, number, width).read_bytes()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _unusable(self._folder, error) from None
        if len(data) < width * HASH_BYTES or len(data) > TILE_BYTES or len(data) % HASH_BYTES:
            raise FileNotFoundError(f"{tile_path(level, number)} was cut, it has {len(data)} bytes")
        return data

    def _find(self, level: int, number: int, width: int) -> Path:
        path = self._folder / tile_path(level, number)
        if width == TILE_WIDTH or path.exists():
            return path
        partial = self._folder / f"{tile_path(level, number)}.p"
        widths = sorted(int(each.name) for each in partial.glob("[0-9]*") if each.name.isdecimal())
        return partial / str(next((each for each in widths if each >= width), width))

    def mend(self, tile: Tile) -> None:
        """Write a full tile anew. Raises `FolderUnusable`."""
        self._put(tile_path(tile.level, tile.number), tile.data)
        self.sync()

    def publish(self, note: bytes) -> None:
        """Show this checkpoint from now on. Raises `FolderUnusable`."""
        self._put("checkpoint", note)
        self.sync()

    def sync(self) -> None:
        """Return once everything that was written is on disk."""
        dirty, self._dirty = self._dirty, set()
        for path in sorted(dirty, key=lambda path: -len(path.parts)):
            try:
                sync_path(path)
            except FileNotFoundError:
                continue  # a partial tile that a wider one has replaced since
            except OSError as error:
                raise _unusable(path, error) from None

    def _put(self, name: str, data: bytes) -> None:
        path = self._folder / name
        unfinished = path.with_name(f".{path.name}.partial")
        try:
            if not path.parent.is_dir():
                path.parent.mkdir(parents=True, exist_ok=True)
                self._dirty.update(each for each in path.parents if each.is_relative_to(self._folder))
            unfinished.write_bytes(data)
            unfinished.replace(path)
        except OSError as error:
            raise _unusable(path, error) from None
        self._dirty |= {path, path.parent}


def _unusable(path: Path, error: OSError) -> FolderUnusable:
    return FolderUnusable(
        f"{path} cannot be used ({error.strerror}): free space there, or choose another --data"
    )
