"""The coordinator process: term after term, until it is told to stop.

Several may run; one leads and the others follow the logs, ready to take over. SIGTERM or SIGINT end the process in order: the lease is
given up at once, so that a standby leads within a moment.
"""

import asyncio

import structlog

from bus.connection import Bus
from bus.subjects import token
from bus.terms import Tally, serve_terms, until_told
from coordinator.figures import Figures
from coordinator.metrics import decisions
from coordinator.settings import Settings
from coordinator.strategies import strategy_named
from coordinator.term import ROLE, Term
from metrics.leadership import leadership
from metrics.logs import logs
from metrics.page import exposed
from metrics.process import process
from metrics.servers import servers

__all__ = ["run"]

_log = structlog.get_logger("coordinator")


async def run(settings: Settings, bus: Bus | None = None, stop: asyncio.Event | None = None) -> None:
    """Serve as a coordinator until `stop` is set, or a signal comes where no `stop` is given.

    Waits for ever for a bus that is away; `bus` is a connection to use instead of an own one. Raises
    `coordinator.errors.UnknownStrategy` for a strategy that does not exist, `Malformed` for a name that is no token, and
    `metrics.errors.AddressTaken` where the metrics cannot be served.
    """
    strategy_named(settings.strategy)
    token("name", settings.name)  # it travels in a header of every record
    await until_told(_serve(settings, bus), stop)
    _log.info("stopped", name=settings.name)


async def _serve(settings: Settings, bus: Bus | None) -> None:
    if bus is not None:
        await _terms(settings, bus)
        return
    async with await Bus.connect(
        settings.url, cluster=settings.cluster, name=settings.name, timeout_s=None
    ) as own:
        await _terms(settings, own)


async def _terms(settings: Settings, bus: Bus) -> None:
    tally, figures = Tally(), Figures()
    async with exposed(
        settings.metrics_port,
        process(ROLE, settings.data),
        leadership(bus, ROLE, tally),
        logs(bus),
        decisions(tally, figures),
        servers(settings.monitors),
        host=settings.metrics_host,
        cluster=settings.cluster,
    ):
        await serve_terms(bus, lambda: Term(bus, settings, tally, figures), name=settings.name, tally=tally)
