"""The anchor process: term after term, until it is told to stop.

Several may run; one leads and the others follow the logs into folders of their own, ready to take over. SIGTERM or SIGINT end the process in
order: the lease is given up at once, so that a standby leads within a moment.
"""

import asyncio

import structlog

from anchor.bitcoin.metrics import publication
from anchor.bitcoin.part import BitcoinPart
from anchor.bitcoin.proofs import ProofStore
from anchor.bitcoin.publications import LEDGER
from anchor.ledger.part import LedgerPart
from anchor.metrics import keeping
from anchor.part import Part
from anchor.settings import AnchorSettings
from anchor.term import SERVICE, Term
from bus.connection import Bus
from bus.messages import Root
from bus.signing import Identity
from bus.terms import Tally, serve_terms, until_told
from metrics.leadership import leadership
from metrics.page import exposed
from metrics.process import process

__all__ = ["run"]

_log = structlog.get_logger("anchor")


async def run(settings: AnchorSettings, *, stop: asyncio.Event | None = None) -> None:
    """Serve as an anchor until `stop` is set, or a signal comes where no `stop` is given.

    Waits for ever for a bus that is away. Raises `bus.errors.IdentityUnusable` if the key on disk cannot be used, `anchor.errors.AnchorError` where
    this anchor must not sign, and `metrics.errors.AddressTaken` where the metrics cannot be served.
    """
    identity = Identity.load(settings.identity)
    await until_told(_serve(settings, identity), stop)
    _log.info("stopped", name=settings.name)


async def _serve(settings: AnchorSettings, identity: Identity) -> None:
    async with await Bus.connect(
        settings.url, cluster=settings.cluster, name=settings.name, timeout_s=None
    ) as bus:
        tally = Tally()
        async with exposed(
            settings.metrics_port,
            process(SERVICE, settings.data),
            leadership(bus, SERVICE, tally),
            keeping(tally),
            publication(tally),
            host=settings.metrics_host,
        ):
            await serve_terms(
                bus,
                lambda: Term(bus, identity, settings, tally, _parts(identity, settings)),
                name=settings.name,
                tally=tally,
            )


def _parts(identity: Identity, settings: AnchorSettings) -> tuple[Part, ...]:
    """What this anchor keeps beside the log, new for each term."""
    origin = settings.origin_for(identity.key)
    ledger = LedgerPart(settings.cluster, origin, identity, settings.operators, settings.ledger_every_s)
    if settings.bitcoin is None:
        return (ledger,)
    store = ProofStore(settings.data / "published")
    bitcoin = BitcoinPart(origin, settings.bitcoin, store, lambda: _state_of(ledger))
    ledger.publications = bitcoin
    return ledger, bitcoin


def _state_of(ledger: LedgerPart) -> Root | None:
    """The ledger's newest state, as it is published beside the log's."""
    sealed = ledger.offer()
    return None if sealed is None else Root(origin=LEDGER, size=sealed.state.epoch, root=sealed.commitment)
