"""The coordinator process: term after term, until it is told to stop.

Several may run; one leads and the others follow the logs, ready to take over. SIGTERM or SIGINT end the process in order: the lease is
given up at once, so that a standby leads within a moment.
"""

import asyncio
import contextlib
import gc
import signal
from collections.abc import Iterator

import structlog

from bus.connection import Bus
from bus.errors import BusUnavailable, Fenced
from bus.streams import ensure_streams
from coordinator.settings import Settings
from coordinator.strategies import strategy_named
from coordinator.term import Term

__all__ = ["run"]

_log = structlog.get_logger("coordinator")
_RETRY_S = 0.5
_GC_THRESHOLD = 50_000
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def run(settings: Settings, bus: Bus | None = None, stop: asyncio.Event | None = None) -> None:
    """Serve as a coordinator until `stop` is set, or a signal comes where no `stop` is given.

    Waits for ever for a bus that is away; `bus` is a connection to use instead of an own one. Raises
    `coordinator.errors.UnknownStrategy` for a strategy that does not exist.
    """
    strategy_named(settings.strategy)
    # Open tasks are many, live long and make no cycles: the default would walk over them every few hundred messages.
    gc.set_threshold(_GC_THRESHOLD, 50)
    with contextlib.nullcontext(stop) if stop is not None else _signals() as until:
        serving = asyncio.create_task(_serve(settings, bus), name="coordinator")
        stopping = asyncio.create_task(until.wait())
        try:
            await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
        finally:
            serving.cancel()
            stopping.cancel()
            await asyncio.gather(serving, stopping, return_exceptions=True)
    _log.info("stopped", name=settings.name)


@contextlib.contextmanager
def _signals() -> Iterator[asyncio.Event]:
    """An event that SIGTERM and SIGINT set."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in _SIGNALS:
        loop.add_signal_handler(number, asked.set)
    try:
        yield asked
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


async def _serve(settings: Settings, bus: Bus | None) -> None:
    if bus is not None:
        await _terms(bus, settings)
        return
    async with await Bus.connect(
        settings.url, cluster=settings.cluster, name=settings.name, timeout_s=None
    ) as own:
        await _terms(own, settings)


async def _terms(bus: Bus, settings: Settings) -> None:
    while True:
        try:
            await ensure_streams(bus)
            await _one_term(bus, settings)
        except Fenced as error:
            _log.warning("standing by: another coordinator leads", reason=str(error))
        except BusUnavailable as error:
            _log.warning("the bus is not ready: trying again", reason=str(error))
            await asyncio.sleep(_RETRY_S)


async def _one_term(bus: Bus, settings: Settings) -> None:
    term = Term(bus, settings)
    try:
        await term.serve()
    finally:
        # Shielded from a second cancellation: the lease must be given up even by a process in a hurry.
        await asyncio.shield(term.close())
