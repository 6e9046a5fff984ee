"""Serving in terms: what every service of which one leads at a time does around its terms.

Guarantees that a term is always closed before the next begins, whatever ended it; that losing the log to another writer or the bus for
a while ends a term and never the process; and that a process told to stop gives up what it holds at once, so that a standby leads
within a moment. What a term does is the service's own.
"""

import asyncio
import gc
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from bus.connection import Bus
from bus.errors import BusUnavailable, Fenced, Trimmed
from bus.lease import LEASE_TTL_S, Lease
from bus.messages import ServiceHealth
from bus.streams import ensure_streams, last_sequence
from bus.writer import FencedWriter

__all__ = [
    "Tally",
    "Term",
    "first_of",
    "patient_collector",
    "regained",
    "serve_terms",
    "stop_signals",
    "until_told",
]

_log = structlog.get_logger("bus.terms")
_RETRY_S = 0.5
_HOLD_ON_S = 3 * LEASE_TTL_S
"""How long a term tries to get a lost lease back: longer than a server's restart takes."""
_COLLECT_AFTER = 50_000
"""New objects between two looks for cyclic garbage (CPython: 2,000)."""


class Term(Protocol):
    """One stretch of following the logs and leading. `serve` ends when the term does, by `Fenced` or otherwise."""

    async def serve(self) -> None:
        """Follow, then lead, until somebody else does."""

    async def close(self) -> None:
        """End all that `serve` began and give the lease up."""

    def health(self) -> ServiceHealth:
        """Who this is and how far it has folded each log; without the lag, which only the server knows."""


@dataclass(slots=True)
class Tally:
    """What happened over the terms of a process: the one of now, leaderships begun, and terms that the fence of a log ended."""

    term: Term | None = None
    leaderships: int = 0
    refusals: int = 0

    def leads(self) -> None:
        """The present term begins to lead."""
        self.leaderships += 1


async def serve_terms(
    bus: Bus, new_term: Callable[[], Term], *, name: str, tally: Tally | None = None
) -> None:
    """Term after term, for ever, kept count of in `tally`. Each is new: nothing of the memory of one that ended is used again."""
    tally = tally or Tally()
    while True:
        try:
            await ensure_streams(bus)
            tally.term = new_term()
            await _one(tally.term)
        except Fenced as error:
            tally.refusals += 1
            _log.warning("standing by: another one leads", name=name, reason=str(error))
        except Trimmed as error:
            _log.warning("fell behind: beginning from a checkpoint", name=name, reason=str(error))
        except BusUnavailable as error:
            _log.warning("the bus is not ready: trying again", name=name, reason=str(error))
            await asyncio.sleep(_RETRY_S)


async def _one(term: Term) -> None:
    try:
        await term.serve()
    finally:
        # Shielded from a second cancellation: the lease must be given up even by a process in a hurry.
        await asyncio.shield(term.close())


async def regained(
    bus: Bus, lease: Lease, writer: FencedWriter[Any], log: str, written: Callable[[], int], *, name: str
) -> bool:
    """The lease is lost: take it again if it is free and nobody wrote to `log` since `written`; False where the term is over.

    A restarted server forgets leases, and folding long logs anew for that would keep everyone waiting.
    """
    try:
        async with asyncio.timeout(_HOLD_ON_S):
            await lease.acquire()
            await writer.flushed()
            if await last_sequence(bus, log) == written():
                return True
    except TimeoutError:
        pass
    _log.warning("standing by: the lease was lost", name=name)
    return False


async def until_told(serving: Coroutine[Any, Any, Any], stop: asyncio.Event | None = None) -> None:
    """Serve until `stop` is set, or SIGTERM or SIGINT comes where no `stop` is given; raises what ended the serving."""
    told = stop or stop_signals()
    with patient_collector():
        await first_of(serving, told.wait())


@contextmanager
def patient_collector() -> Iterator[None]:
    """Look for cyclic garbage less often, and as before afterwards.

    What a service folds and what a node runs is much and makes no cycles: the default would walk over it every few hundred messages.
    """
    before = gc.get_threshold()
    gc.set_threshold(_COLLECT_AFTER, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)


async def first_of(*work: Coroutine[Any, Any, Any]) -> None:
    """Do all of `work` until the first of it is done, then drop the rest; raises what that first one raised."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def stop_signals() -> asyncio.Event:
    """Set by the first SIGINT or SIGTERM; a second one ends the process as if nobody listened."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return stop
