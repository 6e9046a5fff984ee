"""What is published for good, on this machine's disk: for each publication its states, the log's checkpoint, and the proof of its block.

Guarantees that a leaf is found under the smallest published state that is here and holds it, that what is read is what was kept (each record has
its digest), and that memory does not grow with the number of publications. After `sync` what was kept is on disk. A record that was lost or damaged costs
a later time and no proof: the log only grows, so every later state holds the same leaf.

Layout: `proofs` holds records one behind the other; `index` has 24 bytes for each number, little-endian: the size of the log's state, where
the record begins, how long it is; a length of 0 says that it is not final. Sizes never fall with the numbers, so a leaf is looked up by bisection.
"""

import os
import struct
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import msgspec
import structlog

from anchor.errors import FolderUnusable
from anchor.receipt.bitcoin.spv import SpvProof
from anchor.receipt.commitment import join
from anchor.receipt.errors import ReceiptError
from anchor.receipt.note import Note, read_note
from anchor.receipt.published import Published
from bus.messages.publication import Root

__all__ = ["Kept", "ProofStore"]

_log = structlog.get_logger("anchor.bitcoin")

_SLOT = struct.Struct("<QQQ")
_SUM_BYTES = 8
_MODE = 0o600


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One final publication: the states that it commits to with the commitments to them, the log's checkpoint as a note, and the proof."""

    roots: tuple[Root, ...]
    commitments: tuple[bytes, ...]
    note: str
    network: str
    proof: bytes

    @property
    def checkpoint(self) -> Note:
        """The log's checkpoint. Raises `ReceiptError`."""
        return read_note(self.note.encode())

    def published(self, origin: str) -> Published:
        """How the state of that origin came into its block. Raises `ReceiptError`, or `ValueError` where it has none."""
        at = [root.origin for root in self.roots].index(origin)
        _, steps = join(self.commitments)
        return Published(self.network, steps[at], SpvProof.decode(self.proof))


_ENCODE = msgspec.msgpack.Encoder().encode
_KEPT = msgspec.msgpack.Decoder(Kept)


class ProofStore:
    """The files below `folder`. Synchronous."""

    def __init__(self, folder: Path) -> None:
        """Open or make `folder`; raises `FolderUnusable`."""
        self._folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._index, self._records = (
                os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
                for name in ("index", "proofs")
            )
            self._end = os.fstat(self._records).st_size
            self.last = os.fstat(self._index).st_size // _SLOT.size
        except OSError as error:
            raise self._unusable(error) from None

    def __repr__(self) -> str:
        """How far it reaches."""
        return f"ProofStore({self._folder}, to {self.last})"

    def announce(self, number: int, size: int) -> None:
        """The publication of this number has a transaction; `size` is that of the log's state. Raises `FolderUnusable`."""
        if number <= self.last and self._slot(number)[0] == size:
            return
        before = self._slot(self.last)[0] if self.last else 0
        # Numbers that passed by while this machine was away get the size before them: sizes must not fall.
        slots: Sequence[tuple[int, int, int]] = [(before, 0, 0)] * max(0, number - 1 - self.last)
        data = b"".join(_SLOT.pack(*slot) for slot in (*slots, (size, 0, 0)))
        self._write(self._index, data, (number - 1 - len(slots)) * _SLOT.size)
        self.last = max(self.last, number)

    def keep(self, number: int, kept: Kept) -> None:
        """It is final. Raises `FolderUnusable`."""
        if self.get(number) == kept:
            return
        record = _ENCODE(kept)
        record = sha256(record).digest()[:_SUM_BYTES] + record
        self._write(self._records, record, self._end)
        self._put(number, self._end, len(record))
        self._end += len(record)

    def drop(self, number: int) -> None:
        """It is not final any more. Raises `FolderUnusable`."""
        if 0 < number <= self.last:
            self._put(number, 0, 0)

    def get(self, number: int) -> Kept | None:
        """What is kept under a number; None where it is not final, not here, or damaged."""
        if not 0 < number <= self.last:
            return None
        _, start, length = self._slot(number)
        record = os.pread(self._records, length, start) if length and start + length <= self._end else b""
        if not record:
            return None
        if sha256(record[_SUM_BYTES:]).digest()[:_SUM_BYTES] != record[:_SUM_BYTES]:
            _log.warning("a proof is damaged: a later one stands for it", number=number)
            return None
        try:
            return _KEPT.decode(record[_SUM_BYTES:])
        except msgspec.MsgspecError:
            return None

    def find(self, leaf: int, origin: str) -> tuple[Note, Published] | None:
        """The smallest published state of the log that holds a leaf, with its proof; None where there is none."""
        low, high = 1, self.last + 1
        while low < high:
            middle = (low + high) // 2
            if self._slot(middle)[0] > leaf:
                high = middle
            else:
                low = middle + 1
        for number in range(low, self.last + 1):
            kept = self.get(number)
            if kept is not None:
                try:
                    return kept.checkpoint, kept.published(origin)
                except (ReceiptError, ValueError) as error:
                    _log.warning("a proof cannot be read", number=number, reason=str(error))
        return None

    @property
    def final_size(self) -> int:
        """The size of the newest published state; 0 where there is none."""
        for number in range(self.last, 0, -1):
            size, _, length = self._slot(number)
            if length:
                return size
        return 0

    def sync(self) -> None:
        """Return once everything that was kept is on disk. Raises `FolderUnusable`."""
        try:
            os.fsync(self._records)
            os.fsync(self._index)
        except OSError as error:
            raise self._unusable(error) from None

    def close(self) -> None:
        """Close the files."""
        for descriptor in (self._index, self._records):
            os.close(descriptor)

    def _slot(self, number: int) -> tuple[int, int, int]:
        data = os.pread(self._index, _SLOT.size, (number - 1) * _SLOT.size)
        size, start, length = _SLOT.unpack(data.ljust(_SLOT.size, b"\0"))
        return size, start, length

    def _put(self, number: int, start: int, length: int) -> None:
        self._write(self._index, _SLOT.pack(self._slot(number)[0], start, length), (number - 1) * _SLOT.size)

    def _write(self, descriptor: int, data: bytes, offset: int) -> None:
        try:
            while data:
                written = os.pwrite(descriptor, data, offset)
                data, offset = data[written:], offset + written
        except OSError as error:
            raise self._unusable(error) from None

    def _unusable(self, error: OSError) -> FolderUnusable:
        return FolderUnusable(
            f"{self._folder} cannot be used ({error.strerror}): free space there, or choose another --data"
        )
