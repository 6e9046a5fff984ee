"""The messages of VERDICTS that hold leaves, kept for receipts after VERDICTS was cut.

Guarantees that what is read is what was appended (each record has its digest), that a record that was cut off by a power failure ends the store
before it and is appended again, and that memory grows by some bytes for each MiB on disk only.

Layout: files named after the first leaf in them, of about a MiB; each a sequence of records, little-endian: magic (4 bytes), digest (8 bytes
of SHA-256 over the rest), sequence, first leaf, number of leaves, length of the message, then the leaves' line numbers (u16) and the message.
"""

import os
import struct
from bisect import bisect_right
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, NamedTuple

import structlog

from anchor.errors import FolderUnusable
from bus.disk import sync_path

__all__ = ["Message", "MessageStore"]

_log = structlog.get_logger("anchor.messages")

_MAGIC = b"AVM1"
_SUM_BYTES = 8
_HEAD = struct.Struct("<QQII")
_FIRST = len(_MAGIC) + _SUM_BYTES + _HEAD.size
_FILE_BYTES = 1024 * 1024
_MOST_BYTES = 2 * 1024 * 1024


class Message(NamedTuple):
    """A message's sequence in VERDICTS, the leaf that its first verdict is, the line numbers of its verdicts, and its bytes."""

    sequence: int
    first: int
    lines: tuple[int, ...]
    body: bytes

    @property
    def end(self) -> int:
        """The leaf behind its last one."""
        return self.first + len(self.lines)


class MessageStore:
    """The files below `folder`. Synchronous; what was appended is on disk after `sync`."""

    def __init__(self, folder: Path) -> None:
        """Open or make `folder`, and end it behind its last whole record; raises `FolderUnusable`."""
        self._folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._firsts = sorted(int(path.stem) for path in folder.glob("*.verdicts"))
            self.last: Message | None = self._mend()
            self._file = self._open() if self._firsts else None
        except OSError as error:
            raise self._unusable(error) from None

    def __repr__(self) -> str:
        """How far it reaches."""
        last = self.last
        return f"MessageStore({self._folder}, files={len(self._firsts)}, leaves to {last.end if last else 0})"

    def append(self, messages: list[Message]) -> None:
        """Add messages behind the last one; those that stand there already are passed over. Raises `FolderUnusable`."""
        try:
            for message in messages:
                if self.last is not None and message.sequence <= self.last.sequence:
                    continue
                if self._file is None or self._file.tell() >= _FILE_BYTES:
                    self._begin(message.first)
                assert self._file is not None  # noqa: S101 -- just begun
                self._file.write(_packed(message))
                self.last = message
        except OSError as error:
            raise self._unusable(error) from None

    def sync(self) -> None:
        """Return once everything that was appended is on disk. Raises `FolderUnusable`."""
        if self._file is None:
            return
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._unusable(error) from None

    def holding(self, leaf: int) -> Message | None:
        """The message that brought a leaf; None where it is not here, or damaged."""
        at = bisect_right(self._firsts, leaf) - 1
        if at < 0:
            return None
        if self._file is not None:
            self._file.flush()
        for message, _ in self._records(self._firsts[at]):
            if message.first <= leaf < message.end:
                return message
        return None

    def all_from(self, leaf: int) -> Iterator[Message]:
        """The whole records that hold a leaf or come behind it, in order."""
        at = max(0, bisect_right(self._firsts, leaf) - 1)
        if self._file is not None:
            self._file.flush()
        for first in self._firsts[at:]:
            for message, _ in self._records(first):
                if message.end > leaf:
                    yield message

    def around(self, leaf: int) -> tuple[Message | None, Message | None]:
        """The last whole record before a leaf that is not here, and the first one behind it: where in VERDICTS it can be found again."""
        before: Message | None = None
        at = max(0, bisect_right(self._firsts, leaf) - 2)
        for first in self._firsts[at:]:
            for message, _ in self._records(first):
                if message.first > leaf:
                    return before, message
                before = message
        return before, None

    def replace(self, message: Message) -> None:
        """Put a damaged record's message back where it stood, as it was before. Raises `FolderUnusable`."""
        at = bisect_right(self._firsts, message.first) - 1
        path = self._path(self._firsts[at])
        try:
            data = path.read_bytes()
            place = _place_of(data, message)
            if place is None:
                return
            with path.open("r+b") as file:
                file.seek(place)
                file.write(_packed(message))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._unusable(error) from None

    def close(self) -> None:
        """Close the file that is appended to."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _path(self, first: int) -> Path:
        return self._folder / f"{first:020d}.verdicts"

    def _begin(self, first: int) -> None:
        self.sync()
        self.close()
        if not self._firsts or self._firsts[-1] != first:
            self._firsts.append(first)
        self._file = self._open()
        sync_path(self._folder)

    def _open(self) -> BinaryIO:
        file = self._path(self._firsts[-1]).open("ab")
        file.seek(0, os.SEEK_END)
        return file

    def _mend(self) -> Message | None:
        """The last whole record; what follows it is cut off, with a word about it."""
        while self._firsts:
            path, last, end = self._path(self._firsts[-1]), None, 0
            for message, behind in self._records(self._firsts[-1]):
                last, end = message, behind
            if path.stat().st_size > end:
                _log.warning(
                    "the end of a file is damaged: it is read from VERDICTS again", file=path.name, kept=end
                )
                os.truncate(path, end)
            if last is not None:
                return last
            path.unlink()
            self._firsts.pop()
        return None

    def _records(self, first: int) -> Iterator[tuple[Message, int]]:
        """The whole records of a file with where they end. A damaged one inside is passed over where its length can be believed."""
        data = self._path(first).read_bytes()
        at = 0
        while at < len(data):
            found = _unpacked(data, at)
            if found is None:
                step = data.find(_MAGIC, at + 1)
                if step < 0:
                    return
                at = step
                continue
            message, at = found
            yield message, at

    def _unusable(self, error: OSError) -> FolderUnusable:
        return FolderUnusable(
            f"{self._folder} cannot be used ({error.strerror}): free space there, or choose another --data"
        )


def _packed(message: Message) -> bytes:
    lines = struct.pack(f"<{len(message.lines)}H", *message.lines)
    head = _HEAD.pack(message.sequence, message.first, len(message.lines), len(message.body))
    rest = head + lines + message.body
    return _MAGIC + sha256(rest).digest()[:_SUM_BYTES] + rest


def _unpacked(data: bytes, at: int) -> tuple[Message, int] | None:
    """The record at `at` and where it ends; None where there is no whole one."""
    start = at + len(_MAGIC) + _SUM_BYTES
    if data[at : at + len(_MAGIC)] != _MAGIC or len(data) < at + _FIRST:
        return None
    sequence, first, count, length = _HEAD.unpack_from(data, start)
    end = at + _FIRST + 2 * count + length
    if length > _MOST_BYTES or end > len(data):
        return None
    if sha256(data[start:end]).digest()[:_SUM_BYTES] != data[at + len(_MAGIC) : start]:
        return None
    lines = struct.unpack_from(f"<{count}H", data, at + _FIRST)
    return Message(sequence, first, lines, data[at + _FIRST + 2 * count : end]), end


def _place_of(data: bytes, message: Message) -> int | None:
    """Where a message of these leaves stands, or stood before its record was damaged: behind the one before it."""
    at = 0
    while at < len(data):
        found = _unpacked(data, at)
        if found is None:
            return at
        if found[0].first >= message.first:
            return None if found[0].first > message.first else at
        at = found[1]
    return None
