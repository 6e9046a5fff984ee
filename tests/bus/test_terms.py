"""Serving in terms: what ends a term, and what never ends the process."""

import asyncio
import gc
import os
import signal

import pytest

from bus.connection import Bus
from bus.errors import BusUnavailable, Fenced
from bus.terms import first_of, serve_terms, stop_signals, until_told


class Scripted:
    """A term that ends as it is told to and notes what happened."""

    def __init__(self, notes: list[str], ending: BaseException | None) -> None:
        self._notes = notes
        self._ending = ending

    async def serve(self) -> None:
        """End as told."""
        self._notes.append("serve")
        if self._ending is not None:
            raise self._ending
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Note it."""
        self._notes.append("close")


async def test_a_term_is_closed_before_the_next_whatever_ended_it(bus: Bus) -> None:
    """Fenced, then a bus that is away, then told to stop: three terms, each closed, the process never ended."""
    notes: list[str] = []
    endings: list[BaseException | None] = [Fenced("log", 1), BusUnavailable("away"), None]
    stop = asyncio.Event()
    serving = asyncio.create_task(
        until_told(serve_terms(bus, lambda: Scripted(notes, endings.pop(0)), name="t"), stop)
    )
    async with asyncio.timeout(60):
        while len(notes) < 5:
            await asyncio.sleep(0.01)
        stop.set()
        await serving

    assert notes == ["serve", "close"] * 3


async def test_an_error_of_our_own_ends_the_process(bus: Bus) -> None:
    """What is neither a fence nor the bus is a fault of ours: the term is closed and the error comes out."""
    notes: list[str] = []

    with pytest.raises(ZeroDivisionError):
        await until_told(
            serve_terms(bus, lambda: Scripted(notes, ZeroDivisionError()), name="t"), asyncio.Event()
        )

    assert notes == ["serve", "close"]


async def test_the_collector_is_as_it_was_afterwards() -> None:
    """A service in somebody else's process leaves its settings alone once it has ended."""
    before = gc.get_threshold()
    stop = asyncio.Event()
    stop.set()
    await until_told(asyncio.Event().wait(), stop)

    assert gc.get_threshold() == before


async def test_the_first_to_end_ends_the_others() -> None:
    """Whoever is not first is cancelled before `first_of` returns."""
    cancelled = asyncio.Event()

    async def patient() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    await first_of(asyncio.sleep(0), patient())

    assert cancelled.is_set()


async def test_a_signal_sets_the_event_once() -> None:
    """The first SIGTERM is heard; afterwards the default is back, so that a second one would end the process."""
    stop = stop_signals()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(stop.wait(), 60)
    asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)

    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
