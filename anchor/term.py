"""One term of an anchor: it follows VERDICTS and ANCHORS as a standby, takes the lease, leads, and ends when somebody else writes.

Guarantees that leaves are on this machine's disk before a state with them is signed, and that nobody is shown a signed state before it is durable
in ANCHORS; whatever ends a term, nothing of its memory is used again. Which verdicts are leaves is `anchor.core`'s to say; this is only
the order of reading, keeping, signing and writing.
"""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple

import msgspec
import structlog

from anchor import checkpoint
from anchor.core import AnchorLine, Core, Logged
from anchor.desk import Desk
from anchor.errors import LogDamaged, SettingsRefused
from anchor.folder import Folder
from anchor.mending import mend_message
from anchor.messages import Message
from anchor.notes import key_of, sign
from anchor.part import Part
from anchor.receipt.note import Checkpoint, Note, write_note
from anchor.refill import refill
from anchor.settings import AnchorSettings
from anchor.tree.edge import Tile
from bus.connection import Bus
from bus.fence import Leadership
from bus.lease import Lease
from bus.messages import Opened, ServiceHealth, Signed, Unlogged
from bus.reader import Entry, LogReader
from bus.service import ServiceDesk
from bus.signing import Identity
from bus.streams import extent, lag_behind, last_sequence, last_sequences
from bus.terms import Tally, first_of, regained
from bus.wire import encode, split_lines
from bus.writer import FencedWriter
from folds.keeper import Keeper, Snapshot
from folds.manifest import Manifest
from folds.shelf import Shelf
from folds.store import Checkpoint as Saved
from folds.store import CheckpointStore

__all__ = ["SERVICE", "Term"]

_log = structlog.get_logger("anchor")

SERVICE = "anchor"
_HELD_BYTES = 16 * 1024 * 1024
"""Messages in memory, not yet on disk, before no more are read."""
_WITNESSES_S = 10.0
"""How long a state waits for its witnesses before a newer one is signed, for which they are asked instead."""


class _Stored(NamedTuple):
    """A state whose leaves are on disk: those of VERDICTS up to the sequence `verdicts`."""

    state: Checkpoint
    verdicts: int


class Term:
    """Call `serve` once; it returns or raises when the term is over, and `close` must follow."""

    def __init__(
        self,
        bus: Bus,
        identity: Identity,
        settings: AnchorSettings,
        tally: Tally | None = None,
        parts: Sequence[Part] = (),
    ) -> None:
        self.core = Core(settings.origin_for(identity.key))
        self.leading = False
        self._bus = bus
        self._identity = identity
        self._key = key_of(identity, self.core.origin)
        self._settings = settings
        self._tally = tally or Tally()
        self.parts = parts
        self._since_ms = 0
        self._written = 0
        self._restored = False
        self._signed_at_s = float("-inf")
        self._fresh: list[tuple[Logged, bytes]] = []
        self._fresh_bytes = 0
        self._refused: list[Unlogged] = []
        self._stored: _Stored | None = None
        self._awake = asyncio.Event()
        self._disk = asyncio.Lock()
        self._folder = Folder(settings.data)
        self._verdicts = LogReader(bus, "verdicts", self._on_verdicts)
        self._anchors = LogReader(bus, "anchors", self._on_anchors)
        self._lease = Lease(bus, SERVICE, settings.name)
        self._writer: FencedWriter[AnchorLine | bytes] | None = None
        self._desk: ServiceDesk | None = None
        self.answers = Desk(
            key=self._key,
            witnesses=settings.witness_keys,
            quorum=settings.quorum,
            core=self.core,
            folder=self._folder,
            disk=self._disk,
            parts=parts,
            rewrite=self._rewrite,
            mend=lambda leaf: mend_message(bus, self.core, self._folder, leaf),
        )
        self._shelf = Shelf(settings.data / "checkpoint")
        self._keeper = Keeper(
            bus,
            CheckpointStore(bus, SERVICE, checkpoint.VERSION, self._shelf),
            self.core.index,
            self._take,
            every_s=settings.checkpoint_s,
        )

    def __repr__(self) -> str:
        """Whether it leads, and what it knows."""
        return f"Term({self._settings.name}, leading={self.leading}, {self.core!r})"

    async def serve(self) -> None:
        """Follow the logs, then lead until the lease is lost (returns) or another writes ANCHORS (raises `Fenced`).

        Raises `LogDamaged` or `SettingsRefused` where this process must not sign.
        """
        begun = time.monotonic()
        await self._open_desk()
        await self._beside(self._catch_up())
        took_s = round(time.monotonic() - begun, 3)
        _log.info("following", name=self._settings.name, size=self.core.edge.size, took_s=took_s)
        await self._beside(
            self._lease.acquire(), self._keeper.run(), self._anchors.ended(), self._verdicts.ended()
        )
        await self._beside(self._take_over())
        while self.leading:
            await self._beside(self._lease.lost.wait(), *self._leading_work())
            await self._beside(self._hold_on(), *self._leading_work())

    def _leading_work(self) -> tuple[Coroutine[Any, Any, None], ...]:
        assert self._writer is not None  # noqa: S101 -- taken over
        return (
            self._keeper.run(),
            self._writer.ended(),
            self._verdicts.ended(),
            *(part.run(self._append) for part in self.parts),
        )

    async def _beside(self, *work: Coroutine[Any, Any, Any]) -> None:
        """Do `work` until the first of it is done, while leaves go to disk; whatever fails first is raised."""
        await first_of(*work, self._keep_storing())

    async def close(self) -> None:
        """End everything that the term began and give the lease up."""
        self.leading = False
        await self._close_desk()
        for reader in (self._verdicts, self._anchors):
            await reader.stop()
        if self._writer is not None:
            await self._writer.stop()
        async with self._disk:
            self._folder.close()
            for part in self.parts:
                part.close()
        self._shelf.close()
        await self._lease.release()

    # -- following -------------------------------------------------------------------------------------

    async def _catch_up(self) -> None:
        begin = await self._keeper.begin(("verdicts", "anchors"), self._restore)
        self._restored = begin.restored
        self.core.position, self.core.anchored = begin.positions["verdicts"], begin.positions["anchors"]
        if not begin.restored and begin.first["anchors"] > 1:
            raise LogDamaged(
                "ANCHORS was cut, and there is no checkpoint of the anchor that this one can use: restore the stream of checkpoints from a backup, "
                "and give this anchor the key and origin of the others"
            )
        # ANCHORS first: what was signed, and what is no leaf, must be known before the tree grows.
        for log, reader in (("anchors", self._anchors), ("verdicts", self._verdicts)):
            reader.position = begin.positions[log]
            if log == "verdicts":
                self._check_opened(begin.first["verdicts"])
                await refill(self._bus, self.core, self._folder)
            reader.start()
            await reader.reached(await last_sequence(self._bus, log))

    def _restore(self, kept: Saved) -> None:
        checkpoint.restore(self.core, kept.state, kept.runs, self.parts)

    def _check_opened(self, first: int) -> None:
        """Whether the log in ANCHORS is ours, and can be folded from what there is."""
        opened = self.core.opened
        if opened is None:
            return
        if (opened.origin, opened.key) != (self.core.origin, str(self._key)):
            raise SettingsRefused(
                "key",
                f"the log of this cluster is {opened.key}: give this anchor the key file and origin of the others",
            )
        if not self._restored and first > opened.begins:
            raise LogDamaged(
                f"the log begins with VERDICTS {opened.begins}, which was cut to {first}, and no checkpoint of the anchor is left: "
                "restore the stream of checkpoints from a backup, or begin a new log under another --origin in a cluster of its own"
            )

    def _on_anchors(self, entry: Entry) -> None:
        self.core.fold_anchors(entry.sequence, entry.body)
        for part in self.parts:
            for line in split_lines(entry.body):
                part.fold_anchors(entry.sequence, line)

    def _on_verdicts(self, entry: Entry) -> None:
        logged = self.core.fold_verdicts(entry.sequence, entry.body)
        self._refused += logged.unlogged
        self._fresh.append((logged, entry.body))
        self._fresh_bytes += len(entry.body)
        for part in self.parts:
            part.fold_verdicts(entry)
        if self._fresh_bytes > _HELD_BYTES:
            self._verdicts.pause()
            self._awake.set()

    # -- keeping and signing ---------------------------------------------------------------------------

    async def _keep_storing(self) -> None:
        """Put leaves on disk, and sign what is there where this process leads, for ever."""
        while True:
            try:
                async with asyncio.timeout(self._settings.every_s):
                    await self._awake.wait()
            except TimeoutError:
                pass
            self._awake.clear()
            if self._fresh:
                await self._store()
            if self.leading:
                self._sign()

    async def _store(self) -> None:
        """Put all that is folded on disk."""
        async with self._disk:
            fresh, self._fresh, self._fresh_bytes = self._fresh, [], 0
            stored = _Stored(self.core.state, self.core.position)
            partial = self.core.edge.partial()
            messages = [Message(one.sequence, one.first, one.lines, body) for one, body in fresh if one.lines]
            full: list[Tile] = [tile for one, _ in fresh for tile in one.tiles]
            await asyncio.to_thread(self._folder.commit, messages, full, partial)
            for part in self.parts:
                await asyncio.to_thread(part.sync)
            self._stored = stored
        self._verdicts.resume()

    def _sign(self) -> None:
        """Sign the state that is on disk, if it is a new one and the last one is no longer waited for."""
        refused, self._refused = self._refused, []
        for each in refused:
            self._append(each)
        stored, writer = self._stored, self._writer
        if stored is None or writer is None or not writer.is_idle:
            return
        before = self.core.signed.size if self.core.signed is not None else 0
        now_s = asyncio.get_running_loop().time()
        waits = self.answers.waits and now_s < self._signed_at_s + _WITNESSES_S
        if stored.state.size <= before or waits:
            return
        self._signed_at_s = now_s
        note = write_note(sign(self._identity, stored.state)).decode()
        self._append(Signed(size=stored.state.size, verdicts=stored.verdicts, note=note))

    def _append(self, line: AnchorLine | bytes) -> None:
        assert self._writer is not None  # noqa: S101 -- whoever leads has one
        self._writer.append(line if isinstance(line, bytes) else encode(line), line)

    async def _rewrite(self, signed: Signed) -> None:
        """Write a checkpoint again under more signatures; returns once that is durable."""
        self._append(signed)
        assert self._writer is not None  # noqa: S101 -- just appended
        await self._writer.flushed()

    def _on_durable(self, sequence: int, lines: list[AnchorLine | bytes]) -> None:
        self._written = sequence
        self.core.wrote(sequence, [line for line in lines if not isinstance(line, bytes)])
        for line in lines:
            raw = line if isinstance(line, bytes) else encode(line)
            for part in self.parts:
                part.fold_anchors(sequence, raw)
        if any(isinstance(line, Signed) for line in lines):
            self._show()

    def _show(self) -> None:
        """The newest checkpoint is durable: let it be seen, if it has the cosignatures that it needs."""
        note = self.answers.showing()
        if note is None:
            return
        self._tell(note)
        try:
            self._folder.tiles.publish(write_note(note))
        except OSError as error:
            _log.warning("the checkpoint is not in the folder", reason=str(error))

    def _tell(self, note: Note) -> None:
        for part in self.parts:
            part.signed(note)

    async def _take(self) -> Snapshot | None:
        """The state for a checkpoint, with all of it on disk and in ANCHORS."""
        writer = self._writer
        if writer is None or not self.leading:
            return None
        manifest = Manifest(
            fold=SERVICE,
            version=checkpoint.VERSION,
            positions={"verdicts": self.core.position, "anchors": self.core.anchored},
            written_ms=int(time.time() * 1000),
            writer=self._settings.name,
            epoch=self.core.epoch,
        )
        packed = checkpoint.pack(self.core, self.parts)
        await self._store()
        self._sign()
        await writer.flushed()
        return manifest, packed

    # -- leading ---------------------------------------------------------------------------------------

    async def _take_over(self) -> None:
        """Fold what was written until now, and only then begin to write."""
        ends = await last_sequences(self._bus, ("verdicts", "anchors"))
        await self._anchors.reached(ends["anchors"])
        await self._verdicts.reached(ends["verdicts"])
        await self._anchors.stop()
        begins = (await extent(self._bus, "verdicts")).first
        self._check_opened(begins)
        await self._store()
        await self._check_signed()
        opened = Opened(origin=self.core.origin, key=str(self._key), begins=begins)
        opening = self.core.lead(self._settings.name, opened)
        self._tally.leads()
        self._since_ms = int(time.time() * 1000)
        self._written = self._anchors.position
        self._writer = FencedWriter(
            self._bus,
            self._bus.subjects.stream("anchors"),
            self._bus.subjects.anchors,
            last=self._written,
            on_durable=self._on_durable,
            leadership=Leadership(self._settings.name, self.core.epoch),
        )
        self._writer.start()
        for line in opening:
            self._append(line)
        await self._writer.flushed()
        self._show()
        await self._lead()

    async def _check_signed(self) -> None:
        """The tree that is here must begin with the one that was signed last, whoever signed it. Raises `LogDamaged`."""
        signed = self.core.signed
        if signed is None or signed.size == 0:
            return
        state = self.answers.state_of(signed)
        try:
            async with self._disk:
                root = await asyncio.to_thread(self._folder.root, signed.size)
        except FileNotFoundError:
            if self._restored:
                return  # the checkpoint of the fold was made by one that had compared, and the tree has only grown since
            raise LogDamaged(
                "tiles of what was signed are missing: restore the anchor's folder from a backup"
            ) from None
        if root != state.root:
            raise LogDamaged(
                f"the tree of {signed.size} leaves here is not the one that was signed: restore VERDICTS or the anchor's folder from a backup"
            )

    async def _lead(self) -> None:
        """Sign from here on, and answer questions."""
        _log.info("leading", name=self._settings.name, epoch=self.core.epoch, size=self.core.edge.size)
        self.leading = True
        assert self._desk is not None  # noqa: S101 -- opened by who follows
        await self.answers.open(self._desk)
        await self._desk.answer("health", bytes, lambda _: self._health())
        for part in self.parts:
            await part.open(self._desk, self._append)
        self._awake.set()

    async def _hold_on(self) -> None:
        """The lease is lost: take it again if it is free and nobody wrote since; else this term is over."""
        assert self._writer is not None  # noqa: S101 -- taken over
        self.leading = False
        await self._close_desk()
        await self._open_desk()
        if await regained(
            self._bus, self._lease, self._writer, "anchors", lambda: self._written, name=self._settings.name
        ):
            await self._lead()

    def health(self) -> ServiceHealth:
        """Who this is and how far it has folded each log; `waiting` are leaves that are not signed yet."""
        signed = self.core.signed.size if self.core.signed is not None else 0
        return ServiceHealth(
            service=SERVICE,
            name=self._settings.name,
            leading=self.leading,
            epoch=self.core.epoch,
            since_ms=self._since_ms if self.leading else 0,
            folded={
                "verdicts": self.core.position,
                "anchors": max(self._written, self._anchors.position),
            },
            waiting=max(0, self.core.edge.size - signed),
        )

    async def _health(self) -> ServiceHealth:
        health = self.health()
        return msgspec.structs.replace(health, lag=await lag_behind(self._bus, health.folded))

    async def _open_desk(self) -> None:
        self._desk = await ServiceDesk.open(
            self._bus,
            SERVICE,
            "1.0.0",
            "Keeps the log of verdicts and hands out receipts.",
            instance=self._settings.name,
        )
        await self._desk.answer("instances", bytes, lambda _: self._health(), each=True)

    async def _close_desk(self) -> None:
        desk, self._desk = self._desk, None
        if desk is not None and self._bus.is_connected:
            await desk.close()
