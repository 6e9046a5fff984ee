"""What clients may still offer: their deposits, less what was paid and what is held for tasks without a verdict.

Guarantees that whatever is held is covered by a deposit, in any interleaving of the logs: credits (ANCHORS) and what verdicts give back
(VERDICTS) only make a purse fuller, and what empties it is decided by its owner alone, the coordinator that leads. So one
that is behind in those logs refuses too much at worst, and never promises too much.
"""

from collections.abc import Iterable, Iterator

from bus.messages.ledger import Credit, Order

__all__ = ["Purses"]


class _Purse:
    __slots__ = ("credited", "held", "paid")

    def __init__(self, credited: int = 0, paid: int = 0) -> None:
        self.credited = credited
        self.paid = paid
        self.held = 0


class Purses:
    """The purses of all clients, in msat."""

    def __init__(self) -> None:
        self._all: dict[str, _Purse] = {}
        self._orders: set[str] = set()

    def __repr__(self) -> str:
        """How many, and what is held in all."""
        return f"Purses({len(self._all)}, held={sum(each.held for each in self._all.values())})"

    def __iter__(self) -> Iterator[tuple[str, int, int]]:
        """Client, credited and paid of each; what is held follows from the open tasks."""
        return ((client, each.credited, each.paid) for client, each in self._all.items())

    def restore(self, purses: Iterable[tuple[str, int, int]], orders: Iterable[str]) -> None:
        """Undo `__iter__` and `orders`."""
        self._orders = set(orders)
        self._all = {client: _Purse(credited, paid) for client, credited, paid in purses}

    @property
    def orders(self) -> list[str]:
        """The ids of the orders that were taken in."""
        return sorted(self._orders)

    def order(self, order: Order) -> None:
        """Take in an order that stands in ANCHORS: a credit fills a purse, once; what nodes earned is not in one."""
        if order.id not in self._orders:
            self._orders.add(order.id)
            if isinstance(order, Credit):
                self._purse(order.account.removeprefix("client/")).credited += order.amount

    def free(self, client: str) -> int:
        """What the client may still offer; negative where more was decided than it has."""
        purse = self._all.get(client)
        return 0 if purse is None else purse.credited - purse.paid - purse.held

    def held(self, client: str) -> int:
        """What is held for the client's tasks."""
        purse = self._all.get(client)
        return 0 if purse is None else purse.held

    def hold(self, client: str, amount: int) -> None:
        """Set so much aside. That it is free is for whoever decides to see to; what is decided is held in any case."""
        self._purse(client).held += amount

    def release(self, client: str, held: int) -> None:
        """Nothing is set aside for that task any more."""
        self._purse(client).held -= held

    def pay(self, client: str, amount: int) -> None:
        """A verdict took so much."""
        self._purse(client).paid += amount

    def _purse(self, client: str) -> _Purse:
        purse = self._all.get(client)
        if purse is None:
            purse = self._all[client] = _Purse()
        return purse
