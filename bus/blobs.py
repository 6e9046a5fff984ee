"""Blobs: modules, inputs and outputs over 64 KiB, named by their SHA-256.

Guarantees that `get` returns bytes that hash to the name asked for, or raises: who stored them need not be trusted. A blob is
written once; its subject carries its owner, so that NATS permissions can let each write only under its own name.
Chunks are read with direct gets, one request each, without a consumer on the server.

Left to others: who keeps what for how long (the stream's limits), and caching.
"""

import asyncio

import nats.errors
import nats.js.errors

from bus.acks import FULL, WRONG_SEQUENCE
from bus.connection import Bus
from bus.errors import BlobCorrupt, BlobMissing, BusUnavailable, LogFull, Malformed
from bus.wire import sha256_hex

__all__ = ["CHUNK_BYTES", "MAX_BLOB_BYTES", "Blobs"]

CHUNK_BYTES = 256 * 1024
"""Small enough for every server's `max_payload`, large enough that 1 MiB is four requests."""
MAX_BLOB_BYTES = 64 * 1024 * 1024
_CHUNKS_HEADER = "Avcp-Chunks"
_PARALLEL = 8


class Blobs:
    """The cluster's blobs, written in the name of `owner` (a token: a client or a node)."""

    def __init__(self, bus: Bus, owner: str) -> None:
        self._bus = bus
        self._owner = owner
        self._stream = bus.subjects.stream("blobs")

    async def put(self, data: bytes) -> str:
        """Store `data` (at most `MAX_BLOB_BYTES`) and return its digest in hex; storing it again costs one request.

        Raises `Malformed` when it is too large, `LogFull` when the store is.
        """
        if len(data) > MAX_BLOB_BYTES:
            raise Malformed("blob", f"at most {MAX_BLOB_BYTES} bytes are allowed, not {len(data)}")
        digest = sha256_hex(data)
        chunks = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)] or [b""]
        # Chunk 0 is written last: a blob whose first chunk is there is there entirely.
        if not await self.has(digest):
            gate = asyncio.Semaphore(_PARALLEL)
            await asyncio.gather(*(self._store(digest, at, chunks, gate) for at in range(1, len(chunks))))
            await self._store(digest, 0, chunks, gate)
        return digest

    async def has(self, digest: str) -> bool:
        """Whether a blob of that digest (hex) is stored, by whomever."""
        return await self._find(digest) is not None

    async def get(self, digest: str, *, max_bytes: int = MAX_BLOB_BYTES) -> bytes:
        """The bytes of a blob.

        Raises `BlobMissing`, `BlobCorrupt` (the stored bytes do not hash to their name) or `Malformed` (over `max_bytes`).
        """
        found = await self._find(digest)
        if found is None:
            raise BlobMissing(
                f"no blob sha256:{digest} in cluster {self._bus.subjects.cluster!r}: upload it first"
            )
        owner, count, first = found
        if (count - 1) * CHUNK_BYTES > max_bytes:
            raise Malformed(
                "blob", f"at most {max_bytes} bytes are allowed here, sha256:{digest[:16]}… has more"
            )
        gate = asyncio.Semaphore(_PARALLEL)
        rest = await asyncio.gather(*(self._load(owner, digest, at, gate) for at in range(1, count)))
        data = b"".join((first, *rest))
        if sha256_hex(data) != digest:
            raise BlobCorrupt(
                f"what is stored as sha256:{digest} is something else: upload it again under another owner"
            )
        if len(data) > max_bytes:
            raise Malformed(
                "blob", f"at most {max_bytes} bytes are allowed here, sha256:{digest[:16]}… has more"
            )
        return data

    async def _find(self, digest: str) -> tuple[str, int, bytes] | None:
        """Owner, number of chunks and first chunk of a blob."""
        try:
            message = await self._bus.js.get_last_msg(
                self._stream, self._bus.subjects.blob("*", digest, 0), direct=True
            )
        except nats.js.errors.NotFoundError:
            return None
        except (TimeoutError, nats.errors.Error) as error:
            raise BusUnavailable(f"the blob store does not answer ({error or 'time-out'})") from None
        if message.subject is None:
            return None
        count = (message.headers or {}).get(_CHUNKS_HEADER, "1")
        if not count.isdigit() or not 1 <= int(count) <= MAX_BLOB_BYTES // CHUNK_BYTES + 1:
            raise BlobCorrupt(
                f"sha256:{digest} claims {count[:20]!r} chunks: upload it again under another owner"
            )
        return message.subject.split(".")[-3], int(count), message.data or b""

    async def _store(self, digest: str, at: int, chunks: list[bytes], gate: asyncio.Semaphore) -> None:
        subject = self._bus.subjects.blob(self._owner, digest, at)
        # Expecting nothing on this subject makes a chunk write-once, also between two that upload at the same time.
        headers = {_CHUNKS_HEADER: str(len(chunks)), "Nats-Expected-Last-Subject-Sequence": "0"}
        async with gate:
            try:
                await self._bus.js.publish(subject, chunks[at], headers=headers)
            except nats.js.errors.APIError as error:
                if error.err_code in FULL:
                    raise LogFull(
                        f"{self._stream} is full: remove old blobs, or raise its max_bytes"
                    ) from None
                if error.err_code not in WRONG_SEQUENCE:
                    raise BusUnavailable(f"the blob store refused a chunk: {error.description}") from None
            except (TimeoutError, nats.errors.Error) as error:
                raise BusUnavailable(f"the blob store does not answer ({error or 'time-out'})") from None

    async def _load(self, owner: str, digest: str, at: int, gate: asyncio.Semaphore) -> bytes:
        async with gate:
            try:
                message = await self._bus.js.get_last_msg(
                    self._stream, self._bus.subjects.blob(owner, digest, at), direct=True
                )
            except nats.js.errors.NotFoundError:
                raise BlobCorrupt(
                    f"chunk {at} of sha256:{digest} is missing: upload it again under another owner"
                ) from None
            except (TimeoutError, nats.errors.Error) as error:
                raise BusUnavailable(f"the blob store does not answer ({error or 'time-out'})") from None
        return message.data or b""
