"""Blobs: modules, inputs and outputs over 64 KiB, named by their SHA-256.

Guarantees that `get` returns bytes that hash to the name asked for, or raises: who stored them need not be trusted, and who
stores garbage under a name does not hide an honest copy. A blob is written once by each owner; its subject carries the
owner, so that NATS permissions can let each write only under its own name. Chunks are read with direct gets, one request
each, without a consumer on the server; since any replica answers those, "missing" is said only where the store's leader says so and
certainly still leads (`bus.leader`). A store that changes its leader is waited for.

Left to others: who keeps what for how long (the stream's limits), and caching.
"""

import asyncio
import re
from typing import Literal, NamedTuple

import nats.errors
import nats.js.errors
from nats.js.api import RawStreamMsg

from bus import leader
from bus.acks import FULL, UNDECIDED, WRONG_SEQUENCE
from bus.connection import Bus
from bus.errors import (
    BlobCorrupt,
    BlobMissing,
    BusError,
    BusUnavailable,
    LogFull,
    Malformed,
    reason,
)
from bus.wire import sha256_hex

__all__ = ["CHUNK_BYTES", "MAX_BLOB_BYTES", "Blobs"]

CHUNK_BYTES = 256 * 1024
"""Small enough for every server's `max_payload`, large enough that 1 MiB is four requests."""
MAX_BLOB_BYTES = 64 * 1024 * 1024
_CHUNKS_HEADER = "Avcp-Chunks"
_PARALLEL = 8
_ANSWER_S = 2.0
_RETRY_S = 0.25
_PATIENCE_S = 20.0
"""How long a store that takes nothing is waited for: electing its leader takes the servers 4 to 9 s, and as long again if they do not agree."""
_MAX_OWNERS = 16
"""Copies that a reader tries: each wrong one costs a name on the bus to place, and at most `MAX_BLOB_BYTES` to find out."""
_COUNT = re.compile("[1-9][0-9]{0,3}")


class _Found(NamedTuple):
    """One owner's first chunk, and how many there are."""

    owner: str
    chunks: int
    first: bytes
    sequence: int


class _BadChunks(BlobCorrupt):
    """A first chunk whose header is nonsense; `sequence` is where it stands."""

    def __init__(self, digest: str, count: str, sequence: int) -> None:
        super().__init__(f"sha256:{digest} claims {count[:20]!r} chunks: upload it again under another owner")
        self.sequence = sequence


class Blobs:
    """The cluster's blobs, written in the name of `owner` (a token: a client or a node).

    `kind` names the stream that holds them: `blobs` for what tasks need, `checkpoints` for what services keep.
    """

    def __init__(self, bus: Bus, owner: str, *, kind: Literal["blobs", "checkpoints"] = "blobs") -> None:
        self._bus = bus
        self._owner = owner
        self._kind = kind
        self._stream = bus.subjects.stream(kind)

    async def put(self, data: bytes) -> str:
        """Store `data` (at most `MAX_BLOB_BYTES`) and return its digest in hex; storing it again costs one request.

        What others stored under that digest does not count: it may be something else, and who believed it would lose the data.
        Raises `Malformed` when it is too large, `LogFull` when the store is, `BlobCorrupt` when this owner's name is taken by other bytes.
        """
        if len(data) > MAX_BLOB_BYTES:
            raise Malformed("blob", f"at most {MAX_BLOB_BYTES} bytes are allowed, not {len(data)}")
        digest = sha256_hex(data)
        count = _count(data)
        mine = await self._last(digest, self._owner)
        if mine is None:
            # Chunk 0 is written last: a blob whose first chunk is there is there entirely.
            gate = asyncio.Semaphore(_PARALLEL)
            await asyncio.gather(*(self._store(digest, at, data, gate) for at in range(1, count)))
            await self._store(digest, 0, data, gate)
        elif (mine.chunks, mine.first) != (count, _chunk(data, 0)):
            raise self._taken(digest)
        return digest

    def _taken(self, digest: str) -> BlobCorrupt:
        return BlobCorrupt(
            f"{self._owner!r} already has other bytes as sha256:{digest}: upload it under another name"
        )

    async def has(self, digest: str) -> bool:
        """Whether somebody has stored a blob under that digest (hex); whether it is the right one, only `get` can tell."""
        try:
            if await self._last(digest, "*") is not None:
                return True
            await self._surely_no_more_than(0, self._any(digest))
        except _BadChunks:
            pass
        else:
            return False
        # The newest of them is nonsense, which must not hide what others stored.
        sequence = 0
        for tried in range(_MAX_OWNERS):
            try:
                if await self._next(digest, sequence + 1) is not None:
                    return True
                await self._surely_no_more_than(tried, self._any(digest))
            except _BadChunks as bad:
                sequence = bad.sequence
            else:
                return False
        return False

    async def get(self, digest: str, *, max_bytes: int = MAX_BLOB_BYTES) -> bytes:
        """The bytes of a blob, from whichever of the first owners holds the right ones.

        Raises `BlobMissing`, `BlobCorrupt` (what is stored does not hash to its name) or `Malformed` (over `max_bytes`).
        """
        try:
            found = await self._last(digest, "*")
            if found is None:
                await self._surely_no_more_than(0, self._any(digest))
                raise BlobMissing(
                    f"no blob sha256:{digest} in cluster {self._bus.subjects.cluster!r}: upload it first"
                )
            return await self._read(found, digest, max_bytes)
        except (BlobCorrupt, Malformed) as error:
            return await self._from_others(digest, max_bytes, error)

    async def drop(self, digest: str) -> None:
        """Remove this owner's copy of a blob; harmless where there is none. Raises `BusUnavailable`."""
        try:
            await self._bus.js.purge_stream(self._stream, subject=self._subject(self._owner, digest, "*"))
        except (TimeoutError, nats.errors.Error) as error:
            raise BusUnavailable(f"{self._stream} was not purged: try again ({reason(error)})") from None

    def _subject(self, owner: str, digest: str, chunk: int | str) -> str:
        return self._bus.subjects.blob(owner, digest, chunk, kind=self._kind)

    async def _from_others(self, digest: str, max_bytes: int, error: BusError) -> bytes:
        """Try every owner in turn: one who stores garbage under a digest must not hide the honest copy."""
        sequence = 0
        for tried in range(_MAX_OWNERS):
            try:
                found = await self._next(digest, sequence + 1)
                if found is None:
                    await self._surely_no_more_than(tried, self._any(digest))
                    break
                sequence = found.sequence
                return await self._read(found, digest, max_bytes)
            except _BadChunks as bad:
                sequence, error = bad.sequence, bad
            except (BlobCorrupt, Malformed) as bad:
                error = bad
        raise error

    async def _read(self, found: "_Found", digest: str, max_bytes: int) -> bytes:
        too_large = Malformed(
            "blob", f"at most {max_bytes} bytes are allowed here, sha256:{digest[:16]}… has more"
        )
        if (found.chunks - 1) * CHUNK_BYTES > max_bytes:
            raise too_large
        gate = asyncio.Semaphore(_PARALLEL)
        loads = (self._load(found.owner, digest, at, gate) for at in range(1, found.chunks))
        data = b"".join((found.first, *await asyncio.gather(*loads)))
        if sha256_hex(data) != digest:
            raise BlobCorrupt(
                f"what is stored as sha256:{digest} is something else: upload it again under another owner"
            )
        if len(data) > max_bytes:
            raise too_large
        return data

    async def _last(self, digest: str, owner: str) -> "_Found | None":
        """The newest first chunk of that digest."""
        return await self._first_chunk(digest, owner, None)

    async def _next(self, digest: str, sequence: int) -> "_Found | None":
        """The first chunk of that digest, of any owner, at or after `sequence`."""
        return await self._first_chunk(digest, "*", sequence)

    async def _first_chunk(self, digest: str, owner: str, sequence: int | None) -> "_Found | None":
        message = await self._ask(self._subject(owner, digest, 0), sequence)
        if message is None or message.subject is None:
            return None
        count = (message.headers or {}).get(_CHUNKS_HEADER, "1")
        if not _COUNT.fullmatch(count) or int(count) > MAX_BLOB_BYTES // CHUNK_BYTES:
            raise _BadChunks(digest, count, message.seq or 0)
        return _Found(message.subject.split(".")[-3], int(count), message.data or b"", message.seq or 0)

    async def _ask(self, subject: str, sequence: int | None) -> RawStreamMsg | None:
        """The newest message on `subject`, or the first one from `sequence` on."""
        return await leader.stored(
            self._bus, self._stream, sequence=sequence, subject=subject, following=sequence is not None
        )

    def _any(self, digest: str) -> str:
        return self._subject("*", digest, 0)

    async def _surely_no_more_than(self, count: int, subject: str) -> None:
        """Raises `BusUnavailable` where there are more than `count` messages on `subject`: whoever was asked for them did not know of them yet.

        A task whose module is "missing" is refused for good, and a client whose output is "missing" never gets it.
        """
        found = await leader.confirmed(self._bus, self._stream, subjects=subject)
        if sum(found.subjects.values()) > count:
            raise BusUnavailable(f"the blob store is not up to date yet with {subject}: try again")

    async def _store(self, digest: str, at: int, data: bytes, gate: asyncio.Semaphore) -> None:
        async with gate:
            if await self._write(digest, at, data):
                return
            # It is there already: from a twin, an upload that broke off, or a try of ours whose answer was lost. Or it is something else.
            there = await self._ask(self._subject(self._owner, digest, at), None)
        if there is None:
            raise BusUnavailable(f"the blob store does not show what it has of sha256:{digest}: try again")
        if (there.data or b"") != _chunk(data, at):
            raise self._taken(digest)

    async def _write(self, digest: str, at: int, data: bytes) -> bool:
        """Store one chunk; False where that place is taken. Waits a while for a store that does not answer: it may be electing its leader."""
        subject = self._subject(self._owner, digest, at)
        # Expecting nothing on this subject makes a chunk write-once, also between two that upload at the same time.
        headers = {_CHUNKS_HEADER: str(_count(data)), "Nats-Expected-Last-Subject-Sequence": "0"}
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE_S
        while True:
            try:
                await self._bus.js.publish(subject, _chunk(data, at), headers=headers, timeout=_ANSWER_S)
            except nats.js.errors.APIError as error:
                if error.err_code in FULL:
                    raise LogFull(
                        f"{self._stream} is full: remove old blobs, or raise its max_bytes"
                    ) from None
                if error.err_code in WRONG_SEQUENCE:
                    return False
                if error.err_code not in UNDECIDED:
                    raise BusUnavailable(f"the blob store refused a chunk: {error.description}") from None
                trouble = error.description or "undecided"
            except (TimeoutError, nats.errors.Error) as error:
                trouble = reason(error)
            else:
                return True
            if loop.time() > deadline or self._bus.client.is_closed:
                raise BusUnavailable(f"the blob store does not answer: try again ({trouble})")
            await asyncio.sleep(_RETRY_S)

    async def _load(self, owner: str, digest: str, at: int, gate: asyncio.Semaphore) -> bytes:
        subject = self._subject(owner, digest, at)
        async with gate:
            message = await self._ask(subject, None)
        if message is None:
            await self._surely_no_more_than(0, subject)
            raise BlobCorrupt(
                f"chunk {at} of sha256:{digest} is missing: upload it again under another owner"
            )
        return message.data or b""


def _count(data: bytes) -> int:
    """How many chunks: one at least."""
    return max(1, -(-len(data) // CHUNK_BYTES))


def _chunk(data: bytes, at: int) -> bytes:
    # Made when it is sent: all of them at once would be the blob a second time.
    return data[at * CHUNK_BYTES : (at + 1) * CHUNK_BYTES]
