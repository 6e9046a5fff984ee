"""What any process says of itself and of the disk under it. Reads /proc; where there is none (not Linux), it says less."""

import importlib.metadata
import resource
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metrics.board import Board, Source

__all__ = ["process"]

_PROC = Path("/proc/self")


def process(service: str, data: Path) -> "Source":
    """The source of a process that keeps its data in a folder, which may not be there yet."""
    # Not when this module was loaded: a process may be forked from one that had it loaded long before.
    version, started_s = _version(), time.time()

    async def say(board: "Board") -> None:
        board.say("ambient_build_info", 1, service=service, version=version)
        board.say("ambient_process_start_time_seconds", started_s, service=service)
        _say_process(board, service)
        _say_disk(board, service, data)

    return say


def _say_process(board: "Board", service: str) -> None:
    board.say("ambient_process_cpu_seconds_total", time.process_time(), service=service)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit != resource.RLIM_INFINITY:
        board.say("ambient_process_max_fds", limit, service=service)
    if _PROC.exists():
        resident = int((_PROC / "statm").read_text().split()[1]) * resource.getpagesize()
        board.say("ambient_process_resident_memory_bytes", resident, service=service)
        board.say("ambient_process_open_fds", len(list((_PROC / "fd").iterdir())), service=service)


def _say_disk(board: "Board", service: str, data: Path) -> None:
    disk = shutil.disk_usage(next(each for each in (data, *data.absolute().parents) if each.exists()))
    board.say("ambient_disk_free_bytes", disk.free, service=service)
    board.say("ambient_disk_size_bytes", disk.total, service=service)


def _version() -> str:
    try:
        return importlib.metadata.version("ambient-vcp")
    except importlib.metadata.PackageNotFoundError:
        return "0-checkout"
