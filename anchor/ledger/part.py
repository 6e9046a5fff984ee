"""The ledger beside the log of verdicts: the same fold on every anchor, orders and states from the one that leads."""

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol

from anchor.errors import LogDamaged
from anchor.ledger.receipts import make_account_receipt
from anchor.notes import key_of, sign_state
from anchor.part import Part, Write
from anchor.receipt.account import write_account_receipt
from anchor.receipt.published import Published
from bus.errors import BusUnavailable, Malformed, ServiceFailed
from bus.messages import (
    AccountReceiptReply,
    AccountReceiptRequest,
    BalanceReply,
    BalanceRequest,
    EnergyReply,
    EnergyRequest,
    Ordered,
    OrderReply,
)
from bus.reader import Entry
from bus.service import ServiceDesk
from bus.signing import Identity
from bus.wire import encode
from folds.errors import CheckpointUnusable
from ledger import checkpoint
from ledger.book import Ledger, Sealed, energy_name
from ledger.documents import balance_proof, energy_proof
from ledger.errors import OrderRefused, StateUnusable
from ledger.orders import admit

__all__ = ["LedgerPart", "Publications"]

_DURABLE_S = 10.0


class Publications(Protocol):
    """What is published of the ledger's states, by their epochs."""

    def unfinished(self) -> frozenset[int]:
        """Those in a publication that is not final."""

    def finished(self) -> dict[int, int]:
        """Those that are published for good, with the number of their publication."""

    def proof(self, number: int) -> Published | None:
        """The proof of a final publication."""


class LedgerPart(Part):
    """For one term, beside the log called `origin`, whose key `identity` is. `operators` are the keys (hex) whose orders are let in; a state is sealed every `every_s` at most, where anything moved."""

    name = "ledger"

    def __init__(
        self, cluster: str, origin: str, identity: Identity, operators: Collection[str], every_s: float
    ) -> None:
        self.ledger = Ledger()
        self.publications: Publications | None = None
        self._origin = origin
        self._identity = identity
        self._kept: dict[int, Sealed] = {}
        self._offered = 0
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
        self._keep()
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
            self._keep()

        return take

    def offer(self) -> Sealed | None:
        """The newest state that stands in ANCHORS, to be published by its `commitment`: it is kept until that is done, or the next one is offered."""
        newest = self.ledger.newest
        self._offered = newest.state.epoch if newest is not None else 0
        return newest

    def _keep(self) -> None:
        """Keep the newest state, and of older ones those that receipts may still be asked of."""
        newest = self.ledger.newest
        if newest is None or newest.state.epoch in self._kept:
            return
        self._kept[newest.state.epoch] = newest
        final = self._final()
        needed = {newest.state.epoch, self._offered, final.state.epoch if final is not None else 0}
        if self.publications is not None:
            needed |= self.publications.unfinished()
        self._kept = {epoch: sealed for epoch, sealed in self._kept.items() if epoch in needed}

    def _final(self) -> Sealed | None:
        """The newest state that is published for good, of those that are kept."""
        finished = self.publications.finished() if self.publications is not None else {}
        newest = max(finished.keys() & self._kept.keys(), default=None)
        return None if newest is None else self._kept[newest]

    # Leading

    async def open(self, desk: ServiceDesk, write: Write) -> None:
        """Answer what accounts hold, and take orders."""
        await desk.answer("order", Ordered, lambda ordered: self._order(ordered, write))
        await desk.answer("balance", BalanceRequest, self._balance)
        await desk.answer("energy", EnergyRequest, self._energy)
        await desk.answer("account", AccountReceiptRequest, self.receipt)

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

    def receipt(self, asked: AccountReceiptRequest) -> AccountReceiptReply:
        """What there is to prove what is said of an account. Raises `Malformed` for a name that is none, `ServiceFailed` where it does not hold."""
        name, since = self._name(asked), asked.since or self.ledger.moved_at
        final, newest = self._final(), self.ledger.newest
        if final is not None and (asked.published or _reaches(final, since)):
            published = self._proof(final)
            if published is not None:
                receipt = self._made(final, asked.tree, name, published)
                return AccountReceiptReply(
                    state="final", since=since, epoch=final.state.epoch, receipt=receipt
                )
        if newest is None:
            said = f"nothing is sealed yet: the first state comes within {self._every_s:g} s"
            return AccountReceiptReply(state="open", since=since, said=said, more=True)
        publishes, is_whole = self.publications is not None, _reaches(newest, since)
        said = "it is not published on Bitcoin" + ", yet" * publishes
        return AccountReceiptReply(
            state="signed",
            since=since,
            said=said if is_whole else f"{said}, and the next state has more",
            more=publishes or not is_whole,
            epoch=newest.state.epoch,
            receipt=self._made(newest, asked.tree, name, None),
        )

    def _name(self, asked: AccountReceiptRequest) -> str:
        _check_account(asked.account)
        if asked.tree == "accounts":
            return asked.account
        month = asked.month or self.ledger.energy.newest(asked.account)
        if not month:
            raise Malformed(
                "month", f"nothing was ever counted for {asked.account}: say for which month to prove it"
            )
        return energy_name(asked.account, month)

    def _proof(self, final: Sealed) -> Published | None:
        assert self.publications is not None  # noqa: S101 -- it is final
        return self.publications.proof(self.publications.finished()[final.state.epoch])

    def _made(self, sealed: Sealed, tree: str, name: str, published: Published | None) -> bytes:
        key, note = (
            key_of(self._identity, self._origin),
            sign_state(self._identity, self._origin, sealed.line),
        )
        try:
            receipt = make_account_receipt(sealed, tree, name, key=key, note=note, published=published)
        except LogDamaged as error:
            raise ServiceFailed(str(error)) from None
        return write_account_receipt(receipt)

    def _sealed(self) -> Sealed:
        """The newest durable state. Raises `Malformed` where there is none yet."""
        if self.ledger.newest is None:
            raise Malformed(
                "proof", f"nothing is sealed yet: the first state comes within {self._every_s:g} s"
            )
        return self.ledger.newest


def _reaches(sealed: Sealed, since: tuple[int, int]) -> bool:
    """Whether a state is folded that far in both logs."""
    return sealed.state.verdicts >= since[0] and sealed.state.anchors >= since[1]


def _check_account(account: str) -> None:
    """Raises `Malformed` for what is no account's name: a typo must not look like one that holds nothing."""
    kind, _, name = account.partition("/")
    if kind not in ("client", "node") or not name or "/" in name:
        raise Malformed("account", "must be client/<name> or node/<name>")
