"""The parts of VERDICTS and ANCHORS that the ledger reads: who is paid what, what each counted result took, what was ordered and sealed.

Nothing in an entry raises: a line of another kind is passed over, and for one that breaks the contract there is a None to count.
That an entry is genuine is for its log's fence and its reader to see to. Outputs stay undecoded.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from bus.errors import Malformed, UnknownKind
from bus.messages import VerdictStatus
from bus.messages.ledger import LedgerLine, LedgerState, Order, Ordered
from bus.wire import MAX_LINES, decode, decoder, split_lines
from ledger.energy import Spent, method_name, microjoules
from ledger.payment import share_of

__all__ = ["CarriedOut", "Paid", "StateSealed", "read_anchors", "read_verdicts"]

_ENVELOPE = b'{"payloadType"'

_U63 = 2**63 - 1
_Place = tuple[Annotated[int, Meta(ge=0, le=_U63)], Annotated[int, Meta(ge=0, le=MAX_LINES - 1)]]
_Joules = Annotated[float, Meta(ge=0, le=1e15)]


class Paid(msgspec.Struct, tag="verdict", tag_field="kind", frozen=True):
    """One verdict, as far as the ledger is concerned."""

    task: str
    status: VerdictStatus
    agree: tuple[str, ...] = ()
    dissent: tuple[str, ...] = ()
    fuel: Annotated[int, Meta(ge=0, le=_U63)] = 0
    reward: Annotated[int, Meta(ge=0, le=_U63)] = 0
    price: Annotated[int, Meta(ge=0, le=_U63)] = 0
    energy_j: _Joules = 0.0
    energy_method: str = ""
    energy_each: tuple[tuple[_Joules, str], ...] = ()
    source: _Place = (0, 0)

    @property
    def client(self) -> str:
        """Whose task it was."""
        return self.task.partition(".")[0]

    @property
    def share(self) -> int:
        """What each agreeing node gets, in msat."""
        return share_of(self.reward, self.price, self.fuel, self.status, self.agree)

    def spent(self) -> list[Spent]:
        """What each counted result took, those that agreed first."""
        counted = (*self.agree, *self.dissent)
        if len(counted) == 1:
            took: Sequence[tuple[int, str]] = ((microjoules(self.energy_j), self.energy_method),)
        elif len(self.energy_each) == len(counted):
            took = [(microjoules(joules), method) for joules, method in self.energy_each]
        else:
            took = self._evenly(len(counted))
        agreeing = len(self.agree)
        return [
            Spent(f"node/{node}", uj, method_name(method), self.fuel if at < agreeing else 0)
            for at, (node, (uj, method)) in enumerate(zip(counted, took, strict=True))
        ]

    def _evenly(self, count: int) -> list[tuple[int, str]]:
        """Of a verdict that tells the sum alone: equal parts, and what cannot be divided to the first."""
        if not count:
            return []
        part, rest = divmod(microjoules(self.energy_j), count)
        return [(part + rest * (not at), self.energy_method) for at in range(count)]


_PAID = decoder(Paid)
_LINE: msgspec.json.Decoder[LedgerLine] = msgspec.json.Decoder(LedgerLine)
_ORDER: msgspec.json.Decoder[Order] = msgspec.json.Decoder(Order)


def read_verdicts(body: bytes) -> Iterator[Paid | None]:
    """The verdicts of an entry of VERDICTS, in order."""
    for line in _lines(body):
        if line is None:
            yield None
        elif not line.startswith(_ENVELOPE):
            try:
                yield decode(line, _PAID)
            except UnknownKind:
                continue
            except Malformed:
                yield None


class CarriedOut(NamedTuple):
    """An order that stands in ANCHORS, and its exact bytes."""

    order: Order
    payload: bytes


class StateSealed(NamedTuple):
    """A state that stands in ANCHORS, and its exact line."""

    state: LedgerState
    line: bytes


def read_anchors(body: bytes) -> Iterator[CarriedOut | StateSealed | None]:
    """The orders and states of an entry of ANCHORS, in order."""
    for line in _lines(body):
        if line is None:
            yield None
        elif not line.startswith(_ENVELOPE):
            try:
                said = decode(line, _LINE)
                if isinstance(said, Ordered):
                    yield CarriedOut(decode(said.payload, _ORDER), said.payload)
                else:
                    yield StateSealed(said, line)
            except UnknownKind:
                continue  # another part's line, or a newer peer's
            except Malformed:
                yield None


def _lines(body: bytes) -> Iterator[bytes | None]:
    try:
        yield from split_lines(body)
    except Malformed:
        yield None
