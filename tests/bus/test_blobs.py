"""Blobs on a real server: content is the name, and whoever stores garbage under it hides nothing."""

import asyncio

import pytest

from bus.blobs import CHUNK_BYTES, MAX_BLOB_BYTES, Blobs
from bus.connection import Bus
from bus.errors import BlobCorrupt, BlobMissing, LogFull, Malformed, StreamMissing
from bus.server import NatsServer
from bus.streams import StreamLimits, ensure_streams
from bus.wire import sha256_hex


async def store(bus: Bus, owner: str, place: tuple[str, int], data: bytes, chunks: str = "1") -> None:
    """Put a chunk (digest, number) by hand, as a node that does not play fair would."""
    await bus.js.publish(bus.subjects.blob(owner, *place), data, headers={"Avcp-Chunks": chunks})


async def stored_chunks(bus: Bus) -> int:
    return (await bus.js.stream_info(bus.subjects.stream("blobs"))).state.messages


@pytest.mark.parametrize(
    ("size", "chunks"), [(0, 1), (1, 1), (CHUNK_BYTES, 1), (CHUNK_BYTES + 1, 2), (1024 * 1024, 4)]
)
async def test_a_blob_comes_back_to_another_owner(bus: Bus, size: int, chunks: int) -> None:
    """Whatever its size, in as many chunks as it needs, to whoever knows its digest."""
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    digest = await Blobs(bus, "alice").put(data)

    assert digest == sha256_hex(data)
    assert await Blobs(bus, "bob").get(digest) == data
    assert await Blobs(bus, "bob").has(digest)
    assert await stored_chunks(bus) == chunks


async def test_a_blob_over_the_limit_is_refused_before_anything_is_sent(bus: Bus) -> None:
    """The message names the limit, and nothing is stored."""
    with pytest.raises(Malformed, match=f"at most {MAX_BLOB_BYTES} bytes"):
        await Blobs(bus, "alice").put(bytes(MAX_BLOB_BYTES + 1))
    assert await stored_chunks(bus) == 0


async def test_a_reader_takes_no_more_than_it_wants(bus: Bus) -> None:
    """The limit is exact, and a claim of many chunks is refused without fetching them."""
    blobs = Blobs(bus, "alice")
    digest = await blobs.put(b"x" * 1000)
    large = await blobs.put(bytes(CHUNK_BYTES * 3))
    sent = bus.client.stats["out_msgs"]

    assert await blobs.get(digest, max_bytes=1000) == b"x" * 1000
    with pytest.raises(Malformed, match="at most 999 bytes"):
        await blobs.get(digest, max_bytes=999)
    with pytest.raises(Malformed, match="at most 1000 bytes"):
        await blobs.get(large, max_bytes=1000)
    assert bus.client.stats["out_msgs"] - sent <= 11


async def test_the_same_blob_again_costs_one_request(bus: Bus) -> None:
    """A retried upload of any size asks once and stores nothing."""
    blobs = Blobs(bus, "alice")
    data = bytes(CHUNK_BYTES * 3)
    await blobs.put(data)
    sent, stored = bus.client.stats["out_msgs"], await stored_chunks(bus)
    sent = bus.client.stats["out_msgs"]
    await blobs.put(data)

    assert bus.client.stats["out_msgs"] - sent == 1
    assert await stored_chunks(bus) == stored


async def test_two_uploads_at_once_store_it_once(bus: Bus) -> None:
    """Of one owner, in twin processes: each chunk is written by the first who comes, and both are content."""
    data = b"twin" * CHUNK_BYTES
    digests = await asyncio.gather(*(Blobs(bus, "alice").put(data) for _ in range(3)))

    assert set(digests) == {sha256_hex(data)}
    assert await Blobs(bus, "bob").get(digests[0]) == data
    assert await stored_chunks(bus) == 4


async def test_an_unknown_digest_is_missing(bus: Bus) -> None:
    """The message says what to do."""
    assert not await Blobs(bus, "alice").has("0" * 64)
    with pytest.raises(BlobMissing, match="upload it first"):
        await Blobs(bus, "alice").get("0" * 64)


async def test_other_bytes_under_a_digest_are_not_used(bus: Bus) -> None:
    """A changed byte, in the first chunk or in a later one, is found out by its reader."""
    data = bytes(CHUNK_BYTES * 2)
    digest = sha256_hex(data)
    await store(bus, "eve", (digest, 1), bytes(CHUNK_BYTES - 1) + b"!", "2")
    await store(bus, "eve", (digest, 0), bytes(CHUNK_BYTES), "2")

    with pytest.raises(BlobCorrupt, match="is something else"):
        await Blobs(bus, "alice").get(digest)


async def test_a_missing_chunk_is_named(bus: Bus) -> None:
    """Whoever stored half a blob is told which half is missing."""
    await store(bus, "eve", ("0" * 64, 0), b"x", "3")

    with pytest.raises(BlobCorrupt, match=r"chunk [12] of sha256:0000.* is missing"):
        await Blobs(bus, "alice").get("0" * 64)


@pytest.mark.parametrize("first", ["honest", "garbage"])
async def test_garbage_under_a_digest_does_not_hide_the_honest_copy(bus: Bus, first: str) -> None:
    """Stored before or after it, by several others, in every way of being wrong."""
    data = b"honest" * 100
    digest = sha256_hex(data)
    if first == "honest":
        await Blobs(bus, "alice").put(data)
    for number, (chunks, content) in enumerate([("1", b"junk"), ("200", data), ("nonsense", data)]):
        await store(bus, f"eve{number}", (digest, 0), content, chunks)
    if first == "garbage":
        await Blobs(bus, "alice").put(data)
        await store(bus, "eve9", (digest, 0), b"late junk")

    assert await Blobs(bus, "bob").get(digest, max_bytes=10_000) == data


@pytest.mark.parametrize("claim", ["0", "-1", "9999", "1" * 5000, "²", "x", "1.5", "257"])
async def test_a_nonsense_number_of_chunks_is_corrupt(bus: Bus, claim: str) -> None:
    """Also one that Python calls digits but cannot read, or is too long to be a number."""
    await store(bus, "eve", ("0" * 64, 0), b"x", claim)

    with pytest.raises(BlobCorrupt, match="chunks"):
        await Blobs(bus, "alice").get("0" * 64)


async def test_an_owner_whose_name_was_used_by_others_is_told(bus: Bus) -> None:
    """Where permissions did not keep others from writing in this name, the upload does not pretend to have worked."""
    await store(bus, "alice", (sha256_hex(b"data"), 0), b"junk")

    with pytest.raises(BlobCorrupt, match="under another name"):
        await Blobs(bus, "alice").put(b"data")


async def test_a_full_store_says_so(server: NatsServer) -> None:
    """What was stored stays; what does not fit is refused with the reason."""
    async with await Bus.connect(server.url, cluster="fullblobs") as bus:
        await ensure_streams(bus, StreamLimits(max_bytes=dict.fromkeys(("tasks", "assignments", "results", "verdicts"), 10_000) | {"blobs": 100_000}))  # fmt: skip
        kept = await Blobs(bus, "alice").put(bytes(50_000))
        with pytest.raises(LogFull, match="raise its max_bytes"):
            await Blobs(bus, "alice").put(bytes(60_000))
        assert await Blobs(bus, "bob").get(kept) == bytes(50_000)


async def test_a_cluster_without_a_store_is_named(server: NatsServer) -> None:
    """Reading and writing both say that nobody set the cluster up."""
    async with await Bus.connect(server.url, cluster="noblobs") as bus:
        for attempt in (Blobs(bus, "a").put(b"x"), Blobs(bus, "a").get("0" * 64)):
            with pytest.raises(StreamMissing, match="ambient up"):
                await attempt


async def test_a_lie_about_chunks_hides_no_blob(bus: Bus) -> None:
    """`has` and `get` find the honest copy below a newer one whose header is nonsense."""
    digest = await Blobs(bus, "alice").put(b"honest")
    await store(bus, "mallory", (digest, 0), b"x", chunks="999999")
    await store(bus, "mallet", (digest, 0), b"x", chunks="-1")

    assert await Blobs(bus, "bob").has(digest)
    assert await Blobs(bus, "bob").get(digest) == b"honest"
