"""The verifier process: term after term, until it is told to stop.

Several may run; one leads and the others follow the logs, ready to take over. SIGTERM or SIGINT end the process in order: the lease is
given up at once, so that a standby leads within a moment.
"""

import asyncio

import structlog

from bus.connection import Bus
from bus.signing import Identity
from bus.terms import Tally, serve_terms, until_told
from metrics.leadership import leadership
from metrics.page import exposed
from metrics.process import process
from verifier.figures import Figures
from verifier.metrics import verdicts
from verifier.settings import VerifierSettings
from verifier.term import SERVICE, Term

__all__ = ["run"]

_log = structlog.get_logger("verifier")


async def run(settings: VerifierSettings, *, stop: asyncio.Event | None = None) -> None:
    """Serve as a verifier until `stop` is set, or a signal comes where no `stop` is given.

    Waits for ever for a bus that is away. Raises `bus.errors.IdentityUnusable` if the identity on disk cannot be used, and
    `metrics.errors.AddressTaken` where the metrics cannot be served.
    """
    identity = Identity.load(settings.identity)
    await until_told(_serve(settings, identity), stop)
    _log.info("stopped", name=settings.name)


async def _serve(settings: VerifierSettings, identity: Identity) -> None:
    async with await Bus.connect(
        settings.url, cluster=settings.cluster, name=settings.name, timeout_s=None
    ) as bus:
        tally, figures = Tally(), Figures()
        async with exposed(
            settings.metrics_port,
            process(SERVICE, settings.data),
            leadership(bus, SERVICE, tally),
            verdicts(tally, figures),
            host=settings.metrics_host,
        ):
            await serve_terms(
                bus, lambda: Term(bus, identity, settings, tally, figures), name=settings.name, tally=tally
            )
