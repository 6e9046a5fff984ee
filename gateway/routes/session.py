"""`/api/v1/session`: who the token is, and `/api/v1/qr`: a text as a picture that a phone reads."""

import io
from typing import Annotated

import segno
from litestar import Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from msgspec import Meta, Struct

from gateway.errors import Refused
from gateway.parts import ApiRequest, caller_of, parts_of
from gateway.resources.session import Session
from gateway.routes.answers import problems

__all__ = ["QrText", "qr", "session"]

_MOST_CHARACTERS = 1500
"""Beyond that a code has so many modules that no phone reads it from a screen."""
_TOO_LONG = "must fit a QR code: 2,331 bytes of UTF-8 at most"


@get(
    "/api/v1/session",
    tags=["session"],
    summary="Who this token is, and what it may do",
    responses=problems(),
    sync_to_thread=False,
)
def session(request: ApiRequest) -> Session:
    """The token's name, its role, the client in whose name it submits, and the cluster."""
    caller = caller_of(request)
    return Session(
        name=caller.name, role=caller.role, client=caller.client, cluster=parts_of(request).settings.cluster
    )


class QrText(Struct, frozen=True, forbid_unknown_fields=True):
    """What the code is to say."""

    text: Annotated[str, Meta(min_length=1, max_length=_MOST_CHARACTERS)]


@post(
    "/api/v1/qr",
    tags=["session"],
    summary="A text as a QR code (SVG)",
    status_code=200,
    media_type="image/svg+xml",
    responses=problems(400, 413)
    | {
        200: ResponseSpec(str, description="The picture", media_type="image/svg+xml", generate_examples=False)
    },
    sync_to_thread=True,
)
def qr(data: JSONBody[QrText]) -> Response[bytes]:
    """Posted, so that a join token stands in no URL and in no log; the picture is kept nowhere."""
    out = io.BytesIO()
    try:
        code = segno.make(data.text, error="m", micro=False)
    except segno.DataOverflowError:
        raise Refused(f"text: {_TOO_LONG}", field="text", limit=_TOO_LONG) from None
    code.save(
        out, kind="svg", border=2, xmldecl=False, svgns=True, omitsize=True, lineclass=None, svgclass=None
    )
    return Response(
        out.getvalue(), status_code=200, media_type="image/svg+xml", headers={"Cache-Control": "no-store"}
    )
