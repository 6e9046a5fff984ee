"""`/api/v1/cluster/board`: all nodes in columns. What changes of them comes as `event: board`, each second."""

from litestar import get

from gateway.parts import ApiRequest, parts_of
from gateway.resources.board import NodeBoard
from gateway.routes.answers import problems

__all__ = ["board"]


@get(
    "/api/v1/cluster/board",
    tags=["cluster"],
    summary="All nodes in columns",
    responses=problems(),
    sync_to_thread=False,
)
def board(request: ApiRequest) -> NodeBoard:
    """With their names: ten thousand nodes are 300 kB. `GET /api/v1/nodes` says more of each."""
    return parts_of(request).board.whole()
