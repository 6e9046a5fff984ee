"""The dashboard's routes: its pages' addresses, which all are one page, and its files.

They need no token: what they serve is the same for everybody and says nothing of the cluster.
"""

from typing import Annotated

from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter

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

type _Known = Annotated[str | None, Parameter(header="If-None-Match")]


def handlers(assets: Assets | None = None) -> list[HTTPRouteHandler]:
    """The routes, for a Litestar application; none of them is part of the API's schema."""
    served = assets or Assets.shipped()

    @get(PAGES, include_in_schema=False, sync_to_thread=False, name="dashboard")
    def page(known: _Known = None) -> Response[bytes]:
        return _response(served.page(known or ""))

    @get("/favicon.ico", include_in_schema=False, sync_to_thread=False)
    def icon(known: _Known = None) -> Response[bytes]:
        return _response(served.icon(known or ""))

    @get("/assets/{version:str}/{name:path}", include_in_schema=False, sync_to_thread=False)
    def file(version: str, name: str, known: _Known = None) -> Response[bytes]:
        found = served.file(version, str(name).lstrip("/"), known or "")
        if found is None:
            raise NotFoundException(detail="this file belongs to another version: load the page again")
        return _response(found)

    return [page, icon, file]


def _response(answer: Answer) -> Response[bytes]:
    headers = dict(answer.headers)
    kind = headers.pop("Content-Type", None)
    return Response(answer.body, status_code=answer.status, headers=headers, media_type=kind)
