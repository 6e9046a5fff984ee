"""The verifier process: term after term, until it is told to stop.

Several may run; one leads and the others follow the logs, ready to take over. SIGTERM or SIGINT end the process in order: the lease is
given up at once, so that a standby leads within a moment.
"""

import asyncio

import structlog

from bus.connection import Bus
from bus.signing import Identity
from bus.terms import serve_terms, until_told
from verifier.settings import VerifierSettings
from verifier.term import Term

__all__ = ["run"]

_log = structlog.get_logger("verifier")


async def run(settings: VerifierSettings, *, stop: asyncio.Event | None = None) -> None:
    """Serve as a verifier until `stop` is set, or a signal comes where no `stop` is given.

    Waits for ever for a bus that is away. Raises `bus.errors.IdentityUnusable` if the identity on disk cannot be used.
    """
    identity = Identity.load(settings.identity)
    await until_told(_serve(settings, identity), stop)
    _log.info("stopped", name=settings.name)


async def _serve(settings: VerifierSettings, identity: Identity) -> None:
    async with await Bus.connect(
        settings.url, cluster=settings.cluster, name=settings.name, timeout_s=None
    ) as bus:
        await serve_terms(bus, lambda: Term(bus, identity, settings), name=settings.name)
