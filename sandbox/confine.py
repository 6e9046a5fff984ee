"""What a slot gives up before it touches a guest: the last fence, should compiled code break out of the engine.

Guarantees, where the system offers it: the process dies with its parent, gains no privileges, dumps no core, writes
and executes no file, makes no connection, holds no inherited descriptor or environment, may use a bounded amount of memory, is the first to go when
memory runs out, and yields the processor to the services beside it.
"""

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

NICE = 3
DESCRIPTORS_MAX = 64
FILE_BYTES_MAX = 1 << 30
"""Not zero: the engine keeps the first image of a guest's memory in a file in memory."""
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_RESTRICT_SELF = 446
_LANDLOCK_VERSION = 1
_LANDLOCK_KNOWS_TCP = 4
_LANDLOCK_TCP = 0b11
"""Of `LANDLOCK_ACCESS_NET_*`: bind and connect."""
_LANDLOCK_WRITES = 0b1_1111_1111_0011
"""Of `LANDLOCK_ACCESS_FS_*`, ABI 1: execute, write, remove and make anything; reading files and folders stays."""


def confine(memory_mb: int, parent: int, *, may_write: bool = False) -> None:
    """Drop what can be dropped.

    Args:
        memory_mb: private writable memory of the whole process; reserved address space does not count.
        parent: the process that must be alive; if it is gone already, this one ends.
        may_write: leave the right to write files (the compiler keeps what it made).
    """
    os.environ.clear()
    # A terminal's ctrl-C reaches the whole group; the pool decides when its slots end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    if os.getppid() != parent:
        sys.exit(0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_DATA, memory_mb << 20)
    _limit(resource.RLIMIT_NOFILE, DESCRIPTORS_MAX)
    _limit(resource.RLIMIT_FSIZE, FILE_BYTES_MAX)
    if not may_write and sys.platform == "linux":
        _forbid_writing(libc)
    with contextlib.suppress(OSError):
        os.nice(NICE)


def _forbid_writing(libc: ctypes.CDLL) -> None:
    """Forbid this process to open files for writing, to make, remove or execute any, and to use TCP (Landlock)."""
    version = libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION)
    if version < 1:
        return
    # A rule set that handles these accesses and allows none of them anywhere. Older kernels know the first field only.
    handled = (ctypes.c_uint64 * 2)(_LANDLOCK_WRITES, _LANDLOCK_TCP)
    size = ctypes.sizeof(handled) if version >= _LANDLOCK_KNOWS_TCP else ctypes.sizeof(ctypes.c_uint64)
    ruleset = libc.syscall(_LANDLOCK_CREATE_RULESET, ctypes.byref(handled), size, 0)
    if ruleset >= 0:
        libc.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0)
        os.close(ruleset)


def _limit(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    # Some systems refuse some limits (macOS: RLIMIT_DATA); the fence is then lower there, not absent.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(which, (value, value))
