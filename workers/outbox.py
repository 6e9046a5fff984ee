"""The outbox: claims on disk until they are durable in RESULTS.

Guarantees: a claim that was added is found again after the process was killed at any moment, in order, until `release`
was told that it is durable; a partly written last line is dropped, for its claim was never published. Claims are
published in the order they were added, so what is durable is always a prefix: one small record (`head`) says how far.

A queue of segment files. There is one write for each batch and no fsync: a power cut may lose the newest claims, and
then their leases expire and the attempts run again. When the disk does not take a write, claims live in memory
alone and `trouble` says so; the node stops taking work until `heal` succeeds.
"""

import os
import shutil
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import structlog

__all__ = ["SEGMENT_BYTES", "Outbox", "Place"]

_log = structlog.get_logger("workers.outbox")

SEGMENT_BYTES = 4 * 1024 * 1024
"""A segment is closed beyond this, and deleted as a whole once all of it is durable."""
FREE_BYTES = 16 * 1024 * 1024
"""Room that a disk must have again before the node relies on it: hysteresis against flapping."""
_HEAD = struct.Struct("<QQI")
_SUFFIX = ".lines"


class Place(NamedTuple):
    """Just behind a claim: its segment, and the offset there. Segment 0 is memory."""

    segment: int
    end: int


_NOWHERE = Place(0, 0)


class Outbox:
    """The claims of one node that are not durable yet. Opening it reads what an earlier process left."""

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Open or make `folder`. Raises `OSError` where that is not possible."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._segment_bytes = segment_bytes
        self.trouble = ""
        """Why claims are only in memory; empty when they are on disk."""
        self._released = self._read_head()
        self.left: list[tuple[bytes, Place]] = self._read_left()
        """Claims (lines without their line break) of an earlier process, oldest first."""
        self._head = os.open(folder / "head", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._number = max([self._released.segment, *self._segments()], default=0)
        self._file: BinaryIO | None = None
        self._size = 0
        try:
            self._roll()
        except OSError as error:
            self._fail(error)

    def __repr__(self) -> str:
        """Where it writes and how far it is released."""
        at = f"{self._number}+{self._size}"
        return f"Outbox(at {at}, released {self._released.segment}+{self._released.end}{', ' + self.trouble if self.trouble else ''})"

    def add(self, lines: Sequence[bytes]) -> list[Place]:
        """Write claims, in one write; call it before they are published. Never raises: see `trouble`."""
        if self.trouble or self._file is None:
            return [_NOWHERE] * len(lines)
        try:
            if self._size >= self._segment_bytes:
                self._roll()
            _write_all(self._file.fileno(), b"\n".join((*lines, b"")))
        except OSError as error:
            self._fail(error)
            return [_NOWHERE] * len(lines)
        places = []
        for line in lines:
            self._size += len(line) + 1
            places.append(Place(self._number, self._size))
        return places

    def release(self, places: Sequence[Place]) -> None:
        """The claims at these places, the oldest that are left, are durable."""
        last = max(places, default=_NOWHERE)
        if last <= self._released:
            return
        before, self._released = self._released, last
        try:
            os.pwrite(self._head, _seal_head(last), 0)
        except OSError as error:
            self._fail(error)
        if last.segment != before.segment:
            for number in self._segments():
                if number < last.segment:
                    self._path(number).unlink(missing_ok=True)

    def heal(self) -> None:
        """After trouble: try the disk again, in a new segment."""
        if not self.trouble:
            return
        try:
            if shutil.disk_usage(self._folder).free < FREE_BYTES:
                return
            self._roll()
            _write_all(self._file.fileno() if self._file else -1, b"\n")
            self._size = 1
            os.pwrite(self._head, _seal_head(self._released), 0)
        except OSError as error:
            self._fail(error)
            return
        self.trouble = ""
        _log.info("outbox on disk again", folder=str(self._folder))

    def close(self) -> None:
        """Close the files; segments that are durable as a whole are deleted."""
        if self._file is not None:
            self._file.close()
            self._file = None
        os.close(self._head)
        for number in self._segments():
            path = self._path(number)
            size = path.stat().st_size
            if size == 0 or Place(number, size) <= self._released:
                path.unlink()

    # Files

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:016d}{_SUFFIX}"

    def _segments(self) -> list[int]:
        return sorted(int(p.stem) for p in self._folder.glob(f"*{_SUFFIX}") if p.stem.isdigit())

    def _roll(self) -> None:
        """Go on in a new segment. An earlier process's last one may end in half a line, so it is never appended to."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._number += 1
        self._size = 0
        descriptor = os.open(
            self._path(self._number), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        self._file = os.fdopen(descriptor, "wb", buffering=0)

    def _fail(self, error: OSError) -> None:
        reason = f"the outbox cannot be written ({error.strerror or error}): free space in {self._folder}"
        if reason != self.trouble:
            _log.error("outbox in memory only", reason=reason)
        self.trouble = reason

    def _read_head(self) -> Place:
        try:
            data = (self._folder / "head").read_bytes()
            segment, end, check = _HEAD.unpack(data[: _HEAD.size])
        except (FileNotFoundError, struct.error):
            return _NOWHERE
        place = Place(segment, end)
        # A head torn by a power cut does not count: then everything that is left goes out again, which is harmless.
        return place if check == _check(place) else _NOWHERE

    def _read_left(self) -> list[tuple[bytes, Place]]:
        left: list[tuple[bytes, Place]] = []
        for number in self._segments():
            path = self._path(number)
            if number < self._released.segment:
                path.unlink(missing_ok=True)
                continue
            found = _whole_lines(
                path.read_bytes(), self._released.end if number == self._released.segment else 0
            )
            left.extend((line, Place(number, end)) for line, end in found)
            if not found:
                path.unlink(missing_ok=True)
        return left


def _whole_lines(data: bytes, start: int) -> list[tuple[bytes, int]]:
    """The lines from `start` on, each with the offset behind it; what follows the last line break is half a line."""
    found = []
    while (end := data.find(b"\n", start) + 1) > 0:
        if line := data[start : end - 1].strip():
            found.append((line, end))
        start = end
    return found


def _check(place: Place) -> int:
    return zlib.crc32(b"%d+%d" % place)


def _seal_head(place: Place) -> bytes:
    return _HEAD.pack(place.segment, place.end, _check(place))


def _write_all(descriptor: int, data: bytes) -> None:
    """One write, or several where the system takes only a part; raises `OSError`."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
