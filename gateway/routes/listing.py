"""`GET /api/v1/tasks`: the tasks that are remembered, found and paged."""

from typing import Annotated, get_args

from litestar import get
from litestar.params import QueryParameter

from bus.messages import TaskState
from bus.subjects import TOKEN_PATTERN
from gateway.parts import ApiRequest, parts_of
from gateway.resources.tasks import TaskPage
from gateway.routes.answers import LEAST_0, problems
from gateway.view.search import TaskFilter, page

__all__ = ["list_tasks"]

_STATES = len(get_args(TaskState))


@get(
    "/api/v1/tasks",
    tags=["tasks"],
    summary="List tasks, newest first",
    responses=problems(400),
    sync_to_thread=False,
)
def list_tasks(
    request: ApiRequest,
    client: Annotated[
        str | None, QueryParameter(pattern=TOKEN_PATTERN, description="Who submitted it")
    ] = None,
    task_state: Annotated[
        list[TaskState] | None,
        QueryParameter(name="state", max_items=_STATES, description="Repeated: any of these"),
    ] = None,
    node: Annotated[
        str | None, QueryParameter(pattern=TOKEN_PATTERN, description="Who was given it last, or agreed")
    ] = None,
    module: Annotated[
        str | None,
        QueryParameter(
            pattern="^(sha256:)?[0-9a-f]{1,64}$", description="How the digest of its module begins"
        ),
    ] = None,
    prefix: Annotated[
        str | None, QueryParameter(pattern=TOKEN_PATTERN, description="How its id begins")
    ] = None,
    search: Annotated[
        str | None, QueryParameter(max_length=130, description="Part of its name, `<client>.<id>`")
    ] = None,
    since_ms: Annotated[
        int | None,
        QueryParameter(ge=0, schema_extra=LEAST_0, le=2**53, description="Asked then or later"),
    ] = None,
    until_ms: Annotated[
        int | None,
        QueryParameter(ge=0, schema_extra=LEAST_0, le=2**53, description="Asked before that moment"),
    ] = None,
    cursor: Annotated[
        int | None, QueryParameter(ge=1, le=2**53, description="`next` of the page before")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
) -> TaskPage:
    """The tasks that this gateway remembers (`kept`), those that every filter lets through. `next` is the cursor of the next page."""
    wanted = TaskFilter(
        states=frozenset(task_state or ()),
        client=client,
        node=node,
        module=module,
        prefix=prefix,
        search=search,
        since_ms=since_ms,
        until_ms=until_ms,
    )
    book = parts_of(request).view.book
    found, after = page(book, wanted, cursor, limit)
    return TaskPage(
        tasks=[record.summary() for record in found],
        next="" if after is None else str(after),
        kept=len(book.records),
    )
