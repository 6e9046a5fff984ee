"""`/api/v1/nodes/{node}/telemetry`: the last hour of a node, as this gateway has seen it."""

from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

from gateway.errors import Unavailable
from gateway.parts import ApiRequest, parts_of
from gateway.resources.telemetry import NodeTelemetry
from gateway.routes.answers import LEAST_0, problems
from gateway.routes.nodes import NodePath, unknown_node

__all__ = ["telemetry"]


@get(
    "/api/v1/nodes/{node:str}/telemetry",
    tags=["nodes"],
    summary="How a node was over the last hour",
    responses=problems(400, 404, 503),
    sync_to_thread=False,
)
def telemetry(
    request: ApiRequest,
    node: NodePath,
    since_ms: Annotated[
        int,
        QueryParameter(
            ge=0, schema_extra=LEAST_0, le=2**53, description="Only the buckets that end after this moment"
        ),
    ] = 0,
) -> NodeTelemetry:
    """Least, mean and most of what its heartbeats said, in buckets of ten seconds, as far back as this gateway has seen.

    Who asks again sends the beginning of the last bucket that it has as `since_ms`: that bucket may have grown, and newer ones follow.
    """
    board = parts_of(request).board
    found = board.telemetry.of(node, since_ms)
    if found is not None:
        return found
    if not board.is_fresh:
        raise Unavailable(
            "no coordinator has told this gateway of its nodes, yet", headers={"Retry-After": "1"}
        )
    raise unknown_node(node)
