"""Publication on Bitcoin as a part of the anchor: every anchor folds it, the one that leads publishes.

Guarantees that a state is published only after it was shown, each a later one than the last, and that a receipt is called final only with its proof.
A chain that cannot be used now costs time, never the leadership: it is opened again and again.
"""

import asyncio
import time
from collections.abc import Callable, Iterator

import msgspec
import structlog

from anchor.bitcoin import checkpoint
from anchor.bitcoin.decisions import Decisions
from anchor.bitcoin.driver import Driver, Report
from anchor.bitcoin.errors import BitcoinError, InvalidTransition
from anchor.bitcoin.opening import ChainSettings, WorkingChain, open_chain
from anchor.bitcoin.proofs import Kept, ProofStore
from anchor.bitcoin.publications import LEDGER, Open, Publishing, commitments
from anchor.part import Part, Write
from anchor.receipt.errors import ReceiptError
from anchor.receipt.note import Note, read_checkpoint
from anchor.receipt.published import Published
from bus.errors import Malformed
from bus.messages import Signed
from bus.messages.publication import Built, Final, Publication, Reorged, Root
from bus.wire import decode, encode

__all__ = ["BitcoinPart"]

_log = structlog.get_logger("anchor.bitcoin")

_AGAIN_S = 5.0
_LINES: msgspec.json.Decoder[Publication | Signed] = msgspec.json.Decoder(Publication | Signed)


class BitcoinPart(Part):
    """For one term, of the log called `origin`; its proofs are kept in `store`.

    `ledger` gives the ledger's newest state, which goes into the same commitments, and is told of thereby. `held` says what cannot go on and why,
    by number; under 0 it is the chain itself.
    """

    name = "bitcoin"
    publishes = True

    def __init__(
        self,
        origin: str,
        settings: ChainSettings,
        store: ProofStore,
        ledger: Callable[[], Root | None] = lambda: None,
    ) -> None:
        self.publishing = Publishing()
        self.notes: dict[int, str] = {}
        """Checkpoints by size that may still be published, or are and not yet for good."""
        self.held: dict[int, Exception] = {}
        self._origin, self._settings, self._store, self._ledger = origin, settings, store, ledger
        self._shown: Root | None = None
        self._awake = asyncio.Event()
        self._awaited: dict[bytes, asyncio.Future[None]] = {}

    def __repr__(self) -> str:
        """What it knows."""
        return f"BitcoinPart({self.publishing!r}, {self._store!r})"

    # -- the fold --------------------------------------------------------------------------------------

    def fold_anchors(self, sequence: int, line: bytes) -> None:
        """Take in a line about a checkpoint or a publication; one that cannot follow is passed over, as it changes nothing."""
        try:
            message = decode(line, _LINES)
            if isinstance(message, Signed):
                self.notes[message.size] = message.note
                return
            self._fold(message)
        except Malformed:
            return  # of another part
        except InvalidTransition as error:
            _log.error("a record is passed over", sequence=sequence, reason=str(error))
        finally:
            if (awaited := self._awaited.pop(line, None)) is not None and not awaited.done():
                awaited.set_result(None)

    def _fold(self, record: Publication) -> None:
        before = self.publishing.next_number
        self.publishing.fold(record)
        known = self.publishing.get(record.number)
        if isinstance(record, Built) and record.number == before:
            self._begun(record)
        elif isinstance(record, Final) and known is not None:
            self._final(record, known)
        elif isinstance(record, Reorged) and (kept := self._store.get(record.number)) is not None:
            if (ours := self._ours(kept.roots)) is not None:
                self.notes[ours.size] = kept.note
            self._store.drop(record.number)

    def _begun(self, record: Built) -> None:
        ours = self._ours(record.roots)
        size = ours.size if ours is not None else 0
        self._store.announce(record.number, size)
        # No state older than this one is published any more.
        open_ = {root.size for each in self._unfinished() if (root := self._ours(each.roots))}
        self.notes = {each: note for each, note in self.notes.items() if each >= size or each in open_}

    def _final(self, record: Final, known: Open) -> None:
        ours = self._ours(known.roots)
        note = self.notes.get(ours.size) if ours is not None else ""
        if note is None:
            _log.error(
                "the checkpoint of a publication is not known: later ones stand for it", number=record.number
            )
            return
        kept = Kept(
            roots=known.roots,
            commitments=tuple(commitments(known.roots)),
            note=note,
            network=record.network,
            proof=record.proof,
        )
        # It was announced with its first transaction, but perhaps to another anchor.
        self._store.announce(record.number, ours.size if ours is not None else 0)
        self._store.keep(record.number, kept)

    def _unfinished(self) -> Iterator[Open]:
        return (each for each in self.publishing if each.status != "final")

    def _ours(self, roots: tuple[Root, ...]) -> Root | None:
        return next((root for root in roots if root.origin == self._origin), None)

    def pack(self) -> bytes:
        """Publications, and the checkpoints that they may be of."""
        return checkpoint.pack(self.publishing, self.notes)

    def unpack(self, packed: bytes) -> Callable[[], None]:
        """Read them; they take their place when they are known to be wanted."""
        restored = checkpoint.unpack(packed)

        def take() -> None:
            self.publishing, self.notes = restored

        return take

    def sync(self) -> None:
        """Proofs."""
        self._store.sync()

    def close(self) -> None:
        """The store."""
        self._store.close()

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
        """The newest states, where one of them is not published and it is time to do that."""
        roots = tuple(root for root in (self._shown, self._ledger()) if root is not None)
        more = {root.origin: root.size - self._published_size(root.origin) for root in roots}
        if not any(each > 0 for each in more.values()):
            return ()
        waited_s = time.time() - self.publishing.built_ms / 1000
        due = waited_s >= self._settings.interval_s or 0 < self._settings.count <= more.get(self._origin, 0)
        return roots if due else ()

    def _published_size(self, origin: str) -> int:
        """How far the newest publication went, final or not."""
        return next((root.size for root in self.publishing.newest if root.origin == origin), 0)

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
        return max(0, (self._shown.size if self._shown else 0) - self._store.final_size)

    # -- receipts --------------------------------------------------------------------------------------

    async def published(self, leaf: int) -> tuple[Note, Published] | None:
        """The checkpoint and the proof, as they are kept."""
        return self._store.find(leaf, self._origin)

    def unfinished(self) -> frozenset[int]:
        """The ledger's states (epochs) that are in a publication which is not final."""
        return frozenset(
            root.size for each in self._unfinished() for root in each.roots if root.origin == LEDGER
        )

    def finished(self) -> dict[int, int]:
        """The ledger's states that were published for good of late, with the numbers of their publications."""
        return {
            root.size: each.number
            for each in self.publishing
            if each.status == "final"
            for root in each.roots
            if root.origin == LEDGER
        }

    def proof(self, number: int) -> Published | None:
        """How the ledger's state came into the block of that publication; None where the proof is not here."""
        kept = self._store.get(number)
        try:
            return None if kept is None else kept.published(LEDGER)
        except (ReceiptError, ValueError) as error:
            _log.warning("a proof cannot be read", number=number, reason=str(error))
            return None
