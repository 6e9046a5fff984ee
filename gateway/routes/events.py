"""`/api/v1/events`: server-sent events, from wherever the reader left off.

Guarantees that a stream that goes on from its `Last-Event-ID`, at this gateway or another, misses no entry of any log, as far as the logs still hold
them (where one was cut, `event: gap` says so); that a stream costs a position and no queue; and that a reader that does not read is cut
(`gateway.edge`): it comes back with its position.
"""

from typing import Annotated

from litestar import get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, QueryParameter
from litestar.response import Stream

from bus.subjects import TOKEN_PATTERN
from gateway.errors import Refused, TooMany
from gateway.parts import ApiRequest, parts_of, trace_of
from gateway.resources.events import LogItem
from gateway.routes.answers import problems
from gateway.streaming import Pulse, Source
from gateway.view.ring import Filter, position_of

__all__ = ["events"]

_KINDS_MOST = 400


@get(
    "/api/v1/events",
    tags=["events"],
    summary="What happens, as server-sent events",
    media_type="text/event-stream",
    responses=problems(400, 503)
    | {
        200: ResponseSpec(
            str, description="A stream without end", media_type="text/event-stream", generate_examples=False
        )
    },
)
async def events(
    request: ApiRequest,
    last_event_id: Annotated[
        str | None,
        HeaderParameter(name="Last-Event-ID", max_length=120, description="Go on behind this event"),
    ] = None,
    after: Annotated[
        str | None, QueryParameter(max_length=120, description="The same, for who cannot set the header")
    ] = None,
    kinds: Annotated[
        str | None,
        QueryParameter(
            max_length=_KINDS_MOST,
            description="Kinds of items (see LogItem), and `stats`, `node`: comma-separated; all without it",
        ),
    ] = None,
    task: Annotated[
        str | None, QueryParameter(max_length=130, description="Items about this task only")
    ] = None,
    client: Annotated[
        str | None, QueryParameter(pattern=TOKEN_PATTERN, description="Items of this client's tasks only")
    ] = None,
    board: Annotated[
        bool,
        QueryParameter(
            description="Also `event: board` each second, a NodeBoard without names: see `/api/v1/cluster/board`"
        ),
    ] = False,
) -> Stream:
    """`event: log` with a LogEvent, `event: stats` each second, `event: node` when a node's state changes. See `gateway.resources.events`."""
    parts = parts_of(request)
    told = last_event_id or after
    position = parts.following.positions if told is None else position_of(told)
    if position is None:
        limit = "must be the id of an event, as in t12-a30-r7-v5-n2"
        raise Refused(f"Last-Event-ID: {limit}", field="Last-Event-ID", limit=limit)
    if parts.tally.streams >= parts.settings.streams:
        limit = f"at most {parts.settings.streams} event streams at a time"
        raise TooMany(
            f"{limit}: close one, or ask another gateway", limit=limit, headers={"Retry-After": "5"}
        )
    wanted = {kind for kind in (kinds or "").split(",") if kind}
    source = Source(parts, pulse_of(request), position, _filter(wanted, task, client), wanted, board=board)
    stream = trace_of(request).stream = source.pieces()
    return Stream(
        stream,
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def pulse_of(request: ApiRequest) -> Pulse:
    """What all streams of this gateway tell each second."""
    pulse: Pulse = request.app.state["pulse"]
    return pulse


def _filter(wanted: set[str], task: str | None, client: str | None) -> Filter | None:
    kinds = wanted - {"stats", "node"}
    if not wanted and task is None and client is None:
        return None
    prefix = None if client is None else f"{client}."

    def chosen(item: LogItem) -> bool:
        if wanted and item.kind not in kinds:
            return False
        if task is not None and item.task != task:
            return False
        return prefix is None or item.client == client or item.task.startswith(prefix)

    return chosen
