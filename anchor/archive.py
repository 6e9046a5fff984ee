"""Which leaf is the verdict of an old task: an index on this machine's disk, of which nothing is in memory but the names of its files.

Guarantees that each file is what was written (its name has its digest, which is compared when it is opened), and that files that are missing or
damaged are made again from the messages, as far as these are here. What is not is told by `holes`: an answer of None then means "not known here".

Layout: runs (`folds.runs`) in files named after the first and the last leaf of whose tasks they tell, and their digest.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from anchor.core import KNOWN
from anchor.errors import FolderUnusable
from anchor.messages import MessageStore
from bus.disk import sync_path
from bus.wire import sha256_hex, split_lines
from folds.cold import ColdRun, digest_of
from folds.errors import RunDamaged
from folds.runs import Bytes, build, key_of, probe

__all__ = ["Archive"]

_log = structlog.get_logger("anchor.archive")

_NAME = re.compile(r"(\d{20})-(\d{20})-([0-9a-f]{64})\.run")
_AT_ONCE = 1_000_000
"""Leaves in a run that is made again."""


class _File(NamedTuple):
    first: int
    last: int
    run: ColdRun


class _Judged(msgspec.Struct):
    """A verdict, as far as the index is concerned."""

    task: str
    source: tuple[int, int] = (0, 0)


_JUDGED = msgspec.json.Decoder(_Judged)


class Archive:
    """The files below `folder`. Synchronous; looking up may be done while something is added."""

    def __init__(self, folder: Path) -> None:
        """Open or make `folder`; what is damaged there is removed. Raises `FolderUnusable`."""
        self._folder = folder
        self._files: list[_File] = []
        self.holes: list[tuple[int, int]] = []
        """First leaves of which nothing is known here, and the leaves behind the last ones."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in sorted(folder.iterdir()):
                self._open(path)
        except OSError as error:
            raise self._unusable(error) from None

    def __repr__(self) -> str:
        """How many files, and how far they go."""
        return f"Archive({self._folder}, files={len(self._files)}, to {self._files[-1].last if self._files else 0})"

    def leaf_of(self, task: str) -> int | None:
        """Which leaf the task's verdict is, the newest of tasks of that name; None where no file tells."""
        asked = probe(key_of(task))
        for file in reversed(self._files):
            packed = file.run.get(asked)
            if packed is not None:
                return int(KNOWN.unpack(packed)[0])
        return None

    def add(self, first: int, last: int, data: Bytes) -> None:
        """Keep a run about the tasks of these leaves. Returns once it is on disk; raises `FolderUnusable`."""
        if any(file.first <= first and last <= file.last for file in self._files):
            return
        path = self._folder / f"{first:020d}-{last:020d}-{sha256_hex(data)}.run"
        unfinished = path.with_suffix(".partial")
        try:
            with unfinished.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
            sync_path(self._folder)
            self._files = sorted(
                [*self._files, _File(first, last, ColdRun(path))], key=lambda each: each.last
            )
        except OSError as error:
            raise self._unusable(error) from None

    def fill(self, end: int, messages: MessageStore) -> None:
        """Make what is missing of the leaves before `end` again. Raises `FolderUnusable`."""
        self.holes = []
        for first, behind in self._missing(end):
            _log.warning("the index of old tasks is made again", leaves=(first, behind))
            for begin in range(first, behind, _AT_ONCE):
                self._make(begin, min(behind, begin + _AT_ONCE), messages)

    def _missing(self, end: int) -> list[tuple[int, int]]:
        """The ranges of leaves before `end` that no file tells of."""
        found, at = [], 0
        for file in sorted(self._files):
            if file.first > at:
                found.append((at, min(end, file.first)))
            at = max(at, file.last + 1)
        return [(first, behind) for first, behind in [*found, (at, end)] if first < behind]

    def _make(self, first: int, behind: int, messages: MessageStore) -> None:
        known: dict[bytes, bytes] = {}
        leaf = first
        for at, task, source in _judged(first, behind, messages):
            if at > leaf:
                self.holes.append((leaf, at))
            known[key_of(task)] = KNOWN.pack(at, *source)
            leaf = at + 1
        if leaf < behind:
            self.holes.append((leaf, behind))
        if known:
            self.add(first, behind - 1, build(list(known), list(known.values()), behind - 1))

    def close(self) -> None:
        """Close the files."""
        files, self._files = self._files, []
        for file in files:
            file.run.close()

    def _open(self, path: Path) -> None:
        named = _NAME.fullmatch(path.name)
        try:
            if named is not None and digest_of(path) == named[3]:
                self._files.append(_File(int(named[1]), int(named[2]), ColdRun(path)))
                return
        except RunDamaged:
            pass
        _log.warning("a file of the index is damaged, or none of it", file=path.name)
        path.unlink()

    def _unusable(self, error: OSError) -> FolderUnusable:
        return FolderUnusable(
            f"{self._folder} cannot be used ({error.strerror}): free space there, or choose another --data"
        )


def _judged(first: int, behind: int, messages: MessageStore) -> Iterator[tuple[int, str, tuple[int, int]]]:
    """Leaf, task and place in TASKS of all leaves in a range whose messages are here, in order."""
    for message in messages.all_from(first):
        if message.first >= behind:
            return
        members = split_lines(message.body)[1:]
        for at, line in enumerate(message.lines, message.first):
            if first <= at < behind:
                judged = _JUDGED.decode(members[line])
                yield at, judged.task, judged.source
