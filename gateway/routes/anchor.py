"""`/api/v1/anchor`: signed states of the log of verdicts, and their publication on Bitcoin."""

from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

from bus.messages import CheckpointReply, CheckpointRequest
from gateway.errors import Conflict, Refused
from gateway.parts import ApiRequest, parts_of
from gateway.resources.anchor import AnchorView, SignedState
from gateway.routes.answers import LEAST_0, problems

__all__ = ["checkpoint", "view"]


@get(
    "/api/v1/anchor",
    tags=["anchor"],
    summary="States and publications",
    responses=problems(),
    sync_to_thread=False,
)
def view(request: ApiRequest) -> AnchorView:
    """The newest 64 signed states and 256 publications, newest first."""
    return parts_of(request).view.anchors.view()


@get(
    "/api/v1/anchor/checkpoint",
    tags=["anchor"],
    summary="The newest signed state, with a proof of consistency",
    responses=problems(400, 404, 409, 503),
)
async def checkpoint(
    request: ApiRequest,
    old: Annotated[
        int,
        QueryParameter(
            ge=0, schema_extra=LEAST_0, le=2**53, description="Leaves of the state that it must begin with"
        ),
    ] = 0,
) -> SignedState:
    """The C2SP signed note, and the hashes (hex) of RFC 6962's consistency proof from `old` leaves."""
    question = CheckpointRequest(old=old)
    try:
        found = await parts_of(request).asking.ask("anchor", "checkpoint", question, CheckpointReply)
    except Refused as error:
        if error.status != Refused.status:
            raise
        raise Conflict(f"old: {error.limit}", field="old", limit=error.limit) from None
    return SignedState(note=found.note, proof=list(found.proof))
