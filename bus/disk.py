"""What it takes for a file or a name to survive a loss of power (fsync(2)), and for a file to be there whole or not at all."""

import os
import secrets
from pathlib import Path

__all__ = ["sync_path", "write_whole"]


def sync_path(path: Path) -> None:
    """Return once what is written of a file, or the names in a folder, are on disk. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, data: bytes, *, mode: int = 0o600, once: bool = False) -> None:
    """Write a file, on disk once this returns; whoever reads it meanwhile, or after a crash, finds it whole, as it was before, or not at all.

    With `once` a file that is there stays: `FileExistsError` tells that somebody was first. Raises `OSError`, and then leaves nothing behind.
    """
    # Random, not the process id: in a container that is the same after each restart, and a leftover would block for ever.
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if once:
            path.hardlink_to(
                partial
            )  # unlike a rename, it fails where a twin that started at the same moment was first
        else:
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_path(path.parent)  # else a loss of power takes the name away, and with it whoever needs it
