"""The log of verdicts: how fast leaves are appended, proven and checked, and what of it is in memory. One process, one core."""

import random
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import psutil

from anchor.archive import Archive
from anchor.core import KNOWN, Core
from anchor.folder import Folder
from anchor.messages import Message
from anchor.notes import key_of, sign
from anchor.receipt.check import check
from anchor.receipt.container import write_receipt
from anchor.receipt.merkle import leaf_hash
from anchor.receipt.note import Checkpoint
from anchor.receipts import make_receipt
from anchor.tiles import TileFolder
from anchor.tree.edge import Edge
from anchor.tree.proofs import Proofs
from bench.rows import Row, median_of, percentile
from bus.messages import Quorum, Verdict
from bus.signing import VERDICTS, Identity
from bus.wire import encode
from folds.runs import build
from folds.runs import key_of as task_key

_LEAVES = 200_000
_BATCH = 8192
_LARGE = 10_000_000
_PROOFS = 400
_OLD = 5_000_000
_RUN = 1_000_000
_LOOKUPS = 2000
_MESSAGES = 300
_MEMBERS = 128
_MB = 1024 * 1024


def main() -> list[Row]:
    """Appending with tiles on disk, folding signed messages, proofs from ten million leaves, and checking a receipt."""
    with tempfile.TemporaryDirectory() as folder:
        # Memory first: what others have used and given back would blur it.
        large = _large(Path(folder) / "c")
        index = _index(Path(folder) / "d")
        return [*_append(Path(folder) / "a"), *_fold(Path(folder) / "b"), *large, *index]


def _append(folder: Path) -> list[Row]:
    """Leaves of 900 bytes, hashed and put into tiles that are on disk, a checkpoint's worth at a time."""
    noise = random.Random(1)  # noqa: S311 -- bytes to hash
    leaves = [noise.randbytes(900) for _ in range(_BATCH)]
    tiles, edge = TileFolder(folder), Edge()
    begun, cpu = time.perf_counter(), time.process_time()
    while edge.size < _LEAVES:
        full = edge.append([leaf_hash(leaf) for leaf in leaves])
        tiles.write(full, edge.partial())
        tiles.sync()
        edge.root()
    took_s, cpu_s = time.perf_counter() - begun, time.process_time() - cpu
    return [
        Row(
            name="leaves appended",
            value=edge.size / cpu_s,
            unit="1/s of a core",
            better="higher",
            aim=200_000,
            floor=100_000,
            note=f"900 bytes, {_BATCH:,} at a time, tiles synced to disk",
        ),
        Row(
            name="the same, with the waiting for the disk",
            value=edge.size / took_s,
            unit="1/s",
            better="higher",
        ),
    ]


def _fold(folder: Path) -> list[Row]:
    """Messages of VERDICTS as a verifier signs them: checked, decoded, looked up, hashed, kept."""
    verifier = Identity.from_seed(bytes(32))
    digest = sha256(b"42").hexdigest()
    bodies = [
        verifier.seal(
            VERDICTS,
            [
                encode(
                    Verdict(
                        task=f"me.{number}-{at}",
                        status="verified",
                        output=b"42",
                        output_digest=digest,
                        agree=("node-1", "node-2"),
                        evidence=((number + 1, at), (number + 1, at)),
                        verify=Quorum(agree=2, of=3),
                        spec=digest,
                        module=digest,
                        input=digest,
                        trace=digest,
                        source=(number + 1, at),
                    )
                )
                for at in range(_MEMBERS)
            ],
        )
        for number in range(_MESSAGES)
    ]
    core, kept = Core("bench"), Folder(folder)
    cpu = time.process_time()
    for at in range(0, _MESSAGES, 50):
        logged = [core.fold_verdicts(at + n + 1, body) for n, body in enumerate(bodies[at : at + 50])]
        messages = [
            Message(each.sequence, each.first, each.lines, body)
            for each, body in zip(logged, bodies[at : at + 50], strict=True)
        ]
        kept.commit(messages, [tile for each in logged for tile in each.tiles], core.edge.partial())
    cpu_s = time.process_time() - cpu
    state = core.state
    log = Identity.from_seed(bytes([1]) * 32)
    note = sign(log, state)
    made_ms = _times(
        lambda at: make_receipt(kept, at * 97 % state.size, note, [key_of(log, state.origin)]), 100
    )
    data = write_receipt(make_receipt(kept, 1000, note, [key_of(log, state.origin)]))
    checked_ms = _times(lambda _: check(data), 100)
    kept.close()
    return [
        Row(
            name="verdicts folded",
            value=core.edge.size / cpu_s,
            unit="1/s of a core",
            better="higher",
            note=f"{_MEMBERS} to a signed message; with signatures, messages and tiles on disk",
        ),
        Row(name="a receipt made", value=median_of(made_ms), unit="ms", note="read, proven, checked"),
        Row(
            name="a receipt checked",
            value=median_of(checked_ms),
            unit="ms",
            aim=5,
            floor=20,
            note=f"{len(data):,} bytes, no block and no evidence",
        ),
    ]


class _Unsynced(TileFolder):
    """Tiles that the disk may take its time with: here it is not the disk that is measured."""

    def sync(self) -> None:
        """Let go of what was written."""
        self._dirty.clear()


def _large(folder: Path) -> list[Row]:
    """Ten million leaves: what a proof costs, and what the log takes in memory and on disk."""
    tiles, edge = _Unsynced(folder), Edge()
    process = psutil.Process()
    before = 0
    for at in range(0, _LARGE, 100_000):
        tiles.write(
            edge.append([sha256(b"%d" % n).digest() for n in range(at, at + 100_000)]), edge.partial()
        )
        tiles.sync()
        if at == _LARGE // 5:
            before = process.memory_info().rss
    grown = process.memory_info().rss - before
    checkpoint = Checkpoint("bench", edge.size, edge.root())
    proofs = Proofs(tiles.read)
    noise = random.Random(2)  # noqa: S311 -- which leaves
    took_ms = _times(lambda _: proofs.inclusion(noise.randrange(_LARGE), checkpoint.size), _PROOFS)
    return [
        Row(
            name="a proof from 10 million leaves",
            value=median_of(took_ms),
            unit="ms",
            aim=0.5,
            floor=1,
            note="any leaf, tiles from disk",
        ),
        Row(name="the same, p99", value=percentile(took_ms, 0.99), unit="ms"),
        Row(name="memory for 8 million leaves more", value=grown / _MB, unit="MB", aim=5, floor=20),
    ]


def _index(folder: Path) -> list[Row]:
    """Which leaf the verdict of a task is, of five million tasks that are older than a day."""
    archive = Archive(folder)
    for first in range(0, _OLD, _RUN):
        leaves = range(first, first + _RUN)
        keys, values = [task_key(f"me.{at}") for at in leaves], [KNOWN.pack(at, at, 0) for at in leaves]
        archive.add(first, leaves[-1], build(keys, values, leaves[-1]))
    archive.close()
    del keys, values
    noise = random.Random(3)  # noqa: S311 -- which tasks
    tracemalloc.start()
    archive = Archive(folder)
    there_ms = median_of(_times(lambda _: archive.leaf_of(f"me.{noise.randrange(_OLD)}"), _LOOKUPS))
    nowhere_ms = median_of(_times(lambda at: archive.leaf_of(f"nobody.{at}"), _LOOKUPS))
    memory = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    archive.close()
    note = f"{_OLD:,} tasks in {_OLD // _RUN} files, traced for memory, so slower"
    return [
        Row(name="memory of the index of old tasks", value=memory / 1024, unit="KiB", aim=100, floor=1000, note=note),
        Row(name="an old task looked up", value=there_ms * 1000, unit="µs", aim=200, floor=1000, note=note),
        Row(name="a task that is not there looked up", value=nowhere_ms * 1000, unit="µs", note=note),
    ]  # fmt: skip


def _times(work: Callable[[int], object], count: int) -> list[float]:
    """How long each of `count` calls takes, in ms."""
    took = []
    for at in range(count):
        begun = time.perf_counter()
        work(at)
        took.append((time.perf_counter() - begun) * 1000)
    return took
