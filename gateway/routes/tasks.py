"""`/api/v1/tasks`: submit, one with its story, its output, `why`, and cancel."""

import asyncio
from collections.abc import Callable
from typing import Annotated

import msgspec
from litestar import Response, delete, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter

from bus.blobs import Blobs
from bus.messages import WhyReply, WhyRequest
from bus.subjects import TOKEN_PATTERN
from bus.wire import decode, decoder
from gateway.asking import answered
from gateway.edge import Receive, Scope, Trace
from gateway.errors import Conflict, Forbidden, NotFound, Refused
from gateway.parts import ApiRequest, Parts, caller_of, full_name, need, parts_of, trace_of
from gateway.resources.tasks import Submitted, TaskDetail, TaskOrder, Why
from gateway.routes.answers import LEAST_0, problems
from gateway.tokens import Caller

__all__ = ["cancel", "one", "output", "own_read", "quick_one", "quick_submit", "submit", "why"]

_ORDER = decoder(TaskOrder)
_encode = msgspec.json.Encoder().encode
_MOST_WAIT_S = 30.0
_KEY_MOST = 255
_UNKNOWN_S = 1.0
_OWN_S = 5.0
_AGAIN_S = 0.05

TaskPath = Annotated[
    str,
    PathParameter(
        description="`<client>.<id>`, or an id of the token's own client",
        pattern=r"^[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64})?$",
    ),
]
_Client = Annotated[
    str | None,
    HeaderParameter(
        name="Ambient-Client", description="Operators only: in whose name", pattern=TOKEN_PATTERN
    ),
]
_Key = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="The same key with the same body is the same task, on any gateway; with another body it is refused (422)",
        min_length=1,
        max_length=_KEY_MOST,
    ),
]


@post(
    "/api/v1/tasks",
    tags=["tasks"],
    summary="Submit a task",
    status_code=202,
    responses=problems(400, 403, 409, 413, 422, 503),
)
async def submit(
    request: ApiRequest, data: JSONBody[TaskOrder], key: _Key = None, client: _Client = None
) -> Submitted:
    """Answers once the task is durable: from then on it ends in exactly one verdict."""
    trace = trace_of(request)
    return await _submit(parts_of(request), trace, data, key, client)


async def _submit(
    parts: Parts, trace: Trace, order: TaskOrder, key: str | None, client: str | None
) -> Submitted:
    caller = trace.caller
    need(caller, "client")
    name = _acting(caller, client)
    if key is not None and not 1 <= len(key) <= _KEY_MOST:
        limit = f"1 to {_KEY_MOST} characters"
        raise Refused(f"Idempotency-Key: {limit}", field="Idempotency-Key", limit=limit)
    submitted = await parts.submitting.submit(name, order, key)
    trace.task = submitted.task
    return submitted


def _acting(caller: Caller, client: str | None) -> str:
    """In whose name: the token's client, or for an operator whoever is named."""
    if client is None or client == caller.client:
        return caller.client
    need(caller, "operator")
    return client


async def quick_submit(parts: Parts, trace: Trace, scope: Scope, receive: Receive) -> tuple[int, bytes]:
    """`submit` without the framework: the same checks, and a third of the cost."""
    headers = dict(scope["headers"])
    order = decode(await _body(receive), _ORDER)
    key, client = headers.get(b"idempotency-key"), headers.get(b"ambient-client")
    named = client.decode("latin-1") if client is not None else None
    if named is not None:
        full_name(f"{named}.x", trace.caller)
    submitted = await _submit(parts, trace, order, key.decode("latin-1") if key is not None else None, named)
    return 202, _encode(submitted)


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused("the request broke off")
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


@get(
    "/api/v1/tasks/{task:str}",
    tags=["tasks"],
    summary="One task's whole story",
    responses=problems(400, 404, 503),
)
async def one(
    request: ApiRequest,
    task: TaskPath,
    wait_s: Annotated[
        float,
        QueryParameter(
            ge=0, schema_extra=LEAST_0, le=_MOST_WAIT_S, description="Wait so long for its verdict, at most"
        ),
    ] = 0.0,
) -> TaskDetail:
    """Asked, decided, claimed, accepted, proven: with who and when."""
    trace = trace_of(request)
    return await _one(parts_of(request), trace, task, wait_s)


async def _one(parts: Parts, trace: Trace, task: str, wait_s: float) -> TaskDetail:
    trace.task = name = full_name(task, trace.caller)
    if wait_s:
        await settled(parts, name, wait_s)
    await own_read(parts, name)
    return await parts.stories.tell(name)


async def own_read(parts: Parts, name: str) -> None:
    """What this gateway acknowledged it also knows, and what a verdict rests on it has read: each log has a reader of its own, so wait for the others."""
    own, rings, record = parts.submitting.acknowledged, parts.view.rings, parts.view.book.get(name)
    if record is None:
        await _wait(parts, _OWN_S, lambda: rings["tasks"].last >= own)
    elif record.settled is not None and (evidence := record.settled.line.evidence):
        last = max(sequence for sequence, _ in evidence)
        await _wait(parts, _OWN_S, lambda: rings["results"].last >= last)


async def settled(parts: Parts, name: str, wait_s: float) -> None:
    """Wait until the verdict is read, or the time is up; for a task that nobody submitted, no longer than another gateway's takes to be read."""
    await _wait(parts, min(wait_s, _UNKNOWN_S), lambda: parts.view.book.get(name) is not None)
    record = parts.view.book.get(name)
    if record is not None:
        await _wait(parts, wait_s, lambda: record.settled is not None or record.is_refused)


async def _wait(parts: Parts, most_s: float, fact: Callable[[], bool]) -> None:
    try:
        async with asyncio.timeout(most_s):
            while not fact():
                await parts.following.news()
    except TimeoutError:
        return


async def quick_one(parts: Parts, trace: Trace, scope: Scope, receive: Receive) -> tuple[int, bytes]:
    """`one` without the framework, where no query asks for more."""
    del receive
    return 200, _encode(await _one(parts, trace, scope["path"].rpartition("/")[2], 0.0))


@get(
    "/api/v1/tasks/{task:str}/output",
    tags=["tasks"],
    summary="A task's output, byte for byte",
    media_type="application/octet-stream",
    responses=problems(400, 404, 409, 503)
    | {
        200: ResponseSpec(
            bytes, description="The output", media_type="application/octet-stream", generate_examples=False
        )
    },
)
async def output(request: ApiRequest, task: TaskPath) -> Response[bytes]:
    """What the guest wrote to standard output, of a verdict; its digest was checked. 409 while there is no verdict."""
    parts, trace = parts_of(request), trace_of(request)
    trace.task = name = full_name(task, trace.caller)
    verdict = await parts.stories.verdict(name)
    if verdict is None:
        await own_read(parts, name)
        await parts.stories.tell(name)  # raises where there is no such task
        raise Conflict(f"{name} has no verdict yet: wait for it with ?wait_s= on the task", task=name)
    content = verdict.output or b""
    if verdict.output is None and verdict.output_size and verdict.output_digest:
        with answered():
            content = await Blobs(parts.bus, "gateway").get(verdict.output_digest.removeprefix("sha256:"))
    headers = {
        "Content-Disposition": f'attachment; filename="{name}.out"',
        "Ambient-Status": verdict.status,
        "Ambient-Output-Digest": verdict.output_digest,
    }
    return Response(content, media_type="application/octet-stream", headers=headers)


@get(
    "/api/v1/tasks/{task:str}/why",
    tags=["tasks"],
    summary="Where a task stands and why, node by node",
    responses=problems(400, 404, 503),
)
async def why(request: ApiRequest, task: TaskPath) -> Why:
    """As the coordinator sees it now."""
    parts, trace = parts_of(request), trace_of(request)
    trace.task = name = full_name(task, trace.caller)
    reply = await _why(parts, name)
    if reply.state == "unknown":
        raise NotFound(f"no task {name} is known: {reply.detail}", task=name)
    return Why(
        task=reply.task,
        state=reply.state,
        detail=reply.detail,
        attempt=reply.attempt,
        nodes=reply.nodes,
        field=reply.field,
        limit=reply.limit,
    )


async def _why(parts: Parts, name: str) -> WhyReply:
    """The coordinator's answer; of a task that stands in TASKS it is asked again until it has read that, too."""
    await own_read(parts, name)
    until = asyncio.get_running_loop().time() + _OWN_S
    while True:
        reply = await parts.asking.ask("coordinator", "why", WhyRequest(name), WhyReply)
        record = parts.view.book.get(name)
        is_open = record is not None and record.settled is None and not record.is_refused
        if reply.state != "unknown" or not is_open or asyncio.get_running_loop().time() > until:
            return reply
        await asyncio.sleep(_AGAIN_S)


@delete(
    "/api/v1/tasks/{task:str}",
    tags=["tasks"],
    summary="Cancel a task",
    status_code=202,
    responses=problems(400, 403, 404, 503),
)
async def cancel(request: ApiRequest, task: TaskPath) -> TaskDetail:
    """Durable once this answers: the task ends as `cancelled` unless another verdict comes first."""
    parts, trace = parts_of(request), trace_of(request)
    caller = caller_of(request)
    need(caller, "client")
    trace.task = name = full_name(task, caller)
    client, _, task_id = name.partition(".")
    if client != caller.client and not caller.may("operator"):
        limit = f"only tasks of {caller.client!r}"
        raise Forbidden(f"{name} is not yours: this token may cancel {limit}", limit=limit, task=name)
    await own_read(parts, name)
    await parts.stories.tell(name)
    await parts.submitting.cancel(client, task_id)
    return await parts.stories.tell(name)
