"""One process alone has a folder: what is in it is mended, and made anew, by who holds this lock.

Guarantees that the lock is free as soon as its process has ended, however it ended.
"""

import fcntl
import os
from pathlib import Path

from anchor.bitcoin.errors import StoreUnusable

__all__ = ["FolderLock"]


class FolderLock:
    """Holds `folder`, which is made if need be, until `release`; raises `StoreUnusable` where another one holds it."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreUnusable(f"the folder {folder} cannot be used: {error}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise StoreUnusable(
                f"the chain in {folder} cannot be opened: another process is using it"
            ) from None

    def release(self) -> None:
        """Let others have it."""
        os.close(self._file)
