"""The ledger: a fold over VERDICTS and ANCHORS, and the states that it seals for anchoring.

Guarantees, for every history: each verdict pays once, out of its client's account and into those of the nodes that agreed; what all
accounts hold together is what was credited less what was burned; and the same entries give the same roots however they were cut into
sittings and however the two logs were interleaved, as long as a state is sealed at the same places.

A state is sealed in two steps, because only what is in ANCHORS counts: `seal` says what the line would be, and `sealed`, once it is durable,
makes it the state that proofs are about. A state that was sealed by somebody before is taken note of, and its epoch not given again.

Left to others: that entries are genuine and come in order (`bus`), and which orders are let in (`ledger.orders`).
"""

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple

from bus.messages.ledger import Credit, LedgerState, Order
from bus.reader import Entry
from bus.wire import encode
from ledger import proof
from ledger.accounts import Accounts, client_account, node_account
from ledger.burns import Burns
from ledger.energy import Energy
from ledger.reading import CarriedOut, Paid, read_anchors, read_verdicts
from ledger.tree import Tree

__all__ = ["REMEMBERED", "Ledger", "Moved", "Sealed", "energy_name"]

REMEMBERED = 16_384
"""Entries of TASKS whose paid tasks are remembered, so that a second verdict for one of them pays nothing."""


class Sealed(NamedTuple):
    """A state that is in ANCHORS: its line, what the line says, and the trees that have its roots."""

    line: bytes
    state: LedgerState
    accounts: Tree
    energy: Tree

    @property
    def commitment(self) -> bytes:
        """The 32 bytes to anchor."""
        return proof.commitment(self.line)


class Moved(NamedTuple):
    """Accounts, and months of accounts, whose leaves are not as a state has them."""

    accounts: set[str]
    energy: set[tuple[str, str]]


class Ledger:
    """All accounts and all energy. `verdicts` and `anchors` say how far the logs are folded, `skipped` counts lines that break the contract.

    `newest` is the last state that this fold knows to be durable and can prove things about. `contradictions` counts states that
    somebody sealed at the very same place with other roots: then one of the two folds is wrong.
    """

    def __init__(self) -> None:
        self.verdicts = 0
        self.anchors = 0
        self.ordered = 0
        self.epoch = 0
        self.credited = 0
        self.burned = 0
        self.skipped = 0
        self.contradictions = 0
        self.accounts = Accounts()
        self.energy = Energy()
        self.burns = Burns()
        self.orders: dict[str, bytes] = {}
        self.paid: OrderedDict[int, int] = OrderedDict()
        self.newest: Sealed | None = None
        self._moved_at = 0
        self._proposed: Sealed | None = None
        self._moving: Moved = Moved(set(), set())

    def __repr__(self) -> str:
        """How much is known, and how far."""
        return f"Ledger(accounts={len(self.accounts)}, epoch={self.epoch}, verdicts={self.verdicts})"

    # VERDICTS

    def reopen(self, newest: Sealed | None, moved: Moved) -> None:
        """Go on with a state that was kept, and with what has moved since."""
        self.newest = newest
        self.accounts.changed, self.energy.changed = moved
        self._moved_at = self.verdicts if any(moved) or newest is None else newest.state.verdicts

    def fold_verdicts(self, entry: Entry) -> None:
        """Take in one entry: pay, and count what it took."""
        if entry.sequence <= self.verdicts:
            return
        for verdict in read_verdicts(entry.body):
            if verdict is None:
                self.skipped += 1
            elif self._is_first(verdict.source):
                self._pay(verdict)
                if verdict.agree or verdict.dissent:
                    self.energy.add(client_account(verdict.client), verdict.spent(), entry.at_ms)
        self.verdicts = entry.sequence
        if self.accounts.changed or self.energy.changed:
            self._moved_at = entry.sequence

    def _pay(self, verdict: Paid) -> None:
        share = verdict.share
        if share:
            self.accounts.give(client_account(verdict.client), share * len(verdict.agree))
            for node in verdict.agree:
                self.accounts.receive(node_account(node), share)

    def _is_first(self, source: tuple[int, int]) -> bool:
        """Whether no verdict of late was for the task that stands there in TASKS."""
        sequence, line = source
        if not sequence:
            return True
        seen, bit = self.paid.get(sequence, 0), 1 << line
        if seen & bit:
            self.skipped += 1
            return False
        self.paid[sequence] = seen | bit
        if len(self.paid) > REMEMBERED:
            self.paid.popitem(last=False)
        return True

    # ANCHORS

    def fold_anchors(self, entry: Entry) -> None:
        """Take in one entry: carry out its orders, and note the states that were sealed. Lines of other kinds are passed over."""
        if entry.sequence > self.anchors:
            self.fold_lines(entry.sequence, entry.body)

    def fold_lines(self, sequence: int, lines: bytes) -> None:
        """Take in lines of ANCHORS at `sequence` that were not taken in before."""
        for said in read_anchors(lines):
            if said is None:
                self.skipped += 1
            elif isinstance(said, CarriedOut):
                self._order(*said, sequence)
            else:
                self._state(*said)
        self.anchors = sequence

    def _order(self, order: Order, payload: bytes, sequence: int) -> None:
        if order.id in self.orders:
            self.skipped += 1
            return
        self.orders[order.id] = sha256(payload).digest()
        self.ordered = sequence
        if isinstance(order, Credit):
            self.credited += order.amount
            self.accounts.receive(order.account, order.amount)
        else:
            self.burned += order.amount
            self.accounts.give(order.account, order.amount)
            self.burns.append(payload)

    def _state(self, state: LedgerState, line: bytes) -> None:
        if self._proposed is None and _place(state) == (self.verdicts, self.ordered, self.epoch + 1):
            self.seal()
        self.epoch = max(self.epoch, state.epoch)
        proposed = self._proposed
        if proposed is None or _place(proposed.state) != _place(state):
            return
        if proposed.line != line:
            self.contradictions += 1
            return
        self.newest, self._proposed = proposed, None
        self._moving = Moved(set(), set())

    # States

    @property
    def moved(self) -> Moved:
        """The leaves that are not as the newest state has them."""
        return Moved(self.accounts.changed | self._moving.accounts, self.energy.changed | self._moving.energy)

    @property
    def is_sealing(self) -> bool:
        """Whether a state was proposed that is not durable yet."""
        return self._proposed is not None

    @property
    def is_sealed(self) -> bool:
        """Whether a state is durable, and nothing has moved since."""
        return self.newest is not None and not any(self.moved)

    @property
    def moved_at(self) -> tuple[int, int]:
        """How far, in VERDICTS and in ANCHORS, a state must be folded to have all that is known now."""
        return self._moved_at, self.ordered

    def seal(self) -> Sealed:
        """The state as it is now, as the line of the next epoch; it is `newest` once it was folded from ANCHORS.

        What was sealed before and did not become durable is given up.
        """
        return self.propose(self.draft()())

    def draft(self) -> Callable[[], Sealed]:
        """What computes the state as it is now: it shares nothing with this ledger that changes, so a thread may do it.

        Its result is for `propose`, as long as nothing else was sealed meanwhile.
        """
        moved = self._moving = self.moved
        self.accounts.changed, self.energy.changed = set(), set()
        before = (self.newest.accounts, self.newest.energy) if self.newest else (Tree(), Tree())
        texts = (
            {name: self.accounts.text(name) for name in moved.accounts},
            {energy_name(*key): self.energy.text(*key) for key in moved.energy},
        )
        sums: dict[str, Any] = {
            "epoch": self.epoch + 1,
            "verdicts": self.verdicts,
            "anchors": self.ordered,
            "burns": self.burns.count,
            "burns_root": self.burns.root.hex(),
            "credited": self.credited,
            "burned": self.burned,
        }

        def compute() -> Sealed:
            accounts, energy = (tree.updated(each) for tree, each in zip(before, texts, strict=True))
            state = LedgerState(
                accounts=len(accounts),
                accounts_root=accounts.root.hex(),
                energy=len(energy),
                energy_root=energy.root.hex(),
                **sums,
            )
            return Sealed(encode(state), state, accounts, energy)

        return compute

    def propose(self, sealed: Sealed) -> Sealed:
        """Wait for this one to become durable."""
        self._proposed = sealed
        return sealed


def energy_name(account: str, month: str) -> str:
    """What an account's month is called in the tree of energy."""
    return f"{account} {month}"


def _place(state: LedgerState) -> tuple[int, int, int]:
    """What a state is a state of."""
    return state.verdicts, state.anchors, state.epoch
