"""One term of a coordinator: it follows the logs as a standby, takes the lease, leads, and ends when somebody else leads.

Guarantees that nobody is told of a decision before it is durable, and that whatever ends a term, nothing of its memory is used again: the
next term begins from the last checkpoint and folds what came since. What is decided is `core`'s; this is only the order of reading and
writing.
"""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import structlog

from bus.clock import ServerClock
from bus.connection import Bus
from bus.errors import BusError, BusUnavailable
from bus.fence import Leadership
from bus.lease import Lease
from bus.reader import Entry, LogReader
from bus.steps import STEPS
from bus.streams import last_sequence, last_sequences
from bus.terms import Tally, first_of
from bus.writer import FencedWriter
from coordinator import checkpoint
from coordinator.core import Core
from coordinator.courier import Courier
from coordinator.desk import Desk
from coordinator.figures import Figures
from coordinator.gatekeeper import Gatekeeper
from coordinator.instructions import Instructions, Token
from coordinator.load import Load
from coordinator.lookups import Lookups
from coordinator.peers import Peers
from coordinator.settings import Settings
from coordinator.steps import tell
from coordinator.strategies import strategy_named
from coordinator.trimmer import Trimmer, forget
from folds.keeper import Keeper, Snapshot
from folds.manifest import Manifest
from folds.shelf import Shelf
from folds.store import Checkpoint, CheckpointStore
from folds.trimming import Mark, mark

__all__ = ["ROLE", "Term"]

_log = structlog.get_logger("coordinator")

ROLE = "coordinator"
_HINTS_BEFORE = 1000
"""Entries of RESULTS before the last judged one that are read at start: claims of tasks that are still open."""
_LOOK_AT_CLOCK_S = 10.0
_BACKLOG_MAX = 8192
"""Lines that wait to be written before no more tasks are read, and nothing more is decided."""


class Term:
    """Call `serve` once; it returns or raises when the term is over, and `close` must follow."""

    def __init__(
        self, bus: Bus, settings: Settings, tally: Tally | None = None, figures: Figures | None = None
    ) -> None:
        self.core = Core(bus.subjects, strategy_named(settings.strategy), settings.timing, seed=settings.seed)
        self._bus = bus
        self._settings = settings
        self._tally = tally or Tally()
        self._figures = figures or Figures()
        self._clock = ServerClock(bus, instead=settings.clock)
        self.now_ms = self._clock.now_ms
        self._tasks = LogReader(bus, "tasks", self._on_tasks)
        self._assignments = LogReader(bus, "assignments", self._on_assignments)
        self._verdicts = LogReader(bus, "verdicts", self._on_verdicts)
        self._results = LogReader(bus, "results", self._on_results)
        self._anchors = LogReader(bus, "anchors", self._on_anchors)
        self._lease = Lease(bus, ROLE, settings.name)
        self._courier = Courier(bus)
        self._lookups = Lookups(bus, self.core, self._wake, self._purses_known)
        self.load = Load(settings)
        self._gate = Gatekeeper(bus, self.core, self.load, self.now_ms, settings.gate_every_s)
        self._desk = Desk(bus, self.core, settings, self._wake, self.load, now_ms=self.now_ms)
        self.health = self._desk.health
        self._writer: FencedWriter[Token] | None = None
        self._turn_is_due = False
        self._paused = False
        self._full = asyncio.Event()
        self._held = False
        self._shelf = Shelf(settings.data / "checkpoint")
        self._keeper = Keeper(
            bus,
            CheckpointStore(bus, ROLE, checkpoint.VERSION, self._shelf),
            self.core.ledger.finished,
            self._take,
            every_s=settings.checkpoint_s,
        )
        self._peers = Peers(bus, settings.timing.keep_ms)
        self._trimmer = Trimmer(bus, self.core, settings.timing.keep_ms)

    def __repr__(self) -> str:
        """Whether it leads, and what it knows."""
        return f"Term({self._settings.name}, {self.core!r}, {self._courier!r}, {self._lookups!r})"

    # The order of things

    async def serve(self) -> None:
        """Follow the logs, then lead until the lease is lost (returns) or another writes ASSIGNMENTS (raises `Fenced`)."""
        await self._clock.look()
        await self._desk.listen()
        begun = time.monotonic()
        await self._beside(self._catch_up())
        took_s = round(time.monotonic() - begun, 3)
        _log.info("following", name=self._settings.name, folded=self.core.positions, took_s=took_s)
        followed = (self._assignments, self._verdicts, self._tasks, self._anchors)
        await self._beside(
            self._lease.acquire(),
            self._keeper.run(),
            self._age(),
            self._peers.watch(),
            *(reader.ended() for reader in followed),
        )
        begun = asyncio.get_running_loop().time()
        await self._beside(self._take_over())
        assert self._writer is not None  # noqa: S101 -- taken over
        took_ms = round((asyncio.get_running_loop().time() - begun) * 1000, 1)
        _log.info(
            "leading",
            name=self._settings.name,
            epoch=self.core.epoch,
            open=len(self.core.ledger.open),
            took_ms=took_ms,
        )
        await self._beside(
            self._lease.lost.wait(),
            self._courier.run(),
            self._keeper.run(),
            self._trim(),
            self._follow_clock(),
            self._writer.ended(),
            self._verdicts.ended(),
            self._tasks.ended(),
            self._anchors.ended(),
            self._gate.run(),
            self._peers.watch(),
        )
        _log.warning("standing by: the lease was lost", name=self._settings.name)

    async def close(self) -> None:
        """End everything that the term began and give the lease up."""
        self.core.leading = False
        await self._desk.close()
        for reader in (self._tasks, self._results, self._verdicts, self._assignments, self._anchors):
            await reader.stop()
        if self._writer is not None:
            await self._writer.stop()
        await self._lookups.close()
        if self._bus.is_connected:
            await self._courier.flush()
        self._shelf.close()
        await self._lease.release()

    async def _beside(self, *work: Coroutine[Any, Any, Any]) -> None:
        """Do `work` until the first of it is done, while time passes; whatever fails first is raised."""
        await first_of(*work, self._tick())

    async def _catch_up(self) -> None:
        positions = self.core.positions
        begin = await self._keeper.begin(positions, self._restore)
        positions.update(begin.positions)
        self.core.ledger.read_to = positions["tasks"]
        self.core.verdicts_from = begin.first["verdicts"]
        # VERDICTS first: then most tasks are known to be closed before anything is kept about them.
        for log, reader in (
            ("verdicts", self._verdicts),
            ("assignments", self._assignments),
            ("anchors", self._anchors),
        ):
            reader.position = positions[log]
            reader.start()
            await reader.reached(await last_sequence(self._bus, log))
        if not begin.restored:
            positions["results"] = max(positions["results"], self.core.judged_to - _HINTS_BEFORE - 1)
        self._results.position = positions["results"]
        self._results.start()
        self._tasks.position = positions["tasks"]
        self._tasks.start()
        await first_of(
            self._tasks.reached(await last_sequence(self._bus, "tasks")),
            self._full.wait(),
        )

    def _restore(self, kept: Checkpoint) -> None:
        checkpoint.restore(self.core, kept.state, kept.runs, self.now_ms())

    async def _take(self) -> Snapshot | None:
        """The state for a checkpoint, once all that was decided is durable; meanwhile nothing is decided."""
        writer = self._writer
        if writer is None or not self.core.leading:
            return None
        self._held = True
        try:
            while not (self.core.is_decided and writer.is_idle):
                self._carry_out(self.core.take_instructions())
                await writer.flushed()
            now_ms = self.now_ms()
            mark(self.core.marks, now_ms, self.core.positions)
            manifest = Manifest(
                fold=ROLE,
                version=checkpoint.VERSION,
                positions=dict(self.core.positions),
                written_ms=now_ms,
                writer=self._settings.name,
                epoch=self.core.epoch,
            )
            return manifest, checkpoint.pack(self.core)
        finally:
            self._held = False
            self._wake()

    async def _trim(self) -> None:
        """After each checkpoint, cut from the logs what nobody needs any more."""
        seen = self._keeper.saved
        while True:
            await asyncio.sleep(self._settings.checkpoint_s / 2)
            if self._keeper.saved is not seen:
                seen = self._keeper.saved
                await self._trimmer.trim(self.now_ms())
                self._wake()

    async def _age(self) -> None:
        """While standing by, let go of what is finished for long: a standby may wait for weeks, and cuts no logs."""
        marks: list[Mark] = []
        while True:
            await asyncio.sleep(self._settings.checkpoint_s)
            now_ms = self.now_ms()
            mark(marks, now_ms, self.core.positions)
            forget(self.core, marks, now_ms, self._settings.timing.keep_ms)

    async def _follow_clock(self) -> None:
        """Deadlines are the clients' and the servers' time: where that is set, they go with it."""
        while True:
            await asyncio.sleep(_LOOK_AT_CLOCK_S)
            try:
                await self._clock.look()
            except BusUnavailable as error:
                _log.debug("the servers tell no time", reason=str(error))
            self.core.ahead_ms = self._clock.ahead_ms

    async def _take_over(self) -> None:
        """Fold what was decided until now, and only then begin to decide."""
        ends = await last_sequences(self._bus, ("verdicts", "assignments"))
        await self._verdicts.reached(ends["verdicts"])
        await self._assignments.reached(ends["assignments"])
        await self._assignments.stop()
        self.core.lead(self._settings.name, self.now_ms())
        self._tally.leads()
        self.core.figures = self._figures
        self._writer = FencedWriter(
            self._bus,
            self._bus.subjects.stream("assignments"),
            self._bus.subjects.assignments,
            last=self._assignments.position,
            on_durable=self._on_durable,
            leadership=Leadership(self._settings.name, self.core.epoch),
        )
        self._writer.start()
        self._wake()
        await self._desk.open()

    # What comes in

    def _on_tasks(self, entry: Entry) -> None:
        self.core.fold_tasks(entry)
        self.load.read(entry.body.count(b"\n") + 1, len(entry.body))
        self._pace()
        self._wake()

    def _on_assignments(self, entry: Entry) -> None:
        self.core.fold_assignments(entry, self.now_ms())

    def _on_results(self, entry: Entry) -> None:
        self.core.fold_results(entry)
        self._wake()

    def _on_verdicts(self, entry: Entry) -> None:
        before = len(self.core.ledger.open)
        self.core.fold_verdicts(entry)
        self.load.ended(before - len(self.core.ledger.open))
        if self._paused:
            self._pace()
        self._wake()

    def _on_durable(self, sequence: int, tokens: list[Token]) -> None:
        self.core.durable(sequence, tokens, self.now_ms())
        if STEPS.on:
            for token in tokens:
                tell(token)
        self._carry_out(self.core.take_instructions())
        if self._paused:
            self._pace()

    def _on_anchors(self, entry: Entry) -> None:
        self.core.fold_anchors(entry)

    async def _purses_known(self) -> None:
        """Fold ANCHORS and VERDICTS up to where they end now: a client that was told of a deposit or a verdict may count on it."""
        ends = await last_sequences(self._bus, ("anchors", "verdicts"))
        await self._anchors.reached(ends["anchors"])
        await self._verdicts.reached(ends["verdicts"])

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._settings.timing.tick_ms / 1000)
            self.core.tick(self.now_ms())
            self._wake()

    # Turns

    def _wake(self) -> None:
        """Have a turn soon; events until then are seen by the same turn."""
        if self.core.leading and not self._turn_is_due:
            self._turn_is_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._turn_is_due = False
        assert self._writer is not None or not self.core.leading  # noqa: S101 -- leading means that there is one
        # What cannot be written is not decided, so that a full log costs no memory; the next tick looks again.
        roomy = self._writer is not None and self._writer.backlog < _BACKLOG_MAX
        if self.core.leading and roomy and not self._held:
            self._carry_out(self.core.decide(self.now_ms()))

    def _carry_out(self, instructions: Instructions) -> None:
        assert self._writer is not None  # noqa: S101 -- only a leader has instructions
        try:
            for line, token in instructions.lines:
                self._writer.append(line, token)
        except BusError as error:
            # The writer has ended, which ends the term: whoever leads next decides anew.
            self.core.leading = False
            _log.debug("decided in vain", reason=str(error))
            return
        for question in instructions.ask:
            self._lookups.ask(question)
        self._courier.send(instructions.publish)
        self._courier.repeat(instructions.again)
        self._desk.enrolled(instructions.enrolled)
        if instructions.more:
            self._wake()

    def _pace(self) -> None:
        """Read no more tasks while too much is open: in the end the full log itself refuses new ones."""
        ledger, most = self.core.ledger, self._settings
        backlog = self._writer.backlog if self._writer is not None else 0
        load = max(
            ledger.held_open / most.open_tasks, ledger.bytes_open / most.open_bytes, backlog / _BACKLOG_MAX
        )
        if load >= 1 and not self._paused:
            self._paused = True
            self._full.set()
            self._tasks.pause()
        elif load < 0.9 and self._paused:  # noqa: PLR2004 -- not to stop and go with each task
            self._paused = False
            self._tasks.resume()
