"""The state of all publications as a fold over the records of ANCHORS. Pure.

Guarantees that a record which cannot follow the ones before it is refused (`InvalidTransition`) and changes nothing, so a fold never holds a
publication twice, or one that lost its way. States and what leads on:

    (none) --built--> built --broadcast--> broadcast --mined--> mined --final--> final
                        |         |            ^                  |               |
                        +--stranded            +----- reorged ----+---------------+

Further transactions of a number (`built` again) replace each other: all spend the same coin, and whichever is mined counts. Where the coin itself
is lost (`stranded`), the next one spends another; the old ones are still watched, as a deep enough reorg could bring them back.
What is `FORGET` blocks deep is forgotten here; the log still has it.

What may be spent is counted by the worst that can happen: see `exposure_sat`.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from anchor.bitcoin.errors import InvalidTransition
from anchor.receipt.bitcoin.encoding import display, from_display
from anchor.receipt.bitcoin.spv import committed_by
from anchor.receipt.bitcoin.transaction import Outpoint, Transaction, parse_transaction
from anchor.receipt.commitment import commitment, join
from anchor.receipt.errors import ReceiptError
from bus.messages.publication import Broadcast, Built, Final, Mined, Publication, Reorged, Root, Stranded

__all__ = [
    "DAY_MS",
    "FORGET",
    "LEDGER",
    "Attempt",
    "Open",
    "Place",
    "Publishing",
    "Status",
    "Tip",
    "commitments",
    "committed",
    "parse_outpoint",
]

type Status = Literal["built", "broadcast", "mined", "final", "stranded"]

FORGET = 1000
"""Blocks on a publication before it is no longer watched."""
DAY_MS = 86_400_000
LEDGER = "ledger"
"""The origin of the ledger's states: they come with a commitment of their own."""


class Tip(NamedTuple):
    """A block of the chain by height and hash (hashing order); the last one, unless said otherwise."""

    height: int
    block: bytes


class Place(NamedTuple):
    """Where a transaction was mined."""

    txid: bytes
    height: int
    block: bytes


@dataclass(frozen=True, slots=True)
class Attempt:
    """One transaction of a publication; `generation` counts the coins that were used up for it."""

    tx: Transaction
    txid: bytes
    fee_sat: int
    height: int
    generation: int

    @property
    def rate(self) -> float:
        """Satoshis for each virtual byte."""
        return self.fee_sat / self.tx.vsize


@dataclass(slots=True)
class Open:
    """What is known of one number."""

    number: int
    chain: str
    roots: tuple[Root, ...]
    committed: bytes
    spends: Outpoint
    since: Tip
    built_ms: int
    attempts: list[Attempt] = field(default_factory=list)
    status: Status = "built"
    place: Place | None = None
    generation: int = 0

    @property
    def newest(self) -> Attempt:
        """The transaction that was built last."""
        return self.attempts[-1]

    @property
    def current(self) -> list[Attempt]:
        """The transactions that spend the present coin."""
        return [attempt for attempt in self.attempts if attempt.generation == self.generation]

    @property
    def is_open(self) -> bool:
        """Whether it is not in a block."""
        return self.place is None

    @property
    def exposure_sat(self) -> int:
        """The most that this publication can cost: of transactions that exclude each other the dearest, over all coins used."""
        dearest: dict[int, int] = {}
        for attempt in self.attempts:
            dearest[attempt.generation] = max(dearest.get(attempt.generation, 0), attempt.fee_sat)
        return sum(dearest.values())


def commitments(roots: Sequence[Root]) -> list[bytes]:
    """What stands for each state, in their order; raises `InvalidTransition` for such as cannot be committed to."""
    try:
        return [
            root.root if root.origin == LEDGER else commitment(root.origin, root.size, root.root)
            for root in roots
        ]
    except ValueError as error:
        raise InvalidTransition(f"roots: {error}") from None


def committed(roots: Sequence[Root]) -> bytes:
    """The 32 bytes that a transaction publishes for these states; raises `InvalidTransition` as `commitments` does, and for none."""
    if not roots:
        raise InvalidTransition("roots: the first record of a publication names one at least")
    return join(commitments(roots))[0]


def parse_outpoint(text: str) -> Outpoint:
    """The output that `txid:number` names; raises `anchor.receipt.errors.Malformed`."""
    txid, _, vout = text.partition(":")
    return Outpoint(from_display(txid, "spends"), int(vout))


class Publishing:
    """All publications that may still change, by number.

    `newest` are the states that the newest one commits to, `built_ms` when it was begun, `paid_sat` what those cost that became final.
    """

    def __init__(self) -> None:
        self._open: dict[int, Open] = {}
        self.spent: deque[tuple[int, int]] = deque()
        self.next_number = 1
        self.newest: tuple[Root, ...] = ()
        self.built_ms = 0
        self.paid_sat = 0

    def __repr__(self) -> str:
        """Each number with its status."""
        said = ", ".join(f"{each.number} {each.status}" for each in self)
        return f"Publishing({said or 'nothing'}, next {self.next_number})"

    def __iter__(self) -> Iterator[Open]:
        """By number, oldest first."""
        return iter(list(self._open.values()))

    def __getitem__(self, number: int) -> Open:
        """The publication of that number; raises `InvalidTransition` where there is none."""
        try:
            return self._open[number]
        except KeyError:
            raise InvalidTransition(f"publication {number} was never built, or is long final") from None

    def get(self, number: int) -> Open | None:
        """The publication of that number, if it may still change."""
        return self._open.get(number)

    def put(self, publication: Open) -> None:
        """One out of a checkpoint."""
        self._open[publication.number] = publication

    def spent_since(self, moment_ms: int) -> int:
        """By how many satoshis what may be paid has grown since then."""
        return sum(sat for at_ms, sat in self.spent if at_ms > moment_ms)

    def fold(self, record: Publication) -> None:
        """Take in the next record; raises `InvalidTransition`, and then nothing has changed."""
        match record:
            case Built():
                self._build(record)
            case Broadcast():
                self._broadcast(record)
            case Mined():
                self._mine(record)
            case Reorged():
                self._reorg(record)
            case Final():
                self._finish(record)
            case Stranded():
                self._strand(record)

    def _build(self, record: Built) -> None:
        known = self._open.get(record.number)
        if known is None:
            if record.number != self.next_number:
                raise InvalidTransition(f"number {record.number} is built where {self.next_number} is next")
            known = self._first(record)
        attempt, spends = self._attempt(known, record)
        before = known.exposure_sat
        if spends != known.spends:
            known.generation, known.spends, known.chain = known.generation + 1, spends, record.chain
        if known.status == "stranded":
            known.status = "built"
        known.attempts.append(attempt)
        self.spent.append((record.at_ms, known.exposure_sat - before))
        while self.spent[0][0] <= record.at_ms - 2 * DAY_MS:
            self.spent.popleft()
        self._open[record.number] = known
        if record.number == self.next_number:
            self.next_number, self.newest, self.built_ms = record.number + 1, known.roots, record.at_ms

    def _first(self, record: Built) -> Open:
        return Open(
            number=record.number,
            chain=record.chain,
            roots=record.roots,
            committed=committed(record.roots),
            spends=parse_outpoint(record.spends),
            since=Tip(record.height, from_display(record.block, "block")),
            built_ms=record.at_ms,
        )

    def _attempt(self, known: Open, record: Built) -> tuple[Attempt, Outpoint]:
        try:
            tx, spends = parse_transaction(record.tx), parse_outpoint(record.spends)
            published = committed_by(tx)
        except ReceiptError as error:
            raise InvalidTransition(f"publication {record.number}: {error}") from None
        if display(tx.txid) != record.txid or spends not in {entry.spends for entry in tx.inputs}:
            raise InvalidTransition(f"publication {record.number}: the transaction is not the one described")
        if published != known.committed:
            raise InvalidTransition(f"publication {record.number}: the transaction publishes something else")
        if known.attempts and known.place is not None:
            raise InvalidTransition(f"publication {record.number} is {known.status}, and built again")
        moved = known.status == "stranded"
        if known.attempts and not moved and (spends, record.chain) != (known.spends, known.chain):
            raise InvalidTransition(
                f"publication {record.number}: its coin is not lost, and another is spent"
            )
        if any(attempt.txid == tx.txid for attempt in known.attempts):
            raise InvalidTransition(f"publication {record.number}: {record.txid} is built twice")
        generation = known.generation + (spends != known.spends)
        return Attempt(tx, tx.txid, record.fee_sat, record.height, generation), spends

    def _broadcast(self, record: Broadcast) -> None:
        known = self[record.number]
        self._own(known, record.txid)
        if known.status not in ("built", "broadcast"):
            raise InvalidTransition(f"publication {record.number} is {known.status}, and broadcast again")
        known.status = "broadcast"

    def _mine(self, record: Mined) -> None:
        known = self[record.number]
        txid = self._own(known, record.txid)
        if known.place is not None:
            raise InvalidTransition(f"publication {record.number} is {known.status}, and mined again")
        known.status, known.place = "mined", Place(txid, record.height, from_display(record.block, "block"))

    def _reorg(self, record: Reorged) -> None:
        known = self._placed(record)
        known.status, known.place = "broadcast", None

    def _finish(self, record: Final) -> None:
        known = self._placed(record)
        if known.status != "mined":
            raise InvalidTransition(f"publication {record.number} is {known.status}, and final again")
        known.status = "final"
        txid = known.place.txid if known.place else b""
        self.paid_sat += sum(attempt.fee_sat for attempt in known.attempts if attempt.txid == txid)
        self._forget(record.height)

    def _strand(self, record: Stranded) -> None:
        known = self[record.number]
        elsewhere = record.reason == "chain" and known.status == "mined"
        if known.status not in ("built", "broadcast") and not elsewhere:
            raise InvalidTransition(f"publication {record.number} is {known.status}, and stranded")
        known.status, known.place = "stranded", None

    def _forget(self, height: int) -> None:
        """Drop what is final and `FORGET` blocks deep."""
        for each in self:
            if each.status == "final" and each.place and each.place.height + FORGET <= height:
                del self._open[each.number]

    def _own(self, known: Open, text: str) -> bytes:
        for attempt in known.attempts:
            if display(attempt.txid) == text:
                return attempt.txid
        raise InvalidTransition(f"publication {known.number} has no transaction {text}")

    def _placed(self, record: Reorged | Final) -> Open:
        known = self[record.number]
        place = Place(self._own(known, record.txid), record.height, from_display(record.block, "block"))
        if known.place != place:
            raise InvalidTransition(f"publication {record.number} is not in block {record.block}")
        return known
