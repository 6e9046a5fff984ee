"""A run that is looked up where it lies, with nothing of it in memory: for what is asked for seldom, and of which there may be very much.

Guarantees the answers of `folds.runs.Run`, at the cost of some twenty small reads instead of one. That the file is what was written is for whoever
opens it to see to (`digest_of`); a look-up in another file answers None, or something that is not true.
"""

import os
from hashlib import sha256
from pathlib import Path

from folds.errors import RunDamaged
from folds.runs import HEAD, KEY_BYTES, MAGIC, Probe, start_of, words_of

__all__ = ["ColdRun", "digest_of"]

_WORD = 8
_FEW = 64
"""Records that are read at once, when so few are left to search in."""


def digest_of(path: Path) -> str:
    """The SHA-256 (hex) of a file, read a little at a time."""
    with path.open("rb") as file:
        found = sha256()
        while piece := file.read(1024 * 1024):
            found.update(piece)
    return found.hexdigest()


class ColdRun:
    """The run in a file. `count` records of `width` bytes each, beside their keys."""

    __slots__ = ("_descriptor", "_start", "count", "width")

    def __init__(self, path: Path) -> None:
        """Open it. Raises `RunDamaged` for what is no run, and `OSError`."""
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        head = os.pread(self._descriptor, HEAD.size, 0)
        magic, self.width, self.count, _ = HEAD.unpack(head.ljust(HEAD.size, b"\0"))
        self._start = start_of(self.count)
        size = self._start + self.count * (KEY_BYTES + self.width)
        if magic != MAGIC or os.fstat(self._descriptor).st_size != size:
            self.close()
            raise RunDamaged(f"{path} is no run of this version: get it anew")

    def __repr__(self) -> str:
        """How much is in it."""
        return f"ColdRun({self.count} records)"

    def get(self, asked: Probe) -> bytes | None:
        """The value of a key, None where it is not there."""
        if not self.count or not self._may_hold(asked):
            return None
        size, low, high = KEY_BYTES + self.width, 0, self.count
        while high - low > _FEW:
            middle = (low + high) // 2
            if self._read(self._start + middle * size, KEY_BYTES) <= asked.key:
                low = middle
            else:
                high = middle
        data = self._read(self._start + low * size, (high - low) * size)
        for at in range(0, len(data), size):
            if data[at : at + KEY_BYTES] == asked.key:
                return data[at + KEY_BYTES : at + size]
        return None

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _may_hold(self, asked: Probe) -> bool:
        at = HEAD.size + _WORD * (asked.place % words_of(self.count))
        return int.from_bytes(self._read(at, _WORD), "little") & asked.mask == asked.mask

    def _read(self, offset: int, size: int) -> bytes:
        return os.pread(self._descriptor, size, offset)
