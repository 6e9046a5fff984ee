"""Memory that building and merging runs used for a moment goes back to the system.

A merge has up to fifty megabytes for a second. glibc keeps what is freed, in each thread's arena by itself, so that a service would
seem to grow for as long as its threads take turns. Elsewhere than with glibc nothing is done.
"""

import ctypes
from collections.abc import Callable

__all__ = ["give_back"]


def _find() -> Callable[[int], int] | None:
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # musl, macOS; Windows
        return None
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    return trim


_trim = _find()


def give_back() -> bool:
    """Give freed memory back, of all arenas (malloc_trim(3)): some milliseconds, so not on an event loop. Whether there was any."""
    return _trim is not None and bool(_trim(0))
