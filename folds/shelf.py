"""The folder of one service: parts of its checkpoints by their SHA-256, so that a restart need not fetch them.

Guarantees that what is read is what was written (the name is the digest), that a file is there whole or not at all, and that a folder
that is lost, damaged or full costs time and never a fact: everything in it stands on the bus, too, or in the logs.
"""

import os
import time
from functools import partial
from mmap import ACCESS_READ, mmap
from pathlib import Path

import structlog

from bus.wire import sha256_hex
from folds.errors import FolderUnusable, RunDamaged
from folds.runs import Bytes, Run

__all__ = ["Shelf"]

_STALE_S = 600
"""An unfinished file this old is nobody's any more."""

_log = structlog.get_logger("folds.shelf")


class Shelf:
    """The files below `folder`. Runs are read where they lie. Processes that share a folder only fetch more often."""

    def __init__(self, folder: Path) -> None:
        """Open or make `folder`; raises `FolderUnusable`."""
        self._folder = folder
        self._open: dict[str, int] = {}
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for unfinished in folder.glob("*.partial"):
                if time.time() - unfinished.stat().st_mtime > _STALE_S:
                    unfinished.unlink(missing_ok=True)
        except OSError as error:
            raise FolderUnusable(
                f"{folder} cannot be used ({error.strerror}): choose another --data"
            ) from None

    def __repr__(self) -> str:
        """Where, and how many runs are open."""
        return f"Shelf({self._folder}, open={len(self._open)})"

    def put(self, data: Bytes) -> str:
        """Keep `data`; returns its digest. Raises `FolderUnusable` where the disk takes nothing."""
        digest = sha256_hex(data)
        path = self._folder / digest
        if not path.exists():
            unfinished = self._folder / f"{digest}.{os.getpid()}.partial"
            try:
                with unfinished.open("wb") as file:
                    file.write(data)
                unfinished.replace(path)
            except OSError as error:
                unfinished.unlink(missing_ok=True)
                raise FolderUnusable(
                    f"{self._folder} takes no more ({error.strerror}): free space there"
                ) from None
        return digest

    def get(self, digest: str) -> bytes | None:
        """What is kept under `digest`; None where nothing is, or something else: that is then removed."""
        try:
            data = (self._folder / digest).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.warning("a kept part cannot be read", digest=digest[:16], reason=error.strerror)
            return None
        if sha256_hex(data) == digest:
            return data
        _log.warning("a kept part is damaged: it is fetched anew", digest=digest[:16])
        (self._folder / digest).unlink(missing_ok=True)
        return None

    def run(self, data: Bytes) -> Run:
        """The run that `data` is, read from its file from now on; from memory where the disk does not take it.

        Raises `RunDamaged` where the bytes are no run.
        """
        try:
            # What lay there under this name may have been damaged, and is gone then.
            run = self.kept_run(self.put(data)) or self.kept_run(self.put(data))
        except FolderUnusable as error:
            _log.warning("a run is kept in memory", reason=str(error))
            run = None
        return run or Run(data)

    def kept_run(self, digest: str) -> Run | None:
        """The run that is kept under `digest`, looked through once and without a copy of it; None where it is not there, or damaged: it is then removed."""
        path = self._folder / digest
        try:
            if digest not in self._open:
                self._open[digest] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            descriptor = self._open[digest]
            with mmap(descriptor, 0, access=ACCESS_READ) as content:
                return Run(content, partial(_read, descriptor), digest=digest)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RunDamaged) as error:  # a ValueError: there is nothing in it
            _log.warning("a kept run is damaged: it is got anew", digest=digest[:16], reason=str(error))
            path.unlink(missing_ok=True)
            if digest in self._open:
                os.close(self._open.pop(digest))
            return None

    def keep(self, digests: frozenset[str]) -> None:
        """Remove every part but these."""
        for path in self._folder.iterdir():
            if path.name not in digests and path.suffix != ".partial":
                path.unlink(missing_ok=True)
        for digest in self._open.keys() - digests:
            os.close(self._open.pop(digest))

    def close(self) -> None:
        """Close the files; runs that are read from them answer no more."""
        while self._open:
            os.close(self._open.popitem()[1])


def _read(descriptor: int, offset: int, size: int) -> bytes:
    try:
        return os.pread(descriptor, size, offset)
    except OSError as error:
        raise RunDamaged(f"a run cannot be read where it lies ({error.strerror}): start again") from None
