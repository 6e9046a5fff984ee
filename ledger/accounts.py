"""Accounts: how much each received and gave, in msat. Both only grow, so that no order of folding makes a difference.

A client's account, `client/<name>`, receives what is deposited and gives what its tasks pay. A node's, `node/<name>`, receives what it
earns and gives what is burned to be paid out elsewhere. What an account holds is the difference.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from bus.wire import encode

__all__ = ["Accounts", "Totals", "client_account", "node_account"]


class Totals(NamedTuple):
    """What one account received and gave."""

    received: int
    given: int

    @property
    def balance(self) -> int:
        """What it holds; negative where more was paid in its name than it had."""
        return self.received - self.given


def client_account(client: str) -> str:
    """The account of a client."""
    return f"client/{client}"


def node_account(node: str) -> str:
    """The account of a node."""
    return f"node/{node}"


class _Account:
    __slots__ = ("given", "received")

    def __init__(self, received: int = 0, given: int = 0) -> None:
        self.received = received
        self.given = given


class Accounts:
    """All accounts by name. `changed` are those that moved since somebody emptied it."""

    def __init__(self) -> None:
        self.changed: set[str] = set()
        self._all: dict[str, _Account] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[tuple[str, int, int]]:
        """Name, received and given of each."""
        return ((name, each.received, each.given) for name, each in self._all.items())

    def restore(self, accounts: Iterable[tuple[str, int, int]]) -> None:
        """Undo `__iter__`."""
        self._all = {name: _Account(received, given) for name, received, given in accounts}

    def receive(self, name: str, amount: int) -> None:
        """More comes in."""
        self._account(name).received += amount

    def give(self, name: str, amount: int) -> None:
        """More goes out; that it is covered is for whoever promised it to see to."""
        self._account(name).given += amount

    def totals(self, name: str) -> Totals:
        """What an account received and gave; nothing where there is none of that name."""
        account = self._all.get(name)
        return Totals(0, 0) if account is None else Totals(account.received, account.given)

    def text(self, name: str) -> bytes:
        """The exact bytes of an account's leaf."""
        received, given = self.totals(name)
        return encode({"account": name, "received": received, "given": given})

    def _account(self, name: str) -> _Account:
        self.changed.add(name)
        account = self._all.get(name)
        if account is None:
            account = self._all[name] = _Account()
        return account
