"""Checkpoints on the bus: written by whoever leads, read by whoever starts.

Guarantees that a checkpoint is whole before its manifest names it; that one manifest follows another as their writers know
(a stale one is refused by the server, as in every log); that the newest and the one before it stay, so that a damaged one costs no more than
the way from the earlier one; and that what is loaded is what was saved, by its digests, or None.

Left to others: what the state is (`coordinator`, `verifier`), and what may be cut below a checkpoint (`folds.trimming`).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import msgspec
import nats.errors
import nats.js.errors
import structlog
from nats.js.api import RawStreamMsg

from bus import leader
from bus.acks import FULL, WRONG_SEQUENCE
from bus.blobs import Blobs
from bus.connection import Bus
from bus.errors import BusError, BusUnavailable, Fenced, LogFull, reason
from folds.errors import CheckpointUnusable, FolderUnusable, FoldsError
from folds.manifest import (
    DIGEST_HEADER,
    Manifest,
    joined,
    no_longer_needed,
    read_manifest,
    split,
    write_manifest,
)
from folds.runs import Run
from folds.shelf import Shelf

__all__ = ["Checkpoint", "CheckpointStore", "folds_of", "manifests_of"]

_log = structlog.get_logger("folds.store")

_LEFT_S = 600
"""A part that no manifest names this long after it was stored is nobody's."""


class Checkpoint(NamedTuple):
    """What was saved: the packed state and the runs beside it, both as of the manifest's positions."""

    manifest: Manifest
    state: bytes
    runs: list[Run]


async def manifests_of(bus: Bus, fold: str, version: int | None = None) -> list[tuple[int, Manifest]]:
    """The manifests of a fold that are kept and fit for use, (sequence, manifest), the newest first.

    Raises `BusUnavailable` where the server does not answer.
    """
    found = []
    async for message in _messages(bus, fold):
        digest = (message.headers or {}).get(DIGEST_HEADER, "")
        try:
            found.append((message.seq or 0, read_manifest(message.data or b"", digest, fold, version)))
        except CheckpointUnusable as error:
            _log.warning("a checkpoint is passed over", fold=fold, reason=str(error))
    return found


async def folds_of(bus: Bus) -> list[str]:
    """The folds of the cluster that have a checkpoint. Raises `BusUnavailable`."""
    stream = bus.subjects.stream("checkpoints")
    try:
        info = await bus.js.stream_info(stream, subjects_filter=bus.subjects.checkpoint("*"))
    except (TimeoutError, nats.errors.Error) as error:
        raise BusUnavailable(f"cannot read {stream}: try `ambient doctor` ({reason(error)})") from None
    return sorted(subject.split(".")[-2] for subject in info.state.subjects or {})


async def _messages(bus: Bus, fold: str) -> AsyncIterator[RawStreamMsg]:
    stream, subject = bus.subjects.stream("checkpoints"), bus.subjects.checkpoint(fold)
    try:
        # From the leader of the stream, not by direct get: a replica that lags would show an older one as the newest.
        newest = await bus.js.get_last_msg(stream, subject)
        yield newest
        first = await bus.js.get_msg(stream, seq=1, subject=subject, next=True)
        if first.seq != newest.seq:
            yield first
    except nats.js.errors.NotFoundError:
        return
    except (TimeoutError, nats.errors.Error) as error:
        raise BusUnavailable(f"cannot read {stream}: try `ambient doctor` ({reason(error)})") from None


class CheckpointStore:
    """The checkpoints of one fold, as one process of it sees them; `version` is the format of the state."""

    def __init__(self, bus: Bus, fold: str, version: int, shelf: Shelf) -> None:
        self.shelf = shelf
        self._bus = bus
        self._fold = fold
        self._version = version
        self._blobs = Blobs(bus, fold, kind="checkpoints")
        self._kept: list[Manifest] = []
        self._sequence = 0
        self._there: set[str] = set()
        self._swept = False

    def __repr__(self) -> str:
        """Which fold, and how far its newest checkpoint reaches."""
        newest = self._kept[0].positions if self._kept else None
        return f"CheckpointStore({self._fold}, newest={newest}, {self.shelf!r})"

    @property
    def newest(self) -> Manifest | None:
        """The newest manifest that was loaded or saved here."""
        return self._kept[0] if self._kept else None

    async def load(self) -> Checkpoint | None:
        """The newest checkpoint that is whole; None where there is none. Raises `BusUnavailable`."""
        await self.look()
        for manifest in self._kept:
            try:
                state = [await self._part(digest) for digest in manifest.state]
                runs = [await self._run(digest) for digest in manifest.runs]
                return Checkpoint(manifest, await asyncio.to_thread(joined, state), runs)
            except (FoldsError, BusError) as error:
                if isinstance(error, BusUnavailable):
                    raise
                _log.warning("a checkpoint is passed over", fold=self._fold, reason=str(error))
        return None

    async def look(self) -> None:
        """Learn which manifests there are, and behind which one the next is to stand. Raises `BusUnavailable`."""
        self._sequence = await self._last()
        found = await manifests_of(self._bus, self._fold, self._version)
        self._kept = [manifest for _, manifest in found]

    def keep(self, runs: Sequence[Run]) -> None:
        """Let go of files that neither a kept checkpoint nor one of these runs needs."""
        needed = frozenset(run.digest for run in runs).union(*(each.parts for each in self._kept))
        self.shelf.keep(needed)

    async def _run(self, digest: str) -> Run:
        # One after the other, each with tens of megabytes that are let go before the next.
        run = await asyncio.to_thread(self.shelf.kept_run, digest)
        if run is None:
            run = await asyncio.to_thread(self.shelf.run, await self._blobs.get(digest))
        self._there.add(digest)
        return run

    async def _part(self, digest: str) -> bytes:
        data = await asyncio.to_thread(self.shelf.get, digest)
        if data is None:
            data = await self._blobs.get(digest)
        self._there.add(digest)
        return data

    async def save(self, manifest: Manifest, state: bytes, runs: Sequence[Run]) -> Manifest:
        """Make this the newest checkpoint; `manifest` without its parts. Returns it with them.

        Raises `Fenced` where another wrote one since (load, then go on from there), `LogFull`, `BusUnavailable`, `RunDamaged`.
        """
        blocks = await asyncio.to_thread(split, state)
        digests = [await self._store(block) for block in blocks]
        for run in runs:
            if run.digest not in self._there:
                await self._store(await asyncio.to_thread(run.content))
        whole = msgspec.structs.replace(
            manifest, state=tuple(digests), runs=tuple(run.digest for run in runs)
        )
        self._sequence = await self._publish(whole)
        gone, self._kept = self._kept[1:], [whole, *self._kept[:1]]
        await self._drop(no_longer_needed(self._kept, gone))
        if not self._swept:
            self._swept = True
            await self._drop(await self._leftovers())
        return whole

    async def _store(self, data: bytes) -> str:
        try:
            await asyncio.to_thread(self.shelf.put, data)
        except FolderUnusable as error:
            _log.warning("a part of the checkpoint is on the bus only", reason=str(error))
        digest = await self._blobs.put(data)
        self._there.add(digest)
        return digest

    async def _publish(self, manifest: Manifest) -> int:
        body, headers = write_manifest(manifest)
        headers["Nats-Expected-Last-Subject-Sequence"] = str(self._sequence)
        try:
            ack = await self._bus.js.publish(self._bus.subjects.checkpoint(self._fold), body, headers=headers)
        except nats.js.errors.APIError as error:
            stream = self._bus.subjects.stream("checkpoints")
            if error.err_code in WRONG_SEQUENCE:
                raise Fenced(stream, self._sequence) from None
            if error.err_code in FULL:
                raise LogFull(f"{stream} is full: raise its max_bytes") from None
            raise BusUnavailable(f"the checkpoint was refused: {error.description}") from None
        except (TimeoutError, nats.errors.Error) as error:
            raise BusUnavailable(f"the checkpoint has no answer ({reason(error)}): try again") from None
        return ack.seq

    async def _last(self) -> int:
        async for message in _messages(self._bus, self._fold):
            return message.seq or 0
        return 0

    async def _drop(self, digests: set[str]) -> None:
        """Let go of what no kept checkpoint needs. What stays costs room, and nothing else."""
        self._there -= digests
        try:
            for digest in digests:
                await self._blobs.drop(digest)
        except BusUnavailable as error:
            _log.debug("old parts stay for now", reason=str(error))

    async def _leftovers(self) -> set[str]:
        """Parts that a writer left behind who died before its manifest; young ones may be somebody's who is about to write it."""
        stream = self._bus.subjects.stream("checkpoints")
        needed = self._there.union(*(each.parts for each in self._kept))
        old: set[str] = set()
        try:
            every = self._bus.subjects.blob(self._fold, "*", "*", kind="checkpoints")
            said = await leader.state(self._bus, stream, subjects=every)
            for digest in {subject.split(".")[-2] for subject in said.subjects} - needed:
                subject = self._bus.subjects.blob(self._fold, digest, "*", kind="checkpoints")
                written = (await self._bus.js.get_last_msg(stream, subject)).time
                # By the server's clock alone: with this machine's, a wrong one would take parts that are just being written for old.
                if (
                    written is not None
                    and said.at_s is not None
                    and said.at_s - written.timestamp() > _LEFT_S
                ):
                    old.add(digest)
        except (TimeoutError, nats.errors.Error, BusUnavailable) as error:
            _log.debug("leftovers stay for now", reason=reason(error))
        return old
