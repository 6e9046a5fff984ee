"""Verdict lines for whoever asks: the newest from memory, the others from VERDICTS.

Guarantees that memory is bounded in bytes, and that what is answered is the very line that was written, found by its place.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence

from bus.connection import Bus
from bus.errors import BusUnavailable
from bus.leader import confirmed, stored
from bus.messages import Pending, Verdict
from bus.signing import VERDICTS, open_signed
from bus.wire import MAX_MESSAGE_BYTES, encode, join_lines
from verifier.core import Emission

__all__ = ["Archive"]

_PARALLEL = 8


class Archive:
    """The verdicts by task. `place` says where in VERDICTS (sequence, line) a task's verdict is, None if nowhere."""

    def __init__(self, bus: Bus, place: Callable[[str], tuple[int, int] | None], *, kept_bytes: int) -> None:
        self._bus = bus
        self._place = place
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._limit = kept_bytes

    def __repr__(self) -> str:
        """How much is in memory."""
        return f"Archive(kept={len(self._kept)}, bytes={self._size})"

    def keep(self, emissions: Sequence[Emission]) -> None:
        """Remember the verdicts among these durable lines, forgetting the ones asked for least recently."""
        for line, message, _ in emissions:
            if type(message) is Verdict:
                self._keep(message.task, line)

    def _keep(self, task: str, line: bytes) -> None:
        self._size += len(line) - len(self._kept.pop(task, b""))
        self._kept[task] = line
        while self._size > self._limit:
            _, oldest = self._kept.popitem(last=False)
            self._size -= len(oldest)

    async def answer(self, tasks: Sequence[str]) -> bytes:
        """Lines of `Verdict` or `Pending` in the order of `tasks`.

        A reply is one message: where that is too small for all, it holds the first ones, at least one; ask again for the rest.
        Raises `BusUnavailable` if the log must be read and cannot be.
        """
        found: list[bytes] = []
        size = 0
        for at in range(0, len(tasks), _PARALLEL):
            for line in await asyncio.gather(*map(self._line, tasks[at : at + _PARALLEL])):
                size += len(line) + 1
                if found and size > MAX_MESSAGE_BYTES:
                    return join_lines(found)
                found.append(line)
        return join_lines(found)

    async def _line(self, task: str) -> bytes:
        line = self._kept.get(task)
        if line is not None:
            self._kept.move_to_end(task)
            return line
        place = self._place(task)
        line = await self._read(*place) if place is not None else None
        if line is None:
            return encode(Pending(task))
        self._keep(task, line)
        return line

    async def _read(self, sequence: int, line: int) -> bytes | None:
        """The line that stands there; None where the log was cut beyond it: then the coordinator says what became of the task."""
        stream = self._bus.subjects.stream("verdicts")
        message = await stored(self._bus, stream, sequence=sequence)
        if message is None:
            # A verdict is in its place for good: nobody but a leader that others have replaced does not have it, unless it was cut.
            if (await confirmed(self._bus, stream)).first <= sequence:
                raise BusUnavailable(f"{stream} is changing its leader: ask again")
            return None
        return open_signed(message.data or b"", VERDICTS)[1][line]
