"""One term of a verifier: it follows the logs as a standby, takes the lease, leads, and ends when somebody else writes.

Guarantees that nobody is told of a verdict before it is durable, and that whatever ends a term, nothing of its memory is used
again: the next term begins from the last checkpoint and folds what came since. Decisions are `verifier.core`'s; this is only the
order of reading and writing.
"""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import msgspec
import structlog

from bus.connection import Bus
from bus.errors import BusError, BusUnavailable, Fenced
from bus.fence import Leadership
from bus.lease import Lease
from bus.messages import ServiceHealth, VerdictRequest
from bus.reader import Entry, LogReader
from bus.service import ServiceDesk
from bus.signing import VERDICTS, Identity
from bus.steps import STEPS
from bus.streams import extent, lag_behind, last_sequence, last_sequences
from bus.terms import Tally, first_of, regained
from bus.writer import FencedWriter
from folds.keeper import Keeper, Snapshot
from folds.manifest import Manifest
from folds.shelf import Shelf
from folds.store import Checkpoint, CheckpointStore
from verifier import checkpoint, reputation
from verifier.archive import Archive
from verifier.claims import Claims, Refusal, open_claims
from verifier.core import Core, Emission
from verifier.figures import Figures
from verifier.merge import Merge
from verifier.notices import Notices
from verifier.settings import VerifierSettings
from verifier.steps import tell

__all__ = ["SERVICE", "Term"]

_log = structlog.get_logger("verifier")

SERVICE = "verifier"
_HELD_MAX = 256
"""Entries of RESULTS that wait for their decisions before no more are read."""
_BACKLOG_MAX = 8192
"""Lines that wait to be written before no more results are read."""
_GRACE_S = 0.05
"""How long ASSIGNMENTS may lag behind a result before the server is asked where the log really ends."""


class Term:
    """Call `serve` once; it returns or raises when the term is over, and `close` must follow."""

    def __init__(
        self,
        bus: Bus,
        identity: Identity,
        settings: VerifierSettings,
        tally: Tally | None = None,
        figures: Figures | None = None,
    ) -> None:
        self.core = Core(figures)
        self.leading = False
        self._bus = bus
        self._identity = identity
        self._settings = settings
        self._tally = tally or Tally()
        self._since_ms = 0
        self._merge = Merge()
        self._held = asyncio.Event()
        self._paused = False
        self._judging = True
        self._written = 0
        self._decisions = LogReader(bus, "assignments", self._on_decisions)
        self._results = LogReader(bus, "results", self._on_results)
        self._verdicts = LogReader(bus, "verdicts", self._on_verdicts)
        self._lease = Lease(bus, SERVICE, settings.name)
        self._archive = Archive(bus, self.core.place, kept_bytes=settings.kept_bytes)
        self._notices = Notices(bus)
        self._writer: FencedWriter[Emission] | None = None
        self._desk: ServiceDesk | None = None
        self._shelf = Shelf(settings.data / "checkpoint")
        self._keeper = Keeper(
            bus,
            CheckpointStore(bus, SERVICE, checkpoint.VERSION, self._shelf),
            self.core.settled.old,
            self._take,
            every_s=settings.checkpoint_s,
        )

    def __repr__(self) -> str:
        """Whether it leads, and what it knows."""
        return f"Term({self._settings.name}, leading={self.leading}, {self.core!r}, {self._merge!r})"

    @property
    def held(self) -> int:
        """Entries of RESULTS that wait for the decisions that they answer."""
        return len(self._merge)

    async def serve(self) -> None:
        """Follow the logs, then lead until the lease is lost (returns) or another writes VERDICTS (raises `Fenced`)."""
        begun = time.monotonic()
        await self._open_desk()
        await self._beside(self._catch_up())
        took_s = round(time.monotonic() - begun, 3)
        _log.info("following", name=self._settings.name, folded=self.health().folded, took_s=took_s)
        followed = (self._verdicts, self._decisions, self._results)
        await self._beside(
            self._lease.acquire(),
            self._keeper.run(),
            self._forget(),
            *(reader.ended() for reader in followed),
        )
        begun = asyncio.get_running_loop().time()
        await self._beside(self._take_over())
        took_ms = round((asyncio.get_running_loop().time() - begun) * 1000, 1)
        _log.info("taken over", name=self._settings.name, took_ms=took_ms)
        while self.leading:
            await self._beside(self._lease.lost.wait(), *self._leading_work())
            await self._beside(self._hold_on(), *self._leading_work())

    def _leading_work(self) -> tuple[Coroutine[Any, Any, None], ...]:
        assert self._writer is not None  # noqa: S101 -- taken over
        return (
            self._notices.run(),
            self._keeper.run(),
            self._forget(),
            self._writer.ended(),
            self._decisions.ended(),
            self._results.ended(),
        )

    async def _hold_on(self) -> None:
        """The lease is lost: take it again if it is free and nobody wrote since; else this term is over."""
        assert self._writer is not None  # noqa: S101 -- taken over
        self.leading = False
        await self._close_desk()
        await self._open_desk()
        if await regained(
            self._bus, self._lease, self._writer, "verdicts", lambda: self._written, name=self._settings.name
        ):
            await self._lead()

    async def close(self) -> None:
        """End everything that the term began and give the lease up."""
        self.leading = False
        await self._close_desk()
        for reader in (self._results, self._decisions, self._verdicts):
            await reader.stop()
        if self._writer is not None:
            await self._writer.stop()
        if self._bus.is_connected:
            await self._notices.flush()
        self._shelf.close()
        await self._lease.release()

    def health(self) -> ServiceHealth:
        """Who this is and how far it has folded each log."""
        return ServiceHealth(
            service=SERVICE,
            name=self._settings.name,
            leading=self.leading,
            epoch=self.core.epoch,
            since_ms=self._since_ms if self.leading else 0,
            folded={
                "assignments": self.core.decided,
                "results": self._results.position,
                "verdicts": max(self._written, self._verdicts.position),
            },
            nodes=self.core.nodes,
            open=self.core.open_tasks,
            waiting=len(self._merge),
        )

    async def _health(self) -> ServiceHealth:
        health = self.health()
        return msgspec.structs.replace(health, lag=await lag_behind(self._bus, health.folded))

    async def _open_desk(self) -> None:
        """Say who is here; what a leader is asked is answered from `_lead` on."""
        self._desk = await ServiceDesk.open(
            self._bus,
            SERVICE,
            "1.1.0",
            "Judges results and keeps verdicts.",
            instance=self._settings.name,
        )
        await self._desk.answer("instances", bytes, lambda _: self._health(), each=True)

    async def _close_desk(self) -> None:
        desk, self._desk = self._desk, None
        if desk is not None and self._bus.is_connected:
            await desk.close()

    async def _beside(self, *work: Coroutine[Any, Any, Any]) -> None:
        """Do `work` until the first of it is done, while the merge runs; whatever fails first is raised."""
        await first_of(*work, self._ask_for_the_end())

    async def _catch_up(self) -> None:
        begin = (await self._keeper.begin(("assignments", "results", "verdicts"), self._restore)).positions
        self.core.decided = begin["assignments"]
        # VERDICTS first, RESULTS last: then most tasks are known to be closed before anything is kept about them.
        for log, reader in (
            ("verdicts", self._verdicts),
            ("assignments", self._decisions),
            ("results", self._results),
        ):
            reader.position = begin[log]
            reader.start()
            await reader.reached(await last_sequence(self._bus, log))

    def _restore(self, kept: Checkpoint) -> None:
        checkpoint.restore(self.core, kept.state, kept.runs)

    async def _take(self) -> Snapshot | None:
        """The state for a checkpoint, once all that was judged is durable; meanwhile nothing is judged."""
        writer = self._writer
        if writer is None or not self.leading:
            return None
        self._judging = False
        try:
            while not writer.is_idle:
                await writer.flushed()
            manifest = Manifest(
                fold=SERVICE,
                version=checkpoint.VERSION,
                positions={
                    "assignments": self.core.decided,
                    # What the merge holds back is read again.
                    "results": self._merge.oldest - 1 if self._merge.oldest else self._results.position,
                    "verdicts": self._written,
                },
                written_ms=int(time.time() * 1000),
                writer=self._settings.name,
                epoch=self.core.epoch,
            )
            return manifest, checkpoint.pack(self.core)
        finally:
            self._judging = True
            if self.leading:
                self._judge()

    async def _forget(self) -> None:
        """Let go, now and then, of tasks whose verdicts were cut from the log: of these nothing else is left in any log, either."""
        while True:
            await asyncio.sleep(self._settings.checkpoint_s)
            try:
                self.core.settled.old.forget((await extent(self._bus, "verdicts")).first)
            except BusError as error:
                _log.debug("nothing is forgotten this time", reason=str(error))

    async def _take_over(self) -> None:
        """Fold what was written until now, and only then begin to judge."""
        # What came in before the take-over is weighed as a whole: an answer in RESULTS beats a later abandonment.
        ends = await last_sequences(self._bus, ("assignments", "results", "verdicts"))
        await self._decisions.reached(ends["assignments"])
        await self._results.reached(ends["results"])
        await self._verdicts.reached(ends["verdicts"])
        await self._verdicts.stop()
        opening = self.core.lead(self._settings.name)
        self._tally.leads()
        self._since_ms = int(time.time() * 1000)
        self._written = self._verdicts.position
        self._writer = FencedWriter(
            self._bus,
            self._bus.subjects.stream("verdicts"),
            self._bus.subjects.verdicts,
            last=self._written,
            on_durable=self._on_durable,
            seal=lambda members: self._identity.seal(VERDICTS, members),
            leadership=Leadership(self._settings.name, self.core.epoch),
        )
        self._writer.start()
        self._writer.append(opening.line, opening)
        await self._lead()

    async def _lead(self) -> None:
        """Judge from here on, and answer questions."""
        health = self.health()
        _log.info("leading", name=health.name, epoch=health.epoch, folded=health.folded, open=health.open)
        self.leading = True
        self._judge()
        assert self._desk is not None  # noqa: S101 -- opened by who follows
        await self._desk.answer("verdict", VerdictRequest, lambda asked: self._archive.answer(asked.tasks))
        await self._desk.answer("reputation", bytes, lambda _: reputation.answer(self.core.reputation))
        await self._desk.answer("health", bytes, lambda _: self._health())

    def _on_decisions(self, entry: Entry) -> None:
        self.core.fold_decisions(entry.sequence, entry.body)
        self._fold(self._merge.advance(self.core.decided))

    def _on_results(self, entry: Entry) -> None:
        opened = open_claims(entry)
        if isinstance(opened, Refusal):
            self.core.refuse(opened)
            return
        owner = self.core.owner(opened.node)
        if owner is not None and owner != opened.key:
            # Folding refuses and counts them as well; only, nobody must wait for the decisions they may name.
            self.core.fold_claims(opened)
            return
        self._fold(self._merge.offer(opened, self.core.decided))
        if self._merge:
            self._held.set()
        self._pace()

    def _on_verdicts(self, entry: Entry) -> None:
        self.core.fold_verdicts(entry.sequence, entry.body)

    def _fold(self, ready: list[Claims]) -> None:
        for claims in ready:
            self.core.fold_claims(claims)
        self.core.refuse_future(self._merge.take_dropped())
        if self.leading and self._judging:
            self._judge()
        if self._paused:
            self._pace()

    def _judge(self) -> None:
        assert self._writer is not None  # noqa: S101 -- leading means that there is one
        try:
            for emission in self.core.judge():
                self._writer.append(emission.line, emission)
        except (Fenced, BusUnavailable) as error:
            # The writer has ended, which ends the term: what was judged is judged again by whoever leads next.
            self.leading = False
            _log.debug("judged in vain", reason=str(error))

    def _pace(self) -> None:
        backlog = self._writer.backlog if self._writer is not None else 0
        busy = len(self._merge) > _HELD_MAX or backlog > _BACKLOG_MAX
        calm = len(self._merge) <= _HELD_MAX // 2 and backlog <= _BACKLOG_MAX // 2
        if busy and not self._paused:
            self._paused = True
            self._results.pause()
        elif calm and self._paused:
            self._paused = False
            self._results.resume()

    def _on_durable(self, sequence: int, emissions: list[Emission]) -> None:
        self._written = sequence
        self.core.placed(sequence, emissions)
        self._archive.keep(emissions)
        self._notices.send(emissions)
        if STEPS.on:
            for _, message, _ in emissions:
                tell(message, sequence)
        if self._paused:
            self._pace()

    async def _ask_for_the_end(self) -> None:
        """Where results wait longer than ASSIGNMENTS can lag, find out whether what they answer exists at all."""
        end = 0
        while True:
            if not self._merge:
                self._held.clear()
                await self._held.wait()
            await asyncio.sleep(_GRACE_S)
            newest = self._merge.newest
            if self._merge.horizon <= end:
                continue
            try:
                # Confirmed: what a leader that was cut off does not know would be taken for forged, and an honest answer be lost.
                end = await last_sequence(self._bus, "assignments", confirmed=True)
            except BusError as error:
                _log.debug("asking the log", reason=str(error))
                continue
            self._merge.cut(end, newest)
            self._fold(self._merge.advance(self.core.decided))
