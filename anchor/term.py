"""One term of an anchor: it follows VERDICTS and ANCHORS as a standby, takes the lease, leads, and ends when somebody else writes.

Guarantees that ANCHORS is folded to its end before a leadership begins, that this process signs nothing that contradicts what was signed before, and
that, whatever ends a term, nothing of its memory is used again. Which verdicts are leaves is `anchor.core`'s to say, what is on disk
`anchor.storing`'s, and what is signed and shown `anchor.signing`'s; this is only who comes when.
"""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import msgspec
import structlog

from anchor import checkpoint
from anchor.core import Core
from anchor.desk import Desk
from anchor.errors import LogDamaged, SettingsRefused
from anchor.mending import mend_message
from anchor.notes import key_of
from anchor.part import Part
from anchor.refill import refill
from anchor.settings import AnchorSettings
from anchor.signing import Signing
from anchor.storing import Storing
from anchor.witnessing import Witnessing
from bus.connection import Bus
from bus.fence import Leadership
from bus.lease import Lease
from bus.messages import Opened, ServiceHealth, Signed, Unlogged
from bus.reader import Entry, LogReader
from bus.service import ServiceDesk
from bus.signing import Identity
from bus.streams import extent, lag_behind, last_sequence, last_sequences
from bus.terms import Tally, first_of, regained
from bus.wire import split_lines
from folds.keeper import Keeper, Snapshot
from folds.manifest import Manifest
from folds.shelf import Shelf
from folds.store import Checkpoint as Saved
from folds.store import CheckpointStore

__all__ = ["SERVICE", "Term"]

_log = structlog.get_logger("anchor")

SERVICE = "anchor"


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
        self._restored = False
        self._refused: list[Unlogged] = []
        self._awake = asyncio.Event()
        self._tidying = asyncio.Lock()
        self._verdicts = LogReader(bus, "verdicts", self._on_verdicts)
        self._anchors = LogReader(bus, "anchors", self._on_anchors)
        self._storing = Storing(settings.data, self.core, parts, self._verdicts.resume)
        self._lease = Lease(bus, SERVICE, settings.name)
        self._signing: Signing | None = None
        self._desk: ServiceDesk | None = None
        self.answers = Desk(
            key=self._key,
            witnesses=settings.witness_keys,
            quorum=settings.quorum,
            core=self.core,
            folder=self._storing.folder,
            archive=self._storing.archive,
            disk=self._storing.disk,
            parts=parts,
            rewrite=self._rewrite,
            mend=lambda leaf: mend_message(bus, self.core, self._storing.folder, leaf),
        )
        self._witnessing = Witnessing(self.answers, settings.asked_witnesses)
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

    @property
    def _leads(self) -> Signing:
        """What writes; whoever asks has taken over."""
        assert self._signing is not None  # noqa: S101 -- a matter of order in this file
        return self._signing

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
        return (
            self._keeper.run(),
            self._leads.writer.ended(),
            self._verdicts.ended(),
            self._witnessing.run(),
            *(part.run(self._leads.append) for part in self.parts),
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
        if self._signing is not None:
            await self._signing.writer.stop()
        await self._storing.close()
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
                await refill(self._bus, self.core, self._storing.folder)
                await self._storing.fill()
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
        logged = self.core.fold_verdicts(entry.sequence, entry.body, entry.at_ms)
        self._refused += logged.unlogged
        for part in self.parts:
            part.fold_verdicts(entry)
        if not self._storing.take(logged, entry.body):
            self._verdicts.pause()
            self._awake.set()

    # -- keeping ---------------------------------------------------------------------------

    async def _keep_storing(self) -> None:
        """Put leaves on disk, and sign what is there where this process leads, for ever."""
        while True:
            try:
                async with asyncio.timeout(self._settings.every_s):
                    await self._awake.wait()
            except TimeoutError:
                pass
            self._awake.clear()
            if self._storing.waits:
                await self._storing.commit()
            if self.leading:
                self._sign()
            else:
                async with self._tidying:
                    await self._storing.retire()

    def _sign(self) -> None:
        refused, self._refused = self._refused, []
        self._leads.refuse(refused)
        self._leads.sign(self._storing.stored)

    async def _rewrite(self, signed: Signed) -> None:
        await self._leads.rewrite(signed)

    async def _take(self) -> Snapshot | None:
        """The state for a checkpoint, with all of it on disk and in ANCHORS."""
        if not self.leading:
            return None
        begins = (await extent(self._bus, "verdicts")).first
        async with self._tidying:
            await self._storing.retire()
            self.core.forget_refusals(begins)
            manifest = Manifest(
                fold=SERVICE,
                version=checkpoint.VERSION,
                positions={"verdicts": self.core.position, "anchors": self.core.anchored},
                written_ms=int(time.time() * 1000),
                writer=self._settings.name,
                epoch=self.core.epoch,
            )
            packed = checkpoint.pack(self.core, self.parts)
            await self._storing.commit()
            self._sign()
            await self._leads.writer.flushed()
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
        await self._storing.commit()
        await self._check_signed()
        opened = Opened(origin=self.core.origin, key=str(self._key), begins=begins)
        opening = self.core.lead(self._settings.name, opened)
        self._tally.leads()
        self._since_ms = int(time.time() * 1000)
        self._signing = Signing(
            self._bus,
            self._identity,
            Leadership(self._settings.name, self.core.epoch),
            last=self._anchors.position,
            core=self.core,
            answers=self.answers,
            folder=self._storing.folder,
            parts=self.parts,
        )
        self._signing.writer.start()
        for line in opening:
            self._signing.append(line)
        await self._signing.writer.flushed()
        self._signing.show()
        await self._lead()

    async def _check_signed(self) -> None:
        """The tree that is here must begin with the one that was signed last, whoever signed it. Raises `LogDamaged`."""
        signed = self.core.signed
        if signed is None or signed.size == 0:
            return
        state = self.answers.state_of(signed)
        try:
            async with self._storing.disk:
                root = await asyncio.to_thread(self._storing.folder.root, signed.size)
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
            await part.open(self._desk, self._leads.append)
        self._awake.set()

    async def _hold_on(self) -> None:
        """The lease is lost: take it again if it is free and nobody wrote since; else this term is over."""
        signing = self._leads
        self.leading = False
        await self._close_desk()
        await self._open_desk()
        if await regained(
            self._bus,
            self._lease,
            signing.writer,
            "anchors",
            lambda: signing.written,
            name=self._settings.name,
        ):
            await self._lead()

    def health(self) -> ServiceHealth:
        """Who this is and how far it has folded each log; `waiting` are leaves that are not signed yet."""
        signed = self.core.signed.size if self.core.signed is not None else 0
        written = self._signing.written if self._signing is not None else 0
        return ServiceHealth(
            service=SERVICE,
            name=self._settings.name,
            leading=self.leading,
            epoch=self.core.epoch,
            since_ms=self._since_ms if self.leading else 0,
            folded={
                "verdicts": self.core.position,
                "anchors": max(written, self._anchors.position),
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
