"""Memory that building and merging runs used for a moment goes back to the system.

A merge has up to fifty megabytes for a second. glibc keeps what is freed, in each thread's arena by itself, so that a service would
seem to grow for as long as its threads take turns. And with each large block that is freed it puts larger ones between the small, up to
32 MB, where one that stays behind it keeps it from the system for as long. Elsewhere than with glibc nothing is done.
"""

import ctypes
from collections.abc import Callable

__all__ = ["LARGE_BYTES", "give_back", "keep_large_apart"]

LARGE_BYTES = 4 * 1024 * 1024
"""More than any message has, and less than the runs that are merged."""
_MMAP_THRESHOLD = -3
"""`M_MMAP_THRESHOLD` of <malloc.h>."""


def _find(name: str, *arguments: type) -> Callable[..., int] | None:
    try:
        function = ctypes.CDLL(None)[name]
    except (AttributeError, OSError, TypeError):  # musl, macOS; Windows
        return None
    function.argtypes, function.restype = arguments, ctypes.c_int
    return function


_trim = _find("malloc_trim", ctypes.c_size_t)
_set = (
    _find("mallopt", ctypes.c_int, ctypes.c_int) if _trim is not None else None
)  # musl has it, and does nothing


def give_back() -> bool:
    """Give freed memory back, of all arenas (malloc_trim(3)): some milliseconds, so not on an event loop. Whether there was any."""
    return _trim is not None and bool(_trim(0))


def keep_large_apart() -> bool:
    """From now on each block of `LARGE_BYTES` or more is the system's again as soon as it is freed (mallopt(3)). Whether that can be had."""
    return _set is not None and bool(_set(_MMAP_THRESHOLD, LARGE_BYTES))
