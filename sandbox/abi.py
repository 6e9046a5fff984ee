"""The host interface in names and numbers: what a guest may import, of which type, and what a call costs.

Pure data, no engine: the coordinator admits modules by it, the host implements exactly it, and a test compares the
two. Signatures are those of WASI preview 1 (witx `snapshot/preview1`); `ambient_crypto` is ours, see HOST.md.
"""

from typing import Final

WASI: Final = "wasi_snapshot_preview1"
CRYPTO: Final = "ambient_crypto"

Signature = tuple[tuple[str, ...], tuple[str, ...]]


def _sig(params: str, results: str = "i") -> Signature:
    names = {"i": "i32", "I": "i64"}
    return tuple(names[c] for c in params), tuple(names[c] for c in results)


HOST_FUNCTIONS: Final[dict[tuple[str, str], Signature]] = {
    (WASI, "args_get"): _sig("ii"),
    (WASI, "args_sizes_get"): _sig("ii"),
    (WASI, "environ_get"): _sig("ii"),
    (WASI, "environ_sizes_get"): _sig("ii"),
    (WASI, "clock_res_get"): _sig("ii"),
    (WASI, "clock_time_get"): _sig("iIi"),
    (WASI, "fd_advise"): _sig("iIIi"),
    (WASI, "fd_allocate"): _sig("iII"),
    (WASI, "fd_close"): _sig("i"),
    (WASI, "fd_datasync"): _sig("i"),
    (WASI, "fd_fdstat_get"): _sig("ii"),
    (WASI, "fd_fdstat_set_flags"): _sig("ii"),
    (WASI, "fd_fdstat_set_rights"): _sig("iII"),
    (WASI, "fd_filestat_get"): _sig("ii"),
    (WASI, "fd_filestat_set_size"): _sig("iI"),
    (WASI, "fd_filestat_set_times"): _sig("iIIi"),
    (WASI, "fd_pread"): _sig("iiiIi"),
    (WASI, "fd_prestat_dir_name"): _sig("iii"),
    (WASI, "fd_prestat_get"): _sig("ii"),
    (WASI, "fd_pwrite"): _sig("iiiIi"),
    (WASI, "fd_read"): _sig("iiii"),
    (WASI, "fd_readdir"): _sig("iiiIi"),
    (WASI, "fd_renumber"): _sig("ii"),
    (WASI, "fd_seek"): _sig("iIii"),
    (WASI, "fd_sync"): _sig("i"),
    (WASI, "fd_tell"): _sig("ii"),
    (WASI, "fd_write"): _sig("iiii"),
    (WASI, "path_create_directory"): _sig("iii"),
    (WASI, "path_filestat_get"): _sig("iiiii"),
    (WASI, "path_filestat_set_times"): _sig("iiiiIIi"),
    (WASI, "path_link"): _sig("iiiiiii"),
    (WASI, "path_open"): _sig("iiiiiIIii"),
    (WASI, "path_readlink"): _sig("iiiiii"),
    (WASI, "path_remove_directory"): _sig("iii"),
    (WASI, "path_rename"): _sig("iiiiii"),
    (WASI, "path_symlink"): _sig("iiiii"),
    (WASI, "path_unlink_file"): _sig("iii"),
    (WASI, "poll_oneoff"): _sig("iiii"),
    (WASI, "proc_exit"): _sig("i", ""),
    (WASI, "random_get"): _sig("ii"),
    (WASI, "sched_yield"): _sig(""),
    (CRYPTO, "sha256"): _sig("iii"),
    (CRYPTO, "sha512"): _sig("iii"),
    (CRYPTO, "hmac_sha256"): _sig("iiiii"),
    (CRYPTO, "ed25519_verify"): _sig("iiii"),
}
"""Everything a module may import. Left out on purpose: sockets, signals (`proc_raise`), threads, preview 0."""

# What host work costs in fuel. A call runs Python for a few microseconds, in which a guest would execute some
# thousand instructions; without a charge, ten billion fuel would buy hours of host calls.
CALL_FUEL: Final = 1_000
BYTES_PER_FUEL: Final = 4
"""Bytes moved or hashed by the host for one unit of fuel."""
VERIFY_FUEL: Final = 200_000
"""One Ed25519 verification (about 120 µs)."""

CLOCK_STEP_NS: Final = 1_000_000
"""How far the guest's clock moves each time it is read: 1 ms, so that waiting loops end soon."""

VERIFY_MESSAGE_MAX: Final = 16 << 20
"""Longest message for `ed25519_verify`: the library wants it in one piece, outside the guest's memory."""

MAX_IOVECS: Final = 1_024
"""IOV_MAX of POSIX systems; more is EINVAL."""

# Errno values of preview 1 that this host uses.
SUCCESS: Final = 0
E2BIG: Final = 1
EBADF: Final = 8
EFAULT: Final = 21
EINVAL: Final = 28
ENOTDIR: Final = 54
ENOTSUP: Final = 58
ESPIPE: Final = 70
ENOTCAPABLE: Final = 76
