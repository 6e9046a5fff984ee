"""A node at rest: it drains because its operator said so, and stays.

Guarantees that what still runs is given up once, at the earliest end that was named, however often and in whichever order the word comes
(`ambient node drain` repeats it), and not at all after the rest has ended. Left to others: what a drain does with attempts
(`workers.core`), and the drain of a node that leaves (`workers.node`), which has the same bound.
"""

import asyncio
from collections.abc import Callable

__all__ = ["Rest"]


class Rest:
    """The bound of one rest after the other; `give_up` is called when it is reached. For one event loop."""

    def __init__(self, *, give_up: Callable[[], None], default_s: float) -> None:
        self._give_up = give_up
        self._default_s = default_s
        self._timer: asyncio.Handle | None = None
        self._ends = 0.0

    def begin(self, finish_ms: int | None) -> bool:
        """What runs may finish for so long (None: the node's own limit), or until the end that was named before if that is earlier.

        Whether the rest begins with this.
        """
        loop = asyncio.get_running_loop()
        at = loop.time() + (self._default_s if finish_ms is None else finish_ms / 1000)
        begins = self._timer is None
        if begins or at < self._ends:
            self.end()
            # The time is kept here: uvloop's handle of a bound that is over at once does not know its own.
            self._ends, self._timer = at, loop.call_at(at, self._give_up)
        return begins

    def end(self) -> None:
        """The node takes work again, or leaves under a bound of its own."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
