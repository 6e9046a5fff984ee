"""Every block that was mined, on disk before anything else learns of it.

Guarantees that every block before a `sync` is there after a crash of the process or of the machine, and that a block which was cut off in
the middle of being written is dropped. The consensus code writes its own files only now and then; what it lost is fed to it from here again.
"""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from anchor.bitcoin.errors import StoreUnusable
from bus.disk import sync_path

__all__ = ["SEGMENT_BYTES", "Journal"]

SEGMENT_BYTES = 4 * 1024 * 1024
_HEAD = 8


class Journal:
    """Blocks in the order in which they were mined, in files of `SEGMENT_BYTES`; raises `StoreUnusable`."""

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder, self._segment_bytes = folder, segment_bytes
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._segments = sorted(int(path.stem) for path in folder.glob("*.blocks")) or [0]
            self._file = self._open_last()
        except (OSError, ValueError) as error:
            raise StoreUnusable(f"the blocks in {folder} cannot be read: {error}") from None

    def __repr__(self) -> str:
        """Where, and how many files."""
        return f"Journal({self._folder}, {len(self._segments)} files)"

    def append(self, block: bytes) -> None:
        """Write one block, which is safe once `sync` has returned."""
        try:
            if self._file.tell() >= self._segment_bytes:
                self.sync()
                self._file.close()
                self._segments.append(self._segments[-1] + 1)
                self._file = self._open_last()
            self._file.write(len(block).to_bytes(4) + zlib.crc32(block).to_bytes(4) + block)
        except OSError as error:
            raise self._unwritten(error) from None

    def sync(self) -> None:
        """Return when all blocks are on the disk."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._unwritten(error) from None

    def _unwritten(self, error: OSError) -> StoreUnusable:
        return StoreUnusable(f"a block could not be written to {self._folder}: {error}; free some space")

    def files(self) -> list[int]:
        """The numbers of the files, oldest first."""
        return list(self._segments)

    def read(self, number: int) -> Iterator[bytes]:
        """The blocks of one file, up to the first that is damaged."""
        data = self._path(number).read_bytes()
        at = 0
        while (block := _record(data, at)) is not None:
            yield block
            at += _HEAD + len(block)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08}.blocks"

    def _open_last(self) -> BinaryIO:
        path = self._path(self._segments[-1])
        fresh = not path.exists()
        file = path.open("ab")
        if fresh:
            sync_path(self._folder)
        good = sum(_HEAD + len(block) for block in self.read(self._segments[-1]))
        if file.tell() != good:
            # What follows was cut off by a crash, and nobody was told of it.
            file.truncate(good)
            file.seek(good)
        return file


def _record(data: bytes, at: int) -> bytes | None:
    size, check = int.from_bytes(data[at : at + 4]), data[at + 4 : at + _HEAD]
    block = data[at + _HEAD : at + _HEAD + size]
    whole = size > 0 and len(block) == size and zlib.crc32(block).to_bytes(4) == check
    return block if whole else None
