"""What a client writes down, each line on disk before it goes on: what it asked for, what was acknowledged, and which verdict it was handed.

Guarantees that a line that was written survives the writer's death, and that a line that was half written is none. Times are of the machine's
monotonic clock, which all processes share and no fault moves.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from bus.messages import Verdict

__all__ = [
    "Acknowledged",
    "Begun",
    "Entry",
    "Finished",
    "Heard",
    "Journal",
    "Refused",
    "Submitted",
    "Trouble",
    "now_s",
    "read",
]


class Begun(Struct, frozen=True, tag="begun"):
    """A process of the client starts, and reads on from what stands above."""

    at_s: float


class Submitted(Struct, frozen=True, tag="submitted"):
    """Before the submission; also before each further one. `deadline` (ISO 8601, empty without one) stays the same."""

    at_s: float
    id: str
    deadline: str = ""


class Acknowledged(Struct, frozen=True, tag="acknowledged"):
    """From here on the task is not lost."""

    at_s: float
    id: str


class Refused(Struct, frozen=True, tag="refused"):
    """There was no room; it is submitted again."""

    at_s: float
    id: str
    reason: str


class Heard(Struct, frozen=True, tag="heard"):
    """The verdict as it was handed out, and the digest of the whole output; `again` if it is of a task that had its verdict before."""

    at_s: float
    id: str
    verdict: Verdict
    output: str
    again: bool = False


class Trouble(Struct, frozen=True, tag="trouble"):
    """The client was told of an error that it should not have seen; it tries again."""

    at_s: float
    id: str
    error: str


class Finished(Struct, frozen=True, tag="finished"):
    """Nothing is open, and nothing more is asked for."""

    at_s: float


Entry = Begun | Submitted | Acknowledged | Refused | Heard | Trouble | Finished

_LINE = msgspec.json.Decoder(Entry)


class Journal:
    """One client's journal, to write in: opening it drops a half line at the end."""

    def __init__(self, path: Path) -> None:
        self.entries = list(read(path))
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._file, _whole(path.read_bytes()))
        os.lseek(self._file, 0, os.SEEK_END)

    def write(self, entry: Entry) -> None:
        """Return once it is on disk."""
        os.write(self._file, msgspec.json.encode(entry) + b"\n")
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def now_s() -> float:
    """The time for an entry."""
    return round(time.monotonic(), 4)


def read(path: Path) -> Iterator[Entry]:
    """Every whole line; none where there is no journal."""
    data = path.read_bytes() if path.exists() else b""
    for line in data[: _whole(data)].splitlines():
        yield _LINE.decode(line)


def _whole(data: bytes) -> int:
    """How many bytes the whole lines take."""
    return data.rfind(b"\n") + 1
