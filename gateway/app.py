"""The application: routes, the document that describes them, and the edge around it all."""

from functools import partial
from typing import Any

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, License, SecurityScheme, Tag

from gateway.asking import Fresh
from gateway.dashboard.handlers import handlers as dashboard_handlers
from gateway.description import StructSchemas, document_of
from gateway.edge import App, Edge
from gateway.parts import Parts
from gateway.problems import handlers
from gateway.rates import Buckets
from gateway.routes import (
    accounts,
    anchor,
    board,
    cluster,
    events,
    health,
    ledger,
    listing,
    modules,
    nodes,
    papers,
    proofs,
    receipts,
    session,
    tasks,
    telemetry,
)
from gateway.streaming import PULSE_HISTORY_S, Pulse
from gateway.tokens import Tokens
from gateway.version import VERSION

__all__ = ["describe", "make_app", "make_framework"]

_TAGS = {
    "health": "Whether the gateway and the cluster work; without a token.",
    "tasks": "Submitted, listed, explained, cancelled.",
    "nodes": "The machines: registered, listed, drained, sent away.",
    "modules": "WebAssembly that tasks run.",
    "receipts": "Receipts and proofs, and their check.",
    "cluster": "The cluster at a glance.",
    "ledger": "Balances, orders and energy, with proofs.",
    "anchor": "Signed states of the log of verdicts, and their publication.",
    "events": "What happens, as it happens.",
    "session": "The token itself, and pictures of texts.",
}
_HANDLERS: tuple[Any, ...] = (
    health.live,
    health.ready,
    tasks.submit,
    listing.list_tasks,
    tasks.one,
    tasks.output,
    tasks.why,
    tasks.cancel,
    nodes.register,
    nodes.list_nodes,
    nodes.one,
    telemetry.telemetry,
    nodes.drain,
    nodes.undrain,
    nodes.remove,
    cluster.stats,
    board.board,
    events.events,
    session.session,
    session.qr,
    modules.upload,
    modules.list_modules,
    modules.report,
    receipts.receipt,
    receipts.verify,
    proofs.verify_proof,
    ledger.summary,
    ledger.balance,
    ledger.balance_proof,
    accounts.balance_receipt,
    ledger.nodes_energy,
    ledger.energy,
    ledger.energy_proof,
    accounts.energy_receipt,
    anchor.view,
    anchor.checkpoint,
    papers.schema,
    papers.page,
    papers.asset,
)


def describe() -> dict[str, Any]:
    """The OpenAPI document. It is made of routes that are never served: the framework would serve pages of its own beside, with scripts from elsewhere."""
    return document_of(
        Litestar(_HANDLERS, openapi_config=_description(), plugins=[StructSchemas()], logging_config=None)
    )


def make_framework(parts: Parts, *, body_bytes: int, origins: tuple[str, ...] = ()) -> Litestar:
    """The routes."""
    pulse = Pulse(parts, Fresh(partial(cluster.stats_of, parts, PULSE_HISTORY_S)))
    return Litestar(
        (*_HANDLERS, *dashboard_handlers()),
        state=State({"parts": parts, "pulse": pulse, "describe": describe}),
        openapi_config=None,
        exception_handlers=handlers,
        request_max_body_size=body_bytes,
        cors_config=CORSConfig(
            allow_origins=list(origins),
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"],
        )
        if origins
        else None,
        logging_config=None,
        debug=False,
    )


def make_app(parts: Parts, tokens: Tokens) -> App:
    """The whole application."""
    settings = parts.settings
    return Edge(
        make_framework(parts, body_bytes=settings.body_bytes, origins=settings.origins),
        tokens=tokens,
        buckets=Buckets(settings.per_s, settings.burst),
        tally=parts.tally,
        body_bytes=settings.body_bytes,
        quick={
            ("POST", "/api/v1/tasks"): partial(tasks.quick_submit, parts),
            ("GET", "/api/v1/tasks/*"): partial(tasks.quick_one, parts),
        },
    )


def _description() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Ambient VCP",
        version=VERSION,
        description="Run WebAssembly on machines that are not yours, and get results that are verified. "
        "Errors are RFC 9457 problem details.",
        license=License(name="MIT", identifier="MIT"),
        path="/openapi",  # never served, but not one of ours
        components=Components(
            security_schemes={
                "token": SecurityScheme(
                    type="http", scheme="bearer", description="`ambient token create` makes one."
                )
            }
        ),
        security=[{"token": []}],
        tags=[Tag(name=name, description=says) for name, says in _TAGS.items()],
        use_handler_docstrings=True,
    )
