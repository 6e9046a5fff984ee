"""WASI preview 1 for deterministic guests: three streams, arguments, environment, exit, a counting clock, a seed.

Guarantees: each call's answer depends on the job and on the calls before it, on nothing else. There are no files:
only descriptors 0, 1 and 2 exist, none of them a directory. Time stands still except when it is looked at (one
step a look) or waited for (the wait is over at once, and the clock says so). Standard input ends after the job's
input; output beyond a limit ends the guest.

Layouts of structures follow witx `snapshot/preview1`. Each function takes unsigned numbers and returns an errno.
"""

import hashlib
import struct
from typing import Final

from sandbox.abi import (
    CLOCK_STEP_NS,
    EBADF,
    EINVAL,
    ENOTDIR,
    ENOTSUP,
    ESPIPE,
    MAX_IOVECS,
    SUCCESS,
    WASI,
)
from sandbox.endings import GuestStop
from sandbox.host import Call, Host

STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2
PROGRAM_NAME: Final = b"guest"
RANDOM_BLOCK: Final = 65_536
SUBSCRIPTIONS_MAX: Final = 4_096
RIGHT_READ: Final = 1 << 1
RIGHT_WRITE: Final = 1 << 6
RIGHT_POLL: Final = 1 << 27
CLOCKS: Final = 4
_U32 = struct.Struct("<I").pack
_U64 = struct.Struct("<Q").pack
_U64_MAX: Final = (1 << 64) - 1


def _open(host: Host, fd: int) -> bool:
    return fd <= STDERR and fd not in host.closed


def _vector_get(host: Host, items: list[bytes], table: int, buffer: int) -> int:
    pointers = bytearray()
    at = buffer
    for item in items:
        pointers += _U32(at & 0xFFFF_FFFF)
        at += len(item) + 1
    data = b"".join(item + b"\0" for item in items)
    host.write(table, bytes(pointers))
    host.write(buffer, data)
    host.moved(data)
    return SUCCESS


def _vector_sizes(host: Host, items: list[bytes], count: int, size: int) -> int:
    host.write(count, _U32(len(items)))
    host.write(size, _U32(sum(len(item) + 1 for item in items)))
    host.note(_U32(len(items)))
    return SUCCESS


def args_get(host: Host, table: int, buffer: int) -> int:
    """The program's name and arguments."""
    return _vector_get(host, host.argv, table, buffer)


def args_sizes_get(host: Host, count: int, size: int) -> int:
    """How many arguments, and their bytes in all."""
    return _vector_sizes(host, host.argv, count, size)


def environ_get(host: Host, table: int, buffer: int) -> int:
    """The environment, sorted by name."""
    return _vector_get(host, host.environ, table, buffer)


def environ_sizes_get(host: Host, count: int, size: int) -> int:
    """How many variables, and their bytes in all."""
    return _vector_sizes(host, host.environ, count, size)


def clock_res_get(host: Host, clock: int, out: int) -> int:
    """Every clock moves by the same step."""
    if clock >= CLOCKS:
        return EINVAL
    host.write(out, _U64(CLOCK_STEP_NS))
    return SUCCESS


def clock_time_get(host: Host, clock: int, _precision: int, out: int) -> int:
    """One counter serves all clocks; looking at it moves it."""
    if clock >= CLOCKS:
        return EINVAL
    host.clock_ns = min(host.clock_ns + CLOCK_STEP_NS, _U64_MAX)
    data = _U64(host.clock_ns)
    host.write(out, data)
    host.note(data)
    return SUCCESS


def random_get(host: Host, buffer: int, size: int) -> int:
    """SHAKE-256 over the job's seed and a block number, a new block for each 64 KiB or part asked for."""
    host.view(buffer, size)
    for start in range(0, size, RANDOM_BLOCK):
        block = hashlib.shake_256(host.seed + _U64(host.random_blocks))
        host.random_blocks += 1
        data = block.digest(min(RANDOM_BLOCK, size - start))
        host.write(buffer + start, data)
        host.moved(data)
    return SUCCESS


def _iovecs(host: Host, vectors: int, count: int) -> tuple[int, ...]:
    return struct.unpack(f"<{2 * count}I", host.read(vectors, 8 * count))


def fd_read(host: Host, fd: int, vectors: int, count: int, out: int) -> int:
    """Standard input, as much as fits."""
    if fd != STDIN or fd in host.closed:
        return EBADF
    if count > MAX_IOVECS:
        return EINVAL
    pairs = _iovecs(host, vectors, count)
    total = 0
    for place in range(0, len(pairs), 2):
        begin = host.input_at + total
        data = host.input[begin : begin + pairs[place + 1]]
        host.write(pairs[place], data)
        host.moved(data)
        total += len(data)
        if len(data) < pairs[place + 1]:
            break
    host.write(out, _U32(total))
    host.input_at += total
    return SUCCESS


def fd_write(host: Host, fd: int, vectors: int, count: int, out: int) -> int:
    """Standard output or standard error; passing a limit ends the guest."""
    if fd == STDOUT:
        sink, limit = host.stdout, host.output_max
    elif fd == STDERR:
        sink, limit = host.stderr, host.stderr_max
    else:
        return EBADF
    if fd in host.closed:
        return EBADF
    if count > MAX_IOVECS:
        return EINVAL
    pairs = _iovecs(host, vectors, count)
    total = sum(pairs[1::2])
    if len(sink) + total > limit:
        reason, name = ("output", "output_bytes") if fd == STDOUT else ("stderr", "stderr_bytes")
        raise GuestStop(reason, f"wrote more than the {limit} bytes that {name} allows")  # type: ignore[arg-type]
    for place in range(0, len(pairs), 2):
        data = host.read(pairs[place], pairs[place + 1])
        host.moved(data)
        sink += data
    host.write(out, _U32(total))
    return SUCCESS


def fd_close(host: Host, fd: int) -> int:
    """Closed descriptors stay closed."""
    if not _open(host, fd):
        return EBADF
    host.closed.add(fd)
    return SUCCESS


def fd_fdstat_get(host: Host, fd: int, out: int) -> int:
    """A stream of unknown type: not a terminal, so that libraries buffer; rights say its direction."""
    if not _open(host, fd):
        return EBADF
    rights = RIGHT_POLL | (RIGHT_READ if fd == STDIN else RIGHT_WRITE)
    host.write(out, struct.pack("<BxHxxxxQQ", 0, 0, rights, 0))
    return SUCCESS


def fd_filestat_get(host: Host, fd: int, out: int) -> int:
    """A stream has no size and no times."""
    if not _open(host, fd):
        return EBADF
    host.write(out, bytes(64))
    return SUCCESS


def poll_oneoff(host: Host, subscriptions: int, events: int, count: int, out: int) -> int:
    """Streams are always ready; a wait on the clock alone ends at once, with the clock moved to the earliest end."""
    if not 0 < count <= SUBSCRIPTIONS_MAX:
        return EINVAL
    data = host.read(subscriptions, 48 * count)
    host.view(events, 32 * count)
    ready = bytearray()
    waits: list[tuple[int, int, int]] = []
    for at in range(0, len(data), 48):
        user, tag = struct.unpack_from("<QB", data, at)
        if tag == 0:
            clock, timeout, _, flags = struct.unpack_from("<I4xQQH", data, at + 16)
            end = timeout if flags & 1 else host.clock_ns + timeout
            waits.append((min(end, _U64_MAX), user, 0 if clock < CLOCKS else EINVAL))
        elif tag in (1, 2):
            ready += _stream_event(host, user, tag, struct.unpack_from("<I", data, at + 16)[0])
        else:
            return EINVAL
    if not ready:
        host.clock_ns = max(host.clock_ns, min(waits)[0])
    for end, user, errno in waits:
        if end <= host.clock_ns:
            ready += struct.pack("<QHB21x", user, errno, 0)
    host.write(events, bytes(ready))
    host.write(out, _U32(len(ready) // 32))
    host.moved(ready)
    return SUCCESS


def _stream_event(host: Host, user: int, tag: int, fd: int) -> bytes:
    if not _open(host, fd) or (fd == STDIN) != (tag == 1):
        return struct.pack("<QHB21x", user, EBADF, tag)
    size = len(host.input) - host.input_at if tag == 1 else RANDOM_BLOCK
    return struct.pack("<QHB5xQH6x", user, SUCCESS, tag, size, 0 if size else 1)


def proc_exit(_host: Host, code: int) -> None:
    """End the guest."""
    raise GuestStop("exit", f"exited with code {code}", code)


def sched_yield(_host: Host) -> int:
    """There is nobody to yield to."""
    return SUCCESS


def _answer(errno: int) -> Call:
    """A call that answers `errno` for the three streams and EBADF for any other descriptor."""

    def call(host: Host, fd: int, *_rest: int) -> int:
        return errno if _open(host, fd) else EBADF

    return call


def _no_such_descriptor(_host: Host, *_args: int) -> int:
    return EBADF


def _path_pair(second: int) -> Call:
    def call(host: Host, *args: int) -> int:
        return ENOTDIR if _open(host, args[0]) and _open(host, args[second]) else EBADF

    return call


def _symlink(host: Host, *args: int) -> int:
    return ENOTDIR if _open(host, args[2]) else EBADF


CALLS: Final[dict[str, Call]] = {
    "args_get": args_get,
    "args_sizes_get": args_sizes_get,
    "environ_get": environ_get,
    "environ_sizes_get": environ_sizes_get,
    "clock_res_get": clock_res_get,
    "clock_time_get": clock_time_get,
    "fd_advise": _answer(ESPIPE),
    "fd_allocate": _answer(ESPIPE),
    "fd_close": fd_close,
    "fd_datasync": _answer(SUCCESS),
    "fd_fdstat_get": fd_fdstat_get,
    "fd_fdstat_set_flags": _answer(SUCCESS),
    "fd_fdstat_set_rights": _answer(SUCCESS),
    "fd_filestat_get": fd_filestat_get,
    "fd_filestat_set_size": _answer(EINVAL),
    "fd_filestat_set_times": _answer(EINVAL),
    "fd_pread": _answer(ESPIPE),
    "fd_prestat_dir_name": _no_such_descriptor,
    "fd_prestat_get": _no_such_descriptor,
    "fd_pwrite": _answer(ESPIPE),
    "fd_read": fd_read,
    "fd_readdir": _answer(ENOTDIR),
    "fd_renumber": _answer(ENOTSUP),
    "fd_seek": _answer(ESPIPE),
    "fd_sync": _answer(SUCCESS),
    "fd_tell": _answer(ESPIPE),
    "fd_write": fd_write,
    "path_create_directory": _answer(ENOTDIR),
    "path_filestat_get": _answer(ENOTDIR),
    "path_filestat_set_times": _answer(ENOTDIR),
    "path_link": _path_pair(4),
    "path_open": _answer(ENOTDIR),
    "path_readlink": _answer(ENOTDIR),
    "path_remove_directory": _answer(ENOTDIR),
    "path_rename": _path_pair(3),
    "path_symlink": _symlink,
    "path_unlink_file": _answer(ENOTDIR),
    "poll_oneoff": poll_oneoff,
    "proc_exit": proc_exit,
    "random_get": random_get,
    "sched_yield": sched_yield,
}


def define(host: Host) -> None:
    """Offer preview 1 to the host's modules."""
    for name, call in CALLS.items():
        host.define(WASI, name, call)
