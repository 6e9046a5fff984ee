"""`/api/v1/nodes`: register, list, one with its terms and history, drain, undrain, remove."""

import secrets
from collections import Counter
from itertools import islice
from typing import Annotated

from litestar import delete, get, post
from litestar.params import JSONBody, PathParameter, QueryParameter

from bus.join import JoinToken
from bus.messages import (
    Drain,
    DrainReply,
    DrainRequest,
    NodeState,
    NodeView,
    UndrainRequest,
)
from bus.signing import Identity
from bus.subjects import TOKEN_PATTERN
from bus.wire import encode
from gateway.asking import answered
from gateway.errors import Conflict, NotFound
from gateway.joining import command_of, compose_of
from gateway.parts import ApiRequest, Parts, caller_of, need, parts_of
from gateway.resources.nodes import (
    Draining,
    NodeDecision,
    NodeDetail,
    NodePage,
    NodeSummary,
    Registered,
    Registration,
    Telemetry,
    Terms,
)
from gateway.routes.answers import LEAST_0, problems
from gateway.view.book import Record

__all__ = ["drain", "list_nodes", "one", "register", "remove", "undrain", "unknown_node"]

_HISTORY = 50

NodePath = Annotated[str, PathParameter(description="A node's name", pattern=TOKEN_PATTERN)]


@get("/api/v1/nodes", tags=["nodes"], summary="List nodes by name", responses=problems(400, 503))
async def list_nodes(
    request: ApiRequest,
    node_state: Annotated[NodeState | None, QueryParameter(name="state")] = None,
    region: Annotated[str | None, QueryParameter(pattern=TOKEN_PATTERN)] = None,
    node_type: Annotated[str | None, QueryParameter(pattern=TOKEN_PATTERN)] = None,
    search: Annotated[str | None, QueryParameter(max_length=64, description="Part of a node's name")] = None,
    cursor: Annotated[
        str | None, QueryParameter(pattern=TOKEN_PATTERN, description="`next` of the page before")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=10_000)] = 100,
) -> NodePage:
    """As the coordinator sees them, at most a second ago."""
    every = await parts_of(request).asking.all_nodes()
    chosen = [
        node
        for node in every
        if (node_state is None or node.state == node_state)
        and (region is None or node.capabilities.region == region)
        and (node_type is None or node.capabilities.node_type == node_type)
        and (not search or search in node.node)
    ]
    chosen.sort(key=lambda node: node.node)
    after = [node for node in chosen if cursor is None or node.node > cursor]
    page = after[:limit]
    return NodePage(
        nodes=[summary_of(node) for node in page],
        next=page[-1].node if len(after) > limit else "",
        total=len(chosen),
        states=dict(Counter(node.state for node in chosen)),
    )


def summary_of(node: NodeView) -> NodeSummary:
    """As a list shows it."""
    able = node.capabilities
    return NodeSummary(
        node=node.node,
        state=node.state,
        score=node.score,
        terms=_terms(node),
        open=node.open,
        slots=able.slots,
        seen_ms_ago=node.seen_ms_ago,
        region=able.region or "",
        node_type=able.node_type or "",
        safe_mode=node.safe_mode,
        agreed=node.agreed,
        dissented=node.dissented,
        faulted=node.faulted,
    )


def _terms(node: NodeView) -> Terms:
    return Terms(**{name: node.terms.get(name, 0.0) for name in Terms.__struct_fields__})


@get("/api/v1/nodes/{node:str}", tags=["nodes"], summary="One node", responses=problems(400, 404, 503))
async def one(request: ApiRequest, node: NodePath) -> NodeDetail:
    """Its score with the four terms, telemetry, reputation, and the newest decisions about it."""
    parts = parts_of(request)
    view = await _view(parts, node)
    return NodeDetail(
        node=view.node,
        key=view.key,
        state=view.state,
        score=view.score,
        terms=_terms(view),
        open=view.open,
        seen_ms_ago=view.seen_ms_ago,
        reputation=view.reputation,
        agreed=view.agreed,
        dissented=view.dissented,
        faulted=view.faulted,
        capabilities=view.capabilities,
        telemetry=Telemetry(**{name: getattr(view, name) for name in Telemetry.__struct_fields__}),
        history=history_of(parts, node),
        samples=parts.board.samples(node),
    )


async def _view(parts: Parts, node: str) -> NodeView:
    for view in await parts.asking.all_nodes():
        if view.node == node:
            return view
    raise unknown_node(node)


def unknown_node(node: str) -> NotFound:
    """What is told of a name that no node has."""
    return NotFound(f"no node {node!r} has enrolled: the name is case-sensitive, see the list of nodes")


def history_of(parts: Parts, node: str) -> list[NodeDecision]:
    """The newest decisions about a node, among the tasks that are remembered."""
    given = (
        (record, decided)
        for record in parts.view.book.newest()
        for decided in reversed(record.decided)
        if node in decided.nodes
    )
    return [
        _decision(record, node, decided.attempt, decided.at_ms, decided.sequence)
        for record, decided in islice(given, _HISTORY)
    ]


def _decision(record: Record, node: str, attempt: int, at_ms: int, sequence: int) -> NodeDecision:
    claim = next((each for each in record.claimed if each.node == node and each.attempt == attempt), None)
    return NodeDecision(
        task=record.name,
        attempt=attempt,
        at_ms=at_ms,
        sequence=sequence,
        state=record.state,
        claimed=claim.status if claim is not None else "",
        claimed_ms=claim.at_ms if claim is not None else 0,
    )


@post(
    "/api/v1/nodes",
    tags=["nodes"],
    summary="Register a node",
    status_code=201,
    responses=problems(400, 403, 409, 413, 503),
)
async def register(request: ApiRequest, data: JSONBody[Registration]) -> Registered:
    """Make a new node's name and key, and say how to start it. Operators only.

    The name is the node's once it says hello: until then it is free, and afterwards nobody else can have it.
    """
    parts = parts_of(request)
    need(caller_of(request), "operator")
    node = data.id or f"node-{secrets.token_hex(4)}"
    if any(view.node == node for view in await parts.asking.all_nodes()):
        limit = "choose another id: a name belongs to the first key that claims it"
        raise Conflict(f"node {node!r} has enrolled already; {limit}", field="id", limit=limit)
    seed = secrets.token_bytes(32)
    nats = parts.settings.join_url or parts.bus.url
    token = JoinToken(nats=nats, cluster=parts.settings.cluster, node=node, seed=seed).text()
    return Registered(
        id=node,
        key=Identity.from_seed(seed).key,
        join_token=token,
        command=command_of(token, data),
        compose=compose_of(token, node, data),
        nats=nats,
    )


@post(
    "/api/v1/nodes/{node:str}/drain",
    tags=["nodes"],
    summary="Give a node no more work",
    status_code=202,
    responses=problems(400, 403, 404, 503),
)
async def drain(
    request: ApiRequest,
    node: NodePath,
    finish_ms: Annotated[
        int | None,
        QueryParameter(
            ge=0,
            schema_extra=LEAST_0,
            le=86_400_000,
            description="How long guests that run may take to finish",
        ),
    ] = None,
) -> Draining:
    """Ask again until it is `empty`. The node stays, without work, until `undrain` or its next start. Operators only."""
    return await _told(request, node, "drain", DrainRequest(node=node, finish_ms=finish_ms))


@post(
    "/api/v1/nodes/{node:str}/undrain",
    tags=["nodes"],
    summary="Give a node work again",
    status_code=202,
    responses=problems(400, 403, 404, 503),
)
async def undrain(request: ApiRequest, node: NodePath) -> Draining:
    """Operators only."""
    return await _told(request, node, "undrain", UndrainRequest(node))


async def _told(request: ApiRequest, node: str, endpoint: str, question: object) -> Draining:
    parts = parts_of(request)
    need(caller_of(request), "operator")
    await _view(parts, node)
    reply = await parts.asking.ask("coordinator", endpoint, question, DrainReply)
    return _draining(reply)


def _draining(reply: DrainReply) -> Draining:
    return Draining(node=reply.node, state=reply.state, open=reply.open, empty=reply.empty, told=reply.told)


@delete(
    "/api/v1/nodes/{node:str}",
    tags=["nodes"],
    summary="Send a node away",
    status_code=202,
    responses=problems(400, 403, 404, 503),
)
async def remove(request: ApiRequest, node: NodePath) -> Draining:
    """It hands back what it has not begun, finishes what runs, says goodbye and ends. Operators only.

    It stays in the list as `left`; its name stays its key's. One that is dead or has left already needs nothing.
    """
    parts = parts_of(request)
    need(caller_of(request), "operator")
    view = await _view(parts, node)
    if view.state in ("dead", "left"):
        return Draining(node=node, state=view.state, open=view.open, empty=True, told=False)
    reply = await parts.asking.ask("coordinator", "drain", DrainRequest(node=node), DrainReply)
    with answered():
        await parts.bus.publish(parts.bus.subjects.assign(node), encode(Drain(reason="operator", stay=False)))
    return _draining(reply)
