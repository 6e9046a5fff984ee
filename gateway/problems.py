"""How a refused request is answered: RFC 9457 problem details, whoever refused it.

Guarantees that every error becomes such an answer, that a fault of ours tells nothing but the id under which the log has it, and that what the framework
says of a body or a parameter names field and limit like everything else.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from bus.errors import BusError, Malformed
from gateway.errors import Refused
from gateway.resources.common import Problem

__all__ = ["PROBLEM_JSON", "handlers", "problem_of", "refusal_problem"]

_log = structlog.get_logger("gateway")

PROBLEM_JSON = "application/problem+json"
_URN = "urn:ambient:problem:"
_PLACE = re.compile(r"(.*) - at `(?:key` in `)?\$\.?(.*)`", re.DOTALL)
_TITLES = {
    400: ("malformed", "The request breaks the contract"),
    401: ("unauthenticated", "A token is needed"),
    403: ("forbidden", "This token may not do that"),
    404: ("not-found", "There is no such thing"),
    405: ("method-not-allowed", "This path takes other methods"),
    413: ("too-large", "The body is too large"),
    415: ("unsupported-media-type", "The body is of another type than is taken"),
    500: ("internal", "A fault of ours"),
}


def refusal_problem(error: Refused, path: str, request: str) -> Problem:
    """The problem that a refusal is told as."""
    return Problem(
        type=_URN + error.kind,
        title=error.title,
        status=error.status,
        detail=error.detail,
        instance=path,
        field=error.field,
        limit=error.limit,
        task=error.task,
        request=request,
    )


def problem_of(
    error: Exception, path: str, request: str, names: Mapping[str, str] = MappingProxyType({})
) -> tuple[Problem, dict[str, str]]:
    """The problem of any error, and the headers that go with it. `names` says what a parameter is called outside."""
    match error:
        case Refused():
            return refusal_problem(error, path, request), error.headers
        case Malformed():
            refused = Refused(str(error), field=error.field, limit=error.limit)
            return refusal_problem(refused, path, request), {}
        case ValidationException():
            field, limit = _said(error)
            field = names.get(field, field)
            detail = f"{field}: {limit}" if field else limit
            return refusal_problem(Refused(detail, field=field, limit=limit), path, request), {}
        case HTTPException():
            kind, title = _TITLES.get(error.status_code, ("refused", "The request was refused"))
            problem = Problem(
                type=_URN + kind,
                title=title,
                status=error.status_code,
                detail=str(error.detail or title),
                instance=path,
                request=request,
            )
            return problem, dict(error.headers or {})
        case BusError():
            unavailable = Problem(
                type=_URN + "unavailable",
                title="The cluster does not answer",
                status=503,
                detail=str(error),
                instance=path,
                request=request,
            )
            return unavailable, {"Retry-After": "1"}
        case _:
            _log.error("a fault of ours", request=request, path=path, exc_info=error)
            kind, title = _TITLES[500]
            detail = f"the gateway's log has it under request {request}"
            return Problem(
                type=_URN + kind, title=title, status=500, detail=detail, instance=path, request=request
            ), {}


def _said(error: ValidationException) -> tuple[str, str]:
    """Field and limit out of what the framework found in body or parameters."""
    extra: Any = error.extra
    first = extra[0] if isinstance(extra, list) and extra else None
    if not isinstance(first, dict):
        text = str(first or error.detail)
        placed = _PLACE.fullmatch(text)
        return (placed[2], placed[1]) if placed else ("", text)
    field, limit = str(first.get("key", "")), str(first.get("message", error.detail))
    placed = _PLACE.fullmatch(limit)
    if placed:
        limit, field = placed[1], placed[2] or field
    return field, limit


def _answer(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    trace = request.scope["ambient"]  # type: ignore[typeddict-item]  # ours, set by the edge
    trace.task = trace.task or getattr(error, "task", "")
    problem, headers = problem_of(error, request.scope["path"], trace.request, _names(request))
    return Response(
        msgspec.json.encode(problem), status_code=problem.status, media_type=PROBLEM_JSON, headers=headers
    )


def _names(request: Request[Any, Any, Any]) -> dict[str, str]:
    """What the parameters of the path are called in the query and the headers, where that is another name than in its function."""
    signature = getattr(request.scope.get("route_handler"), "parsed_fn_signature", None)
    parameters = signature.parameters if signature is not None else {}
    outside = {name: getattr(each.kwarg_definition, "name", None) for name, each in parameters.items()}
    return {name: called for name, called in outside.items() if called}


handlers: dict[int | type[Exception], Any] = {
    Exception: _answer,
    HTTPException: _answer,
    Refused: _answer,
    BusError: _answer,
}
"""For the framework: every error ends here."""
