"""The ledger beside the log of verdicts: the same fold on every anchor, orders and states from the one that leads."""

import asyncio
from collections.abc import Callable, Collection

from anchor.part import Part, Write
from bus.errors import BusUnavailable, Malformed
from bus.messages import (
    BalanceReply,
    BalanceRequest,
    EnergyReply,
    EnergyRequest,
    Ordered,
    OrderReply,
)
from bus.reader import Entry
from bus.service import ServiceDesk
from bus.wire import encode
from folds.errors import CheckpointUnusable
from ledger import checkpoint
from ledger.book import Ledger, Sealed
from ledger.documents import balance_proof, energy_proof
from ledger.errors import OrderRefused, StateUnusable
from ledger.orders import admit

__all__ = ["LedgerPart"]

_DURABLE_S = 10.0


class LedgerPart(Part):
    """For one term. `operators` are the keys (hex) whose orders are let in; a state is sealed every `every_s` at most, where anything moved."""

    name = "ledger"

    def __init__(self, cluster: str, operators: Collection[str], every_s: float) -> None:
        self.ledger = Ledger()
        self._cluster = cluster
        self._operators = frozenset(operators)
        self._every_s = every_s
        self._moved = asyncio.Event()

    def __repr__(self) -> str:
        """What it knows."""
        return f"LedgerPart({self.ledger!r})"

    # The fold

    def fold_verdicts(self, entry: Entry) -> None:
        """Pay, and count energy."""
        self.ledger.fold_verdicts(entry)

    def fold_anchors(self, sequence: int, line: bytes) -> None:
        """Carry out orders, and note sealed states."""
        self.ledger.fold_lines(sequence, line)
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def pack(self) -> bytes:
        """The ledger."""
        return checkpoint.pack(self.ledger)

    def unpack(self, packed: bytes) -> Callable[[], None]:
        """Read it; it takes the place of the empty one when it is known to be wanted."""
        try:
            restored = checkpoint.restore(packed)
        except StateUnusable as error:
            raise CheckpointUnusable(str(error)) from None

        def take() -> None:
            self.ledger = restored

        return take

    @property
    def sealed(self) -> Sealed | None:
        """The newest state that stands in ANCHORS: whoever publishes commits to its `commitment`."""
        return self.ledger.newest

    # Leading

    async def open(self, desk: ServiceDesk, write: Write) -> None:
        """Answer what accounts hold, and take orders."""
        await desk.answer("order", Ordered, lambda ordered: self._order(ordered, write))
        await desk.answer("balance", BalanceRequest, self._balance)
        await desk.answer("energy", EnergyRequest, self._energy)

    async def run(self, write: Write) -> None:
        """Seal a state whenever something has moved, one after the other."""
        while True:
            if not self.ledger.is_sealed and not self.ledger.is_sealing:
                # Beside the loop: of ten thousand accounts that moved it takes a fifth of a second.
                sealed = await asyncio.to_thread(self.ledger.draft())
                write(self.ledger.propose(sealed).line)
            await asyncio.sleep(self._every_s)

    async def _order(self, ordered: Ordered, write: Write) -> OrderReply:
        """Write an order, if it may be; the answer comes when it is durable. Raises `BusUnavailable` where that takes too long."""
        try:
            order_id = admit(ordered, self.ledger, operators=self._operators, cluster=self._cluster)
        except OrderRefused as error:
            return OrderReply(ok=False, field=error.field, limit=error.limit)
        if order_id not in self.ledger.orders:
            write(encode(ordered))
        try:
            async with asyncio.timeout(_DURABLE_S):
                while order_id not in self.ledger.orders:
                    await self._moved.wait()
        except TimeoutError:
            raise BusUnavailable(
                "ANCHORS did not take the order in time: send it again, it counts once"
            ) from None
        return OrderReply(ok=True)

    def _balance(self, asked: BalanceRequest) -> BalanceReply:
        _check_account(asked.account)
        received, given = self.ledger.accounts.totals(asked.account)
        newest = self.ledger.newest
        return BalanceReply(
            account=asked.account,
            received=received,
            given=given,
            verdicts=self.ledger.verdicts,
            epoch=newest.state.epoch if newest is not None else 0,
            proof=balance_proof(self._sealed(), asked.account).decode() if asked.proof else "",
        )

    def _energy(self, asked: EnergyRequest) -> EnergyReply:
        _check_account(asked.account)
        month = asked.month or self.ledger.energy.newest(asked.account)
        if asked.proof and not month:
            raise Malformed(
                "month", f"nothing was ever counted for {asked.account}: say for which month to prove it"
            )
        figures = self.ledger.energy.figures(asked.account, month)
        newest = self.ledger.newest
        return EnergyReply(
            account=asked.account,
            month=month,
            results=figures.results,
            fuel=figures.fuel,
            energy_uj=dict(sorted(figures.uj.items())),
            epoch=newest.state.epoch if newest is not None else 0,
            proof=energy_proof(self._sealed(), asked.account, month).decode() if asked.proof else "",
        )

    def _sealed(self) -> Sealed:
        """The newest durable state. Raises `Malformed` where there is none yet."""
        if self.ledger.newest is None:
            raise Malformed(
                "proof", f"nothing is sealed yet: the first state comes within {self._every_s:g} s"
            )
        return self.ledger.newest


def _check_account(account: str) -> None:
    """Raises `Malformed` for what is no account's name: a typo must not look like one that holds nothing."""
    kind, _, name = account.partition("/")
    if kind not in ("client", "node") or not name or "/" in name:
        raise Malformed("account", "must be client/<name> or node/<name>")
