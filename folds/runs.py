"""A run: finished things in one immutable block of bytes, sorted by key, that answers for a name with one read.

Guarantees that a run is the same bytes wherever the same things are put into it, that its SHA-256 names it, and that what is looked up
costs a bit test for a name that is not there and one read of a few KiB for one that is. In memory is one byte a thing; the
rest stays where it is stored. Keys are hashes of names, so two names never meet but by a collision of 128 bits.

Layout, little-endian: header (`HEAD`), filter words (u64), the records (16 bytes of key, `width` bytes of value) in the order of keys.
"""

import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b, sha256
from mmap import mmap
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from folds.errors import RunDamaged

__all__ = [
    "HEAD",
    "KEY_BYTES",
    "MAGIC",
    "Bytes",
    "Probe",
    "Run",
    "build",
    "key_of",
    "merge",
    "probe",
    "start_of",
    "words_of",
]

KEY_BYTES = 16
MAGIC = b"AVCPRUN1"
HEAD = struct.Struct("<8sIQQ")
_BLOCK = 64
"""Records read for one look-up."""
_WORD_RECORDS = 4
"""Records that share a word of the filter, 16 bits each as it is stored. In memory the two halves of a word are laid over each other: of a
hundred strangers some five get by instead of one, each for a read in vain, and there may be hundreds of millions of records."""
_PARTS = 16
"""A merge is done in so many ranges of keys, each in memory alone."""
_FILTERED_AT_ONCE = 65_536
_PIECE_BYTES = 1024 * 1024

type Rows = NDArray[np.uint8]
type Bytes = bytes | bytearray | mmap
"""What a run is opened from is not copied: it has up to fifty megabytes."""
type Read = Callable[[int, int], bytes]
"""`read(offset, size)` of the place where the run is stored."""


def key_of(name: str) -> bytes:
    """The key of a name."""
    return blake2b(name.encode(), digest_size=KEY_BYTES).digest()


class Probe(NamedTuple):
    """A key, made ready for any number of runs: `prefix` orders it, `place` and `mask` are for the filter, `half` for the one in memory."""

    key: bytes
    prefix: int
    place: int
    mask: int
    half: int


def probe(key: bytes) -> Probe:
    """Make a key ready."""
    low = int.from_bytes(key[8:])
    mask = 1 << (low & 63) | 1 << (low >> 6 & 63) | 1 << (low >> 12 & 63) | 1 << (low >> 18 & 63)
    return Probe(key, int.from_bytes(key[:8]), low >> 24, mask, (mask | mask >> 32) & 0xFFFF_FFFF)


class Run:
    """A run that is stored somewhere. `last` is the highest sequence in VERDICTS of all that is in it."""

    __slots__ = ("_fences", "_filter", "_read", "_start", "count", "digest", "last", "width")
    width: int
    count: int
    last: int

    def __init__(self, data: Bytes, read: Read | None = None, *, digest: str | None = None) -> None:
        """Open a run from its bytes, which `read` gives again later (None: they stay in memory).

        Raises `RunDamaged` where the bytes are no run, or do not hash to `digest`.
        """
        self.digest = sha256(data).hexdigest()
        if digest is not None and digest != self.digest:
            raise RunDamaged(f"a run that should be sha256:{digest} is sha256:{self.digest}: get it anew")
        if len(data) < HEAD.size:
            raise RunDamaged(f"a run has at least {HEAD.size} bytes, this has {len(data)}: get it anew")
        magic, self.width, self.count, self.last = HEAD.unpack_from(data)
        self._start = start_of(self.count)
        if magic != MAGIC or len(data) != self._start + self.count * (KEY_BYTES + self.width):
            raise RunDamaged("these bytes are no run of this version: get it anew")
        words = np.frombuffer(data, "<u8", words_of(self.count), HEAD.size)
        self._filter = array("I", (words | words >> np.uint64(32)).astype(np.uint32).tobytes())
        self._fences = array("Q", _half(self._rows(data)[::_BLOCK], 0).tobytes())
        self._read: Read = read or (lambda offset, size: bytes(data[offset : offset + size]))

    def __repr__(self) -> str:
        """Which it is and how much is in it."""
        return f"Run({self.digest[:12]}, {self.count} records, to {self.last})"

    def may_hold(self, asked: Probe) -> bool:
        """False for nearly everything that is not in it, without a read."""
        return bool(self._filter) and self._filter[asked.place % len(self._filter)] & asked.half == asked.half

    def get(self, asked: Probe) -> bytes | None:
        """The value of a key, None where it is not there."""
        block = bisect_right(self._fences, asked.prefix) - 1
        while block >= 0:
            found = self._find(block, asked.key)
            if found is not None or self._fences[block] != asked.prefix:
                return found
            block -= 1  # keys with equal first halves may begin in the block before
        return None

    def _find(self, block: int, key: bytes) -> bytes | None:
        size = KEY_BYTES + self.width
        data = self._read(self._start + block * _BLOCK * size, _BLOCK * size)
        at = data.find(key)
        while at >= 0 and at % size:
            at = data.find(key, at + 1)
        return None if at < 0 else data[at + KEY_BYTES : at + size]

    def content(self) -> bytes:
        """All of it; raises `RunDamaged` if that is not what was written."""
        data = self._read(0, self._size)
        if sha256(data).hexdigest() != self.digest:
            raise self._changed()
        return data

    def check(self) -> None:
        """Read all of it, a little at a time; raises `RunDamaged` if that is not what was written."""
        found = sha256()
        for at in range(0, self._size, _PIECE_BYTES):
            found.update(self._read(at, min(_PIECE_BYTES, self._size - at)))
        if found.hexdigest() != self.digest:
            raise self._changed()

    def below(self, edge: int) -> int:
        """How many records have a key whose first half is less than `edge`."""
        block = bisect_left(self._fences, edge) - 1
        if block < 0:
            return 0
        first = block * _BLOCK
        rows = self.records(first, min(self.count, first + _BLOCK))
        return first + int(np.searchsorted(_half(rows, 0), np.uint64(edge)))

    def records(self, first: int, end: int) -> Rows:
        """The records number `first` to `end` - 1 in the order of keys, shape (end - first, 16 + width)."""
        size = KEY_BYTES + self.width
        data = self._read(self._start + first * size, (end - first) * size)
        if len(data) != (end - first) * size:
            raise self._changed()
        return np.frombuffer(data, np.uint8).reshape(-1, size)

    @property
    def _size(self) -> int:
        return self._start + self.count * (KEY_BYTES + self.width)

    def _changed(self) -> RunDamaged:
        return RunDamaged(f"the run sha256:{self.digest} was changed where it is stored: get it anew")

    def _rows(self, data: Bytes) -> Rows:
        return np.frombuffer(data, np.uint8, offset=self._start).reshape(-1, KEY_BYTES + self.width)


def build(keys: Sequence[bytes], values: Sequence[bytes], last: int) -> Bytes:
    """The run of these, `keys` and equally long `values` in one order; `last` see `Run`."""
    width = len(values[0])
    rows = np.empty((len(keys), KEY_BYTES + width), np.uint8)
    rows[:, :KEY_BYTES] = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, KEY_BYTES)
    rows[:, KEY_BYTES:] = np.frombuffer(b"".join(values), np.uint8).reshape(-1, width)
    return _seal([_sorted(rows)], len(rows), width, last)


def merge(runs: Sequence[Run]) -> Bytes:
    """One run of all that is in `runs`, which share no key but by a repeated name, whose newest value then counts.

    In memory at once are the new run and a sixteenth of the old ones. Raises `RunDamaged`.
    """
    for run in runs:
        run.check()
    cuts = [[*(run.below((part << 64) // _PARTS) for part in range(_PARTS)), run.count] for run in runs]
    most = sum(run.count for run in runs)
    return _seal(_parts(runs, cuts), most, runs[0].width, max(run.last for run in runs))


def _parts(runs: Sequence[Run], cuts: Sequence[Sequence[int]]) -> Iterator[Rows]:
    for part in range(_PARTS):
        slices = [run.records(cut[part], cut[part + 1]) for run, cut in zip(runs, cuts, strict=True)]
        yield _newest(_sorted(np.concatenate(slices)))


def _half(rows: Rows, half: int) -> NDArray[np.uint64]:
    """The first or second half of the keys, as numbers that order as the bytes do."""
    return np.ascontiguousarray(rows[:, 8 * half : 8 * half + 8]).view(">u8").ravel().astype(np.uint64)


def _sorted(rows: Rows) -> Rows:
    """By the whole key, and what came later behind what came before."""
    return rows[np.lexsort((_half(rows, 1), _half(rows, 0)))]


def _newest(rows: Rows) -> Rows:
    """Without the older ones of records with one key."""
    same = (rows[1:, :KEY_BYTES] == rows[:-1, :KEY_BYTES]).all(axis=1)
    return rows[np.append(~same, True)] if same.any() else rows


def words_of(count: int) -> int:
    """Words of the filter in a run of so many."""
    return -(-count // _WORD_RECORDS)


def start_of(count: int) -> int:
    """Where the records begin in a run of so many."""
    return HEAD.size + 8 * words_of(count)


def _seal(parts: Iterable[Rows], most: int, width: int, last: int) -> Bytes:
    """The run of these parts, in the order of keys, which have `most` records in all or, where names came twice, fewer."""
    size, count = KEY_BYTES + width, 0
    data = bytearray(start_of(most) + most * size)
    rows = _view(data, most, size)
    for part in parts:
        rows[count : count + len(part)] = part
        count += len(part)
    if count < most:  # the filter is smaller then, and the records begin earlier
        data = bytearray(start_of(count)) + rows[:count].tobytes()
        rows = _view(data, count, size)
    words = np.frombuffer(data, "<u8", count=words_of(count), offset=HEAD.size)
    for first in range(0, count, _FILTERED_AT_ONCE):
        low = _half(rows[first : first + _FILTERED_AT_ONCE], 1)
        mask = np.zeros(len(low), np.uint64)
        for shift in (0, 6, 12, 18):
            mask |= np.uint64(1) << (low >> np.uint64(shift) & np.uint64(63))
        np.bitwise_or.at(words, (low >> np.uint64(24)) % np.uint64(len(words)), mask)
    HEAD.pack_into(data, 0, MAGIC, width, count, last)
    return data


def _view(data: bytearray, count: int, size: int) -> Rows:
    return np.frombuffer(data, np.uint8, offset=start_of(count)).reshape(-1, size)
