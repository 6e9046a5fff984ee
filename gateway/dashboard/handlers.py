"""The dashboard's routes: its pages' addresses, which all are one page, and its files.

They need no token: what they serve is the same for everybody and says nothing of the cluster.
"""

from typing import Any

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from gateway.dashboard.assets import Answer, Assets

__all__ = ["PAGES", "handlers"]

PAGES = (
    "/",
    "/nodes",
    "/nodes/{name:str}",
    "/tasks",
    "/tasks/{name:str}",
    "/anchor",
    "/ledger",
    "/join",
)
"""Where the page is served: `js/main.js` has the same list."""

_Asked = Request[Any, Any, Any]


def handlers(assets: Assets | None = None) -> list[HTTPRouteHandler]:
    """The routes, for a Litestar application; none of them is part of the API's schema."""
    served = assets or Assets.shipped()

    @get(list(PAGES), include_in_schema=False, sync_to_thread=False, name="dashboard")
    def page(request: _Asked) -> Response[bytes]:
        return _response(served.page(_known(request)))

    @get("/favicon.ico", include_in_schema=False, sync_to_thread=False)
    def icon(request: _Asked) -> Response[bytes]:
        return _response(served.icon(_known(request)))

    @get("/assets/{version:str}/{name:path}", include_in_schema=False, sync_to_thread=False)
    def file(request: _Asked, version: FromPath[str], name: FromPath[str]) -> Response[bytes]:
        found = served.file(version, str(name).lstrip("/"), _known(request))
        if found is None:
            raise NotFoundException(detail="this file belongs to another version: load the page again")
        return _response(found)

    return [page, icon, file]


def _response(answer: Answer) -> Response[bytes]:
    headers = dict(answer.headers)
    kind = headers.pop("Content-Type", None)
    return Response(answer.body, status_code=answer.status, headers=headers, media_type=kind)


def _known(request: _Asked) -> str:
    """What the browser has."""
    return request.headers.get("if-none-match", "")
