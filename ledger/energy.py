"""Energy: what each node's counted results took in a month, and the same for each client, with the method by which it is known.

Guarantees that the nodes' figures and the clients' add up to the same in each month: every joule that a verdict names is in one of each. A month is UTC's, by the server's time of the entry in VERDICTS, which every reader finds the same. Microjoules are whole
numbers: a node's joules times a million, rounded half to even.

How far a figure can be believed is how far its method and the policy of its tasks carry; this only adds up.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from bus.wire import encode

__all__ = ["METHODS_MAX", "OTHER", "Energy", "Figures", "Spent", "method_name", "microjoules", "month_of"]

METHODS_MAX = 8
"""Methods that are told apart in one leaf: their names are the nodes' own, and must not fill the memory."""
OTHER = "other"
"""What further methods are added up under."""
_METHOD_LENGTH = 64


class Spent(NamedTuple):
    """What one counted result took; `fuel` is 0 where the result was not the accepted one."""

    node: str
    uj: int
    method: str
    fuel: int


class Figures:
    """One account's month: how many results, the fuel of those that agreed, and microjoules by method."""

    __slots__ = ("fuel", "results", "uj")

    def __init__(self, results: int = 0, fuel: int = 0, uj: dict[str, int] | None = None) -> None:
        self.results = results
        self.fuel = fuel
        self.uj = uj if uj is not None else {}

    def add(self, spent: Spent) -> None:
        """One more result."""
        self.results += 1
        self.fuel += spent.fuel
        method = spent.method
        if method not in self.uj and len(self.uj) >= METHODS_MAX:
            method = OTHER
        self.uj[method] = self.uj.get(method, 0) + spent.uj


class Energy:
    """All figures, by account and month. `changed` are those that moved since somebody emptied it."""

    def __init__(self) -> None:
        self.changed: set[tuple[str, str]] = set()
        self._all: dict[tuple[str, str], Figures] = {}
        self._month = ""
        self._begins_ms = self._ends_ms = 0

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[tuple[str, str, int, int, dict[str, int]]]:
        """Account, month, results, fuel and microjoules by method, of each."""
        return ((*key, each.results, each.fuel, each.uj) for key, each in self._all.items())

    def restore(self, figures: Iterable[tuple[str, str, int, int, dict[str, int]]]) -> None:
        """Undo `__iter__`."""
        self._all = {
            (account, month): Figures(results, fuel, uj) for account, month, results, fuel, uj in figures
        }

    def add(self, client: str, results: Sequence[Spent], at_ms: int) -> None:
        """Count what one verdict took; accounts are whole names (`client/<name>`, `node/<name>`)."""
        month = self._month_at(at_ms)
        of_client = self._figures(client, month)
        for spent in results:
            of_client.add(spent)
            self._figures(spent.node, month).add(spent)

    def figures(self, account: str, month: str) -> Figures:
        """An account's month; nothing where there is none."""
        return self._all.get((account, month)) or Figures()

    def newest(self, account: str) -> str:
        """The last month in which the account was heard of; empty where there is none."""
        return max((month for name, month in self._all if name == account), default="")

    def text(self, account: str, month: str) -> bytes:
        """The exact bytes of a month's leaf."""
        each = self.figures(account, month)
        uj = dict(sorted(each.uj.items()))
        return encode(
            {"account": account, "month": month, "results": each.results, "fuel": each.fuel, "energy_uj": uj}
        )

    def _figures(self, account: str, month: str) -> Figures:
        key = (account, month)
        self.changed.add(key)
        figures = self._all.get(key)
        if figures is None:
            figures = self._all[key] = Figures()
        return figures

    def _month_at(self, at_ms: int) -> str:
        if not self._begins_ms <= at_ms < self._ends_ms:
            self._month, self._begins_ms, self._ends_ms = month_of(at_ms)
        return self._month


def month_of(at_ms: int) -> tuple[str, int, int]:
    """The month (`2026-07`) of a time in ms since 1970, and when it begins and ends."""
    first = dt.datetime.fromtimestamp(at_ms // 1000, dt.UTC).replace(day=1, hour=0, minute=0, second=0)
    following = (first + dt.timedelta(days=32)).replace(day=1)
    return f"{first:%Y-%m}", int(first.timestamp()) * 1000, int(following.timestamp()) * 1000


def microjoules(joules: float) -> int:
    """Whole microjoules."""
    return round(joules * 1e6)


def method_name(said: str) -> str:
    """A method as a node calls it, in bounds: what it does not say is `unknown`."""
    return said[:_METHOD_LENGTH] or "unknown"
