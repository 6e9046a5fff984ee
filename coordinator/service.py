"""The coordinator process: term after term, until it is told to stop.

Several may run; one leads and the others follow the logs, ready to take over. SIGTERM or SIGINT end the process in order: the lease is
given up at once, so that a standby leads within a moment.
"""

import asyncio

import structlog

from bus.connection import Bus
from bus.terms import serve_terms, until_told
from coordinator.settings import Settings
from coordinator.strategies import strategy_named
from coordinator.term import Term

__all__ = ["run"]

_log = structlog.get_logger("coordinator")


async def run(settings: Settings, bus: Bus | None = None, stop: asyncio.Event | None = None) -> None:
    """Serve as a coordinator until `stop` is set, or a signal comes where no `stop` is given.

    Waits for ever for a bus that is away; `bus` is a connection to use instead of an own one. Raises
    `coordinator.errors.UnknownStrategy` for a strategy that does not exist.
    """
    strategy_named(settings.strategy)
    await until_told(_serve(settings, bus), stop)
    _log.info("stopped", name=settings.name)


async def _serve(settings: Settings, bus: Bus | None) -> None:
    if bus is not None:
        await serve_terms(bus, lambda: Term(bus, settings), name=settings.name)
        return
    async with await Bus.connect(
        settings.url, cluster=settings.cluster, name=settings.name, timeout_s=None
    ) as own:
        await serve_terms(own, lambda: Term(own, settings), name=settings.name)
