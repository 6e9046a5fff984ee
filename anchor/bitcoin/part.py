"""Publication on Bitcoin as a part of the anchor: every anchor folds it, the one that leads publishes.

Guarantees that a state is published only after it was shown, each a later one than the last, and that a receipt is called final only with its proof.
A chain that cannot be used now costs time, never the leadership: it is opened again and again.
"""

import asyncio
import time
from collections.abc import Callable

import msgspec
import structlog

from anchor.bitcoin import checkpoint
from anchor.bitcoin.decisions import Decisions
from anchor.bitcoin.driver import Driver, Report
from anchor.bitcoin.errors import BitcoinError, InvalidTransition
from anchor.bitcoin.opening import ChainSettings, WorkingChain, open_chain
from anchor.bitcoin.proven import Entry, Proven
from anchor.bitcoin.publications import Publishing, commitments
from anchor.part import Part, Write
from anchor.receipt.bitcoin.spv import SpvProof
from anchor.receipt.commitment import join
from anchor.receipt.errors import ReceiptError
from anchor.receipt.note import Note, read_checkpoint, read_note
from anchor.receipt.published import Published
from bus.connection import Bus
from bus.errors import BusError, Malformed
from bus.leader import stored
from bus.messages import Signed
from bus.messages.publication import Built, Final, Publication, Root
from bus.wire import decode, encode, split_lines

__all__ = ["BitcoinPart"]

_log = structlog.get_logger("anchor.bitcoin")

_AGAIN_S = 5.0
_LINES: msgspec.json.Decoder[Publication | Signed] = msgspec.json.Decoder(Publication | Signed)


class BitcoinPart(Part):
    """For one term, of the log called `origin`; `ledger` gives the ledger's newest state, which goes into the same commitments. `held` says what cannot go on and why, by number; under 0 it is the chain itself."""

    name = "bitcoin"
    publishes = True

    def __init__(
        self, bus: Bus, origin: str, settings: ChainSettings, ledger: Callable[[], Root | None] = lambda: None
    ) -> None:
        self.publishing, self.proven = Publishing(), Proven()
        self.held: dict[int, Exception] = {}
        self._bus, self._origin, self._settings, self._ledger = bus, origin, settings, ledger
        self._shown: Root | None = None
        self._awake = asyncio.Event()
        self._awaited: dict[bytes, asyncio.Future[None]] = {}

    def __repr__(self) -> str:
        """What it knows."""
        return f"BitcoinPart({self.publishing!r}, {self.proven!r})"

    # -- the fold --------------------------------------------------------------------------------------

    def fold_anchors(self, sequence: int, line: bytes) -> None:
        """Take in a line about a checkpoint or a publication; one that cannot follow is passed over, as it changes nothing."""
        try:
            message = decode(line, _LINES)
            if isinstance(message, Signed):
                self.proven.sign(sequence, message)
                return
            self._fold(sequence, message)
        except Malformed:
            return  # of another part
        except InvalidTransition as error:
            _log.error("a record is passed over", sequence=sequence, reason=str(error))
        finally:
            if (awaited := self._awaited.pop(line, None)) is not None and not awaited.done():
                awaited.set_result(None)

    def _fold(self, sequence: int, record: Publication) -> None:
        self.publishing.fold(record)
        known = self.publishing.get(record.number)
        watched = {each.number: root.size for each in self.publishing if (root := self._ours(each.roots))}
        self.proven.fold(sequence, record, self._ours(known.roots) if known else None, watched)

    def _ours(self, roots: tuple[Root, ...]) -> Root | None:
        return next((root for root in roots if root.origin == self._origin), None)

    def pack(self) -> bytes:
        """Publications, and where their proofs are."""
        return checkpoint.pack(self.publishing, self.proven)

    def unpack(self, packed: bytes) -> Callable[[], None]:
        """Read them; they take their place when they are known to be wanted."""
        restored = checkpoint.unpack(packed)

        def take() -> None:
            self.publishing, self.proven = restored

        return take

    def signed(self, note: Note) -> None:
        """A state that may be shown, and so published."""
        state = read_checkpoint(note.text)
        self._shown = Root(origin=state.origin, size=state.size, root=state.root)
        self._awake.set()

    # -- leading ---------------------------------------------------------------------------------------

    async def run(self, write: Write) -> None:
        """Publish, and follow what was published."""
        while True:
            try:
                chain = await open_chain(self._settings)
            except BitcoinError as error:
                self._complain(error)
            else:
                await self._use(chain, write)
            await asyncio.sleep(_AGAIN_S)

    async def _use(self, chain: WorkingChain, write: Write) -> None:
        """Until it fails for a reason that a new beginning may mend."""
        decisions = Decisions(self.publishing, self._settings.policy, chain.name)
        driver = Driver(chain, decisions, lambda record: self._durable(record, write))
        work = asyncio.create_task(chain.work())
        try:
            while not (work.done() and work.exception()):
                await self._round(driver)
                await self._pause()
            self._complain(work.exception() or RuntimeError("the chain stands still"))
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await chain.close()

    async def _round(self, driver: Driver) -> None:
        try:
            report: Report = await driver.round(self._wanted())
        except BitcoinError as error:
            self._complain(error)
        else:
            self.held = report.held

    async def _pause(self) -> None:
        self._awake.clear()
        try:
            async with asyncio.timeout(self._settings.poll_s):
                await self._awake.wait()
        except TimeoutError:
            return

    def _wanted(self) -> tuple[Root, ...]:
        """The newest shown state, where it is time to publish it."""
        before = self._ours(self.publishing.newest)
        if self._shown is None or (before is not None and self._shown.size <= before.size):
            return ()
        more = self._shown.size - (before.size if before else 0)
        waited_s = time.time() - self.publishing.built_ms / 1000
        due = waited_s >= self._settings.interval_s or 0 < self._settings.count <= more
        ledger = self._ledger() if due else None
        return () if not due else (self._shown,) if ledger is None else (self._shown, ledger)

    async def _durable(self, record: Publication, write: Write) -> None:
        line = encode(record)
        folded = self._awaited.setdefault(line, asyncio.get_running_loop().create_future())
        write(line)
        await folded

    def _complain(self, error: BaseException) -> None:
        if str(self.held.get(0, "")) != str(error):
            _log.warning("the chain cannot be used now", reason=str(error))
        self.held[0] = Exception(str(error))

    @property
    def unpublished(self) -> int:
        """Entries of the log that are shown and in no final publication."""
        final = self.proven.entries[-1].size if self.proven.entries else 0
        return max(0, (self._shown.size if self._shown else 0) - final)

    # -- receipts --------------------------------------------------------------------------------------

    async def published(self, leaf: int) -> tuple[Note, Published] | None:
        """The checkpoint and the proof, read out of ANCHORS."""
        entry = self.proven.find(leaf)
        if entry is None:
            return None
        try:
            return await self._read(entry)
        except (BusError, ReceiptError, LookupError, ValueError) as error:
            _log.warning("a proof cannot be read", leaf=leaf, reason=str(error))
            return None

    async def _read(self, entry: Entry) -> tuple[Note, Published]:
        built, final = await self._line(entry.built, Built), await self._line(entry.final, Final)
        signed = await self._line(entry.signed, Signed)
        *_, first = [each for each in built if each.number == entry.number and each.roots]
        proof = [each for each in final if each.number == entry.number][-1]
        note = [each for each in signed if each.size == entry.size][-1]
        _, steps = join(commitments(first.roots))
        at = [root.origin for root in first.roots].index(self._origin)
        return read_note(note.note.encode()), Published(
            proof.network, steps[at], SpvProof.decode(proof.proof)
        )

    async def _line[T: (Built, Final, Signed)](self, sequence: int, kind: type[T]) -> list[T]:
        """The lines of that kind in one entry of ANCHORS."""
        found = await stored(self._bus, self._bus.subjects.stream("anchors"), sequence=sequence)
        lines: list[T] = []
        for line in split_lines((found.data if found else None) or b""):
            try:
                message = decode(line, _LINES)
            except Malformed:
                continue
            if isinstance(message, kind):
                lines.append(message)
        if not lines:
            raise LookupError(f"ANCHORS {sequence} holds no {kind.__name__}")
        return lines
