"""`/api/v1/ledger` and `/api/v1/energy`: what accounts hold, what their work took, and the proofs of both."""

import time
from collections import defaultdict
from typing import Annotated, Literal

from litestar import Response, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import PathParameter, QueryParameter

from bus.messages import BalanceReply, BalanceRequest, EnergyReply, EnergyRequest, PurseReply, PurseRequest
from bus.subjects import TOKEN_PATTERN
from gateway.errors import NotFound, Refused
from gateway.parts import ApiRequest, parts_of
from gateway.resources.ledger import Balance, Energy, LedgerSummary, NodeEnergy, ProofDocument
from gateway.routes.answers import problems

__all__ = [
    "AccountKind",
    "AccountName",
    "Month",
    "balance",
    "balance_proof",
    "energy",
    "energy_proof",
    "nodes_energy",
    "summary",
]

_DOCUMENT = {
    200: ResponseSpec(ProofDocument, description="The proof, byte for byte", generate_examples=False)
}
AccountKind = Annotated[Literal["client", "node"], PathParameter(description="`client` or `node`")]
AccountName = Annotated[str, PathParameter(pattern=TOKEN_PATTERN)]
Month = Annotated[
    str | None,
    QueryParameter(pattern="^[0-9]{4}-[0-9]{2}$", description="`2026-07`, UTC; the newest one if not given"),
]


@get(
    "/api/v1/ledger",
    tags=["ledger"],
    summary="The newest sealed state",
    responses=problems(),
    sync_to_thread=False,
)
def summary(request: ApiRequest) -> LedgerSummary:
    """As it stands in ANCHORS: roots, and what was credited and burned in all."""
    return parts_of(request).view.anchors.ledger


@get(
    "/api/v1/ledger/{kind:str}/{name:str}",
    tags=["ledger"],
    summary="What an account holds",
    responses=problems(400, 404, 503),
)
async def balance(request: ApiRequest, kind: AccountKind, name: AccountName) -> Balance:
    """In msat. An account that nothing was ever paid to or from holds 0."""
    asking, account = parts_of(request).asking, f"{kind}/{name}"
    found = await asking.ask("anchor", "balance", BalanceRequest(account=account), BalanceReply)
    held = free = None
    if kind == "client":
        purse = await asking.ask("coordinator", "purse", PurseRequest(name), PurseReply)
        held, free = purse.held, purse.free
    return Balance(
        account=found.account,
        received=found.received,
        given=found.given,
        balance=found.received - found.given,
        verdicts=found.verdicts,
        epoch=found.epoch,
        held=held,
        free=free,
    )


@get(
    "/api/v1/ledger/{kind:str}/{name:str}/proof",
    tags=["ledger"],
    summary="The proof of what an account holds",
    responses=problems(400, 404, 503) | _DOCUMENT,
)
async def balance_proof(request: ApiRequest, kind: AccountKind, name: AccountName) -> Response[bytes]:
    """A document for `ambient verify`, byte for byte. 404 before a state is sealed."""
    question = BalanceRequest(account=f"{kind}/{name}", proof=True)
    try:
        found = await parts_of(request).asking.ask("anchor", "balance", question, BalanceReply)
    except Refused as error:
        raise _no_proof(error) from None
    return Response(found.proof.encode(), media_type="application/json")


@get("/api/v1/energy", tags=["ledger"], summary="What the nodes say they took", responses=problems(503))
async def nodes_energy(request: ApiRequest) -> NodeEnergy:
    """The counters of all nodes that are there, and the power of what was verified in the last ten seconds."""
    parts = parts_of(request)
    nodes = [node for node in await parts.asking.all_nodes() if node.state not in ("dead", "left")]
    by_method: dict[str, float] = defaultdict(float)
    for node in nodes:
        by_method[node.energy_method] += node.energy_j
    return NodeEnergy(
        nodes=len(nodes),
        energy_j=sum(node.energy_j for node in nodes),
        by_method=dict(by_method),
        watts=parts.view.meter.rates(time.time_ns() // 1_000_000).energy_w,
    )


@get(
    "/api/v1/energy/{kind:str}/{name:str}",
    tags=["ledger"],
    summary="What an account's month took",
    responses=problems(400, 404, 503),
)
async def energy(request: ApiRequest, kind: AccountKind, name: AccountName, month: Month = None) -> Energy:
    """Of a node: its own work. Of a client: the work that was done for it."""
    question = EnergyRequest(account=f"{kind}/{name}", month=month or "")
    found = await parts_of(request).asking.ask("anchor", "energy", question, EnergyReply)
    return Energy(
        account=found.account,
        month=found.month,
        results=found.results,
        fuel=found.fuel,
        energy_uj=found.energy_uj,
        epoch=found.epoch,
    )


@get(
    "/api/v1/energy/{kind:str}/{name:str}/proof",
    tags=["ledger"],
    summary="The proof of what an account's month took",
    responses=problems(400, 404, 503) | _DOCUMENT,
)
async def energy_proof(
    request: ApiRequest, kind: AccountKind, name: AccountName, month: Month = None
) -> Response[bytes]:
    """A document for `ambient verify`, byte for byte. 404 where nothing is sealed of it yet."""
    question = EnergyRequest(account=f"{kind}/{name}", month=month or "", proof=True)
    try:
        found = await parts_of(request).asking.ask("anchor", "energy", question, EnergyReply)
    except Refused as error:
        raise _no_proof(error) from None
    return Response(found.proof.encode(), media_type="application/json")


def _no_proof(error: Refused) -> Refused:
    """The anchor refuses a proof only where there is nothing to prove, yet; whoever does not answer is another matter."""
    return NotFound(error.detail) if error.status == Refused.status else error
