"""Files that a command line names: read whole, or refused with the option's name and what to give instead."""

from pathlib import Path

from bus.errors import Malformed

__all__ = ["read_file"]


def read_file(option: str, path: Path) -> bytes:
    """The content of `path`; raises `Malformed` naming `option` where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise Malformed(option, f"cannot read {path} ({error.strerror}): give the path of a file") from None
