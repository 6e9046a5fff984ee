"""What handlers work with, put together once by `gateway.service`."""

import asyncio
from dataclasses import dataclass
from typing import Any

from litestar import Request

from bus.connection import Bus
from bus.errors import Malformed
from bus.subjects import token
from gateway.asking import Asking
from gateway.board import Board
from gateway.edge import Tally, Trace
from gateway.errors import Forbidden, Refused
from gateway.settings import GatewaySettings
from gateway.stories import Stories
from gateway.submitting import Submitting
from gateway.tokens import Caller, Role
from gateway.view.core import View
from gateway.view.following import Following

__all__ = ["ApiRequest", "Parts", "caller_of", "full_name", "need", "parts_of", "trace_of"]

ApiRequest = Request[Any, Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """One gateway's parts. `stopping` is set when event streams must end."""

    settings: GatewaySettings
    bus: Bus
    view: View
    following: Following
    asking: Asking
    board: Board
    submitting: Submitting
    stories: Stories
    tally: Tally
    stopping: asyncio.Event


def parts_of(request: ApiRequest) -> Parts:
    """The parts of the gateway that serves this request."""
    parts: Parts = request.app.state["parts"]
    return parts


def trace_of(request: ApiRequest) -> Trace:
    """What is known of this request."""
    trace: Trace = request.scope["ambient"]  # type: ignore[typeddict-item]  # ours, set by the edge
    return trace


def caller_of(request: ApiRequest) -> Caller:
    """Who makes this request."""
    return trace_of(request).caller


def need(caller: Caller, role: Role) -> None:
    """Raise `Forbidden` unless the caller may do what `role` may."""
    if not caller.may(role):
        limit = f"needs a token of the role {role!r}, this one is {caller.role!r}"
        raise Forbidden(f"this {limit}", limit=limit)


def full_name(task: str, caller: Caller) -> str:
    """`<client>.<id>` of a path's task; an id alone is the caller's own. Raises `Refused` for what is no name."""
    client, dot, task_id = task.rpartition(".")
    try:
        token("task", task_id)
        token("task", client if dot else caller.client)
    except Malformed as error:
        limit = f"must be <client>.<id>, or an id: {error.limit}"
        raise Refused(f"task: {limit}", field="task", limit=limit) from None
    return task if dot else f"{caller.client}.{task_id}"
