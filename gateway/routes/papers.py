"""`/schema`, the OpenAPI document, and `/swagger-ui`, which shows it: with nothing from another host and no script in the page.

The assets are the ones of the installed wheel, served only if they are byte for byte those that were published (`_ASSETS` has their digests): what
runs in an operator's browser beside a token is not taken on trust.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import msgspec
from litestar import Response, get
from litestar.params import FromPath

from gateway.errors import AssetsUnusable, NotFound
from gateway.parts import ApiRequest

__all__ = ["asset", "page", "schema"]

_FOLDER = ("vendor", "swagger-ui-5.31.0")
_ASSETS: Mapping[str, tuple[str, str]] = {
    "swagger-ui-bundle.js": (
        "text/javascript",
        "93b7b0862a80e2786f85b560be7693c2344354ffa7e7e224f850a54349724c31",
    ),
    "swagger-ui.css": ("text/css", "9e576f8322132c76949da47f9bb53c891373c303ea3a761ff548ffc9de50a98c"),
}
"""Media type and SHA-256 of the files of swagger-ui-dist 5.31.0 that the page needs."""

_PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Ambient VCP: the REST API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/swagger-ui/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/swagger-ui/swagger-ui-bundle.js"></script>
<script src="/swagger-ui/start.js"></script>
</body>
</html>
"""
_START = b"""SwaggerUIBundle({
  url: "/schema", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null, persistAuthorization: false,
  presets: [SwaggerUIBundle.presets.apis], tryItOutEnabled: true
});
"""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Swagger UI sets styles on elements; scripts stay files of ours."""
_KEPT = "public, max-age=86400"


@get("/schema", include_in_schema=False, sync_to_thread=True)
def schema(request: ApiRequest) -> Response[bytes]:
    """The document, made once."""
    made: bytes | None = request.app.state.get("document")
    if made is None:
        made = request.app.state["document"] = msgspec.json.encode(request.app.state["describe"]())
    return Response(made, media_type="application/json", headers={"Cache-Control": "public, max-age=60"})


@get("/swagger-ui", include_in_schema=False, sync_to_thread=False)
def page() -> Response[bytes]:
    """The page."""
    return Response(_PAGE, media_type="text/html", headers={"Content-Security-Policy": _POLICY})


@get("/swagger-ui/{name:str}", include_in_schema=False, sync_to_thread=True)
def asset(name: FromPath[str]) -> Response[bytes]:
    """One of its files. Raises `NotFound`, also for one that is not what it should be."""
    if name == "start.js":
        return Response(_START, media_type="text/javascript", headers={"Cache-Control": _KEPT})
    try:
        return Response(_asset(name), media_type=_ASSETS[name][0], headers={"Cache-Control": _KEPT})
    except (KeyError, AssetsUnusable) as error:
        raise NotFound(f"no such file: {error}") from None


@cache
def _asset(name: str) -> bytes:
    """The file, looked at once."""
    wanted = _ASSETS[name][1]
    try:
        content = files("swagger_ui_bundle").joinpath(*_FOLDER, name).read_bytes()
    except (ModuleNotFoundError, OSError) as error:
        raise AssetsUnusable(
            f"{name} is not installed: `pip install 'ambient-vcp[gateway]'` ({error})"
        ) from None
    if hashlib.sha256(content).hexdigest() != wanted:
        raise AssetsUnusable(f"{name} is not the file that was published: install the pinned versions anew")
    return content
