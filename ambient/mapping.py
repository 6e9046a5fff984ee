"""One module over many inputs: bounded in flight, results as they come or in order.

Guarantees that at most `in_flight` tasks are submitted and not yet handed to the caller, so memory is bounded however many
inputs there are; that each input's result is handed over once; and that a full log slows the map down instead of failing it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress

from ambient.courier import Courier
from ambient.errors import AmbientError, LogFull, checked
from ambient.outstanding import Entry, Sink
from ambient.room import Patience
from ambient.submission import Argument, InputLike
from ambient.verdict import TaskVerdict
from bus.messages import Verdict

__all__ = ["DEFAULT_IN_FLIGHT", "YIELD_EVERY", "Items", "MapItem", "Mapping", "results"]

DEFAULT_IN_FLIGHT = 1024
"""Enough to fill the batches of every log on the way."""

MapItem = InputLike | tuple[Argument, ...] | list[Argument]
"""One input of a map: bytes or text for standard input, or a tuple (or list) of arguments."""

Items = Iterable[MapItem] | AsyncIterable[MapItem]

YIELD_EVERY = 128
"""Submissions between two looks at the event loop: as many as fit into one message."""

Make = Callable[[Sink, int, MapItem], Entry | Awaitable[Entry]]
"""Makes the entry of one input; a coroutine where the input must be uploaded first."""

_Outcome = tuple[int, TaskVerdict | AmbientError]


class Mapping:
    """One running map. Feeds from a task of its own; results wait in `_ready` until the caller takes them."""

    def __init__(self, courier: Courier, items: Items, make: Make, in_flight: int) -> None:
        self._courier = courier
        self._items = items
        self._make = make
        self._in_flight = in_flight
        self._taken = 0
        self._fed = 0
        self._exhausted = False
        self._ready: deque[_Outcome] = deque()
        self._open: dict[int, Entry] = {}
        self._unstored: deque[Entry] = deque()
        self._refusal: LogFull | None = None
        self._probe: Entry | None = None
        self._patience = Patience()
        self._change = asyncio.Event()
        self._room = asyncio.Event()
        self._failure: BaseException | None = None

    def __repr__(self) -> str:
        """How far it is."""
        return (
            f"Mapping(fed={self._fed}, open={len(self._open)}, ready={len(self._ready)}, taken={self._taken})"
        )

    async def chunks(self) -> AsyncGenerator[list[_Outcome], None]:
        """Results as they come, as many at a time as there are. Ends what is in flight when it is closed early."""
        feeder = asyncio.create_task(self._feed(), name="map")
        try:
            while True:
                while not self._ready:
                    if self._failure is not None:
                        raise self._failure
                    if self._exhausted and not self._open and not self._unstored:
                        return
                    self._change.clear()
                    await self._change.wait()
                chunk = list(self._ready)
                self._ready.clear()
                yield chunk
        finally:
            feeder.cancel()
            await asyncio.gather(feeder, return_exceptions=True)
            self._abandon()

    def took(self, count: int = 1) -> None:
        """The caller has taken so many results: there is room for as many more."""
        self._taken += count
        self._room.set()

    def _abandon(self) -> None:
        """Nobody wants the rest: cancel it, without waiting."""
        rest, self._open = self._open, {}
        self._unstored.clear()
        for entry in rest.values():
            self._courier.forget(entry)
            with suppress(AmbientError):  # a client that closed cannot cancel, and need not
                self._courier.cancel(entry.name.partition(".")[2])

    async def _feed(self) -> None:
        try:
            async for item in _asynchronous(self._items):
                while self._fed - self._taken >= self._in_flight or self._unstored:
                    await self._make_room()
                await self._courier.accepting()
                made = self._make(self, self._fed, item)
                entry = made if isinstance(made, Entry) else await made
                self._fed += 1
                self._open[entry.index] = entry
                self._courier.submit(entry)
                if self._fed % YIELD_EVERY == 0:
                    await asyncio.sleep(0)
            self._exhausted = True
            while self._open or self._unstored:
                await self._make_room()
        except Exception as error:  # noqa: BLE001 -- the caller gets it: its iterable, an input or an upload failed
            error.add_note(f"at input {self._fed} of the map")
            self._failure = error
        finally:
            self._change.set()

    async def _make_room(self) -> None:
        """Wait until something has changed; after a pause, submit again what was refused: one, and once there is room for it the rest."""
        if self._unstored and self._refusal is not None:
            await self._patience.wait(self._refusal)
            self._refusal = None
            self._probe = self._unstored.popleft()
            self._again(self._probe)
        elif self._unstored and self._probe is None:
            while self._unstored:
                self._again(self._unstored.popleft())
        else:
            self._room.clear()
            await self._room.wait()

    def _again(self, entry: Entry) -> None:
        self._open[entry.index] = entry
        self._courier.again(entry)

    def stored(self, entry: Entry) -> None:
        """See `Sink`."""
        self._probed(entry)

    def _probed(self, entry: Entry) -> None:
        if entry is self._probe:
            self._probe = None
            self._patience.stored()
            self._room.set()

    def not_stored(self, entry: Entry, error: AmbientError) -> None:
        """See `Sink`: a full log is waited for, anything else ends the map."""
        self._open.pop(entry.index, None)
        if not isinstance(error, LogFull):
            self._failure = error
            self._change.set()
            return
        # Those that were refused together are told one after the other, and are one reason to wait.
        if entry is self._probe or (self._probe is None and not self._unstored):
            self._probe, self._refusal = None, error
        self._unstored.append(entry)
        self._room.set()

    def settled(self, entry: Entry, verdict: Verdict, output: bytes | None) -> None:
        """See `Sink`."""
        self._end(entry, TaskVerdict(verdict, output))

    def broken(self, entry: Entry, error: AmbientError) -> None:
        """See `Sink`."""
        self._end(entry, error)

    def _end(self, entry: Entry, outcome: TaskVerdict | AmbientError) -> None:
        if self._open.pop(entry.index, None) is None:
            return
        self._probed(entry)
        self._ready.append((entry.index, outcome))
        self._change.set()
        if self._exhausted and not self._open:
            self._room.set()


async def results(
    mapping: Mapping, *, ordered: bool, check: bool
) -> AsyncGenerator[list[tuple[int, TaskVerdict]], None]:
    """The chunks of a map as the caller asked for them: in order or not, raising for failures or not."""
    order = _Order() if ordered else None
    chunks = mapping.chunks()
    try:
        async for chunk in chunks:
            good: list[tuple[int, TaskVerdict]] = []
            for index, outcome in order.sort(chunk) if order else chunk:
                failed = isinstance(outcome, AmbientError) or (check and not outcome.verified)
                if failed and good:
                    yield good
                    good = []
                good.append((index, _good(index, outcome, check=check)))
            if good:
                yield good
    finally:
        await chunks.aclose()


class _Order:
    """Holds back what came before its turn."""

    def __init__(self) -> None:
        self._held: dict[int, TaskVerdict | AmbientError] = {}
        self._next = 0

    def sort(self, chunk: list[_Outcome]) -> list[_Outcome]:
        """All that is in turn now."""
        self._held.update(chunk)
        first = self._next
        while self._next in self._held:
            self._next += 1
        return [(index, self._held.pop(index)) for index in range(first, self._next)]


def _good(index: int, outcome: TaskVerdict | AmbientError, *, check: bool) -> TaskVerdict:
    try:
        if isinstance(outcome, AmbientError):
            raise outcome
        return checked(outcome) if check else outcome
    except AmbientError as error:
        error.add_note(f"at input {index} of the map")
        raise


async def _asynchronous(items: Items) -> AsyncIterator[MapItem]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
