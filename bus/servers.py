"""Which of several servers a connection uses, and when it should leave the one it has. Pure: no I/O, no clock.

Guarantees that the next server is never the one just left, unless there is no other; that servers which failed are tried after those
which did not, after a pause of each client's own; and that a server which sees most of its cluster no more is known as cut off. Such
a server takes connections like any other, but can store nothing, and whoever stays with it waits until it is back.
"""

import random
from collections.abc import Sequence

__all__ = ["Choice"]

_MANY = 3
"""Of two servers neither can tell whether it is the one that is cut off."""
_PAUSE_S = (0.1, 0.5)


class Choice:
    """One connection's servers: `told` of them by address or by the server itself."""

    def __init__(self, addresses: int) -> None:
        self._most = addresses
        self._seen = addresses
        self.is_told = False
        """Whether the servers tell of each other at all; operators may have forbidden it."""
        self.leaving = ""

    def __repr__(self) -> str:
        """How many servers there are, and how many of them the present one sees."""
        return f"Choice(seen={self._seen} of {self._most}, leaving={self.leaving!r})"

    @property
    def are_many(self) -> bool:
        """Whether there is another server to go to."""
        return self._most > 1

    @property
    def is_cut_off(self) -> bool:
        """Whether the present server sees less than a majority of the servers that there are."""
        return self._most >= _MANY and 2 * self._seen <= self._most

    def told(self, servers: int) -> None:
        """The present server says how many of its cluster's servers it sees, itself included."""
        self.is_told = True
        self._seen = servers
        self._most = max(self._most, servers)

    def next(self, servers: Sequence[tuple[str, int]]) -> tuple[str, float]:
        """Which of `servers`, as (address, failed attempts in a row), to try now, and the pause before it in seconds."""
        others = [server for server in servers if server[0] != self.leaving] or list(servers)
        fewest = min(failures for _, failures in others)
        address = random.choice([address for address, failures in others if failures == fewest])  # noqa: S311 -- to spread the load
        # Each client waits its own time, so that a restarted server is not met by all at once.
        pause_s = random.uniform(*_PAUSE_S) if fewest else 0.0  # noqa: S311 -- jitter
        return address, pause_s
