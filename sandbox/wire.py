"""What travels between the pool and a slot: frames of MessagePack, and one shared page.

A frame is a little-endian length of four bytes and an array. Down: `[number, job]` pairs, run in order. Up:
`[number, outcome]` pairs; an outcome of nil gives the job back, never begun. An empty frame up says "ready".

The page says what a frame could not say after a crash: which job is running and since when. The slot writes it, the
pool reads it. Beside them goes a control channel of nine-byte orders, read by the slot's watchdog thread while a
guest runs.
"""

import mmap
import os
import struct
import tempfile
from typing import Final

import msgspec

from sandbox.job import Job, Outcome, Reason

FRAME_BYTES_MAX: Final = 1 << 30
JOB_BYTES_MAX: Final = 128 << 20
"""Twice the largest input; what is between is for the slot to refuse by name."""
LENGTH: Final = struct.Struct("<I")
ORDER: Final = struct.Struct("<cQ")
STOP: Final = b"S"
"""Do not begin this job, or interrupt it if it is running."""
GIVE_BACK: Final = b"G"
"""Give back whatever is not begun."""

Down = tuple[int, msgspec.Raw]
"""A job still encoded: it is decoded when its turn comes, so that a malformed one harms no other."""
Up = tuple[int, Outcome | None]

_encoder = msgspec.msgpack.Encoder()
_down = msgspec.msgpack.Decoder(list[Down])
_job = msgspec.msgpack.Decoder(Job)
_up = msgspec.msgpack.Decoder(list[Up])


def frame(items: list[Down] | list[Up]) -> bytes:
    """Encode one frame."""
    body = _encoder.encode(items)
    return LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a byte stream into frames' bodies."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take more of the stream; return the bodies that are complete.

        Raises:
            ValueError: a length no peer of ours would send.
        """
        self._buffer += data
        buffer, at, bodies = self._buffer, 0, []
        while len(buffer) - at >= LENGTH.size:
            (size,) = LENGTH.unpack_from(buffer, at)
            if size > FRAME_BYTES_MAX:
                raise ValueError(f"a frame of {size} bytes; at most {FRAME_BYTES_MAX} are accepted")
            if len(buffer) - at - LENGTH.size < size:
                break
            at += LENGTH.size + size
            bodies.append(bytes(buffer[at - size : at]))
        del buffer[:at]
        return bodies


def encode_job(job: Job) -> msgspec.Raw:
    """A job for the way down.

    Raises:
        OverflowError: an integer beyond 64 bits, or more bytes than `JOB_BYTES_MAX`.
        UnicodeEncodeError: text that is not Unicode.
    """
    encoded = _encoder.encode(job)
    if len(encoded) > JOB_BYTES_MAX:
        raise OverflowError
    return msgspec.Raw(encoded)


def decode_job(raw: msgspec.Raw) -> Job:
    """The job, as the slot runs it."""
    return _job.decode(raw)


def decode_down(body: bytes) -> list[Down]:
    """Jobs, as the slot takes them."""
    return _down.decode(body)


def decode_up(body: bytes) -> list[Up]:
    """Outcomes, as the pool takes them; a slot's bytes are checked, for a guest may have broken out into it."""
    return _up.decode(body)


class Answer(msgspec.Struct, omit_defaults=True):
    """What became of one module at the compiler, as a line of JSON.

    `field`, `message` and `reason` are set if the module is unfit, `trouble` if this machine failed.
    """

    digest: str
    field: str = ""
    message: str = ""
    reason: Reason = "invalid"
    trouble: str = ""
    cpu_seconds: float = 0.0
    """Of the compiler's process so far."""
    compile_ms: float = 0.0
    """Time taken for this module; 0 if a compiled form was there already."""


class Page:
    """The shared page: number of the running job (0: none), when it began, CPU seconds of the process."""

    _layout = struct.Struct("<Qdd")

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, mmap.PAGESIZE)
        self._began = struct.Struct("<Qd").pack_into
        self._cpu = struct.Struct("<d").pack_into

    @staticmethod
    def create() -> int:
        """A descriptor of fresh shared memory, for both processes to map."""
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("ambient-slot")
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, mmap.PAGESIZE)
        return descriptor

    def began(self, number: int, monotonic: float) -> None:
        """The slot begins a job, or (0) has none."""
        self._began(self._map, 0, number, monotonic)

    def spent(self, cpu_seconds: float) -> None:
        """The slot's CPU time so far."""
        self._cpu(self._map, 16, cpu_seconds)

    def read(self) -> tuple[int, float, float]:
        """(running job or 0, monotonic time it began, CPU seconds)."""
        number, began, cpu = self._layout.unpack_from(self._map, 0)
        return number, began, cpu

    def close(self) -> None:
        """Unmap the page."""
        self._map.close()
