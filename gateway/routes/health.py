"""`/api/v1/health`: for whoever keeps this process running, without a token."""

import asyncio

from litestar import Response, get
from litestar.openapi.datastructures import ResponseSpec

from bus.errors import BusError
from bus.streams import last_sequences
from gateway.asking import service_states
from gateway.parts import ApiRequest, Parts, parts_of
from gateway.resources.cluster import Live, Ready
from gateway.version import VERSION
from gateway.view.ring import ALL_LOGS

__all__ = ["live", "readiness", "ready"]

_LOGS_S = 2.0


@get(
    "/api/v1/health/live",
    tags=["health"],
    summary="Whether this gateway answers",
    security=[{}],
    sync_to_thread=False,
)
def live() -> Live:
    """Answers as long as the process does; says nothing of the cluster."""
    return Live(version=VERSION)


@get(
    "/api/v1/health/ready",
    tags=["health"],
    summary="Whether tasks submitted now will be worked on",
    security=[{}],
    responses={
        503: ResponseSpec(
            Ready, description="Something is missing: `problems` says what", generate_examples=False
        )
    },
)
async def ready(request: ApiRequest) -> Response[Ready]:
    """The bus, the logs, and who leads. Answers 503 with the same body where something is missing."""
    said = await readiness(parts_of(request))
    return Response(said, status_code=200 if said.ready else 503)


async def readiness(parts: Parts) -> Ready:
    """What is there, and what is missing."""
    instances = await parts.asking.health()
    services = service_states(instances)
    problems = [
        f"no {each.service} leads" for each in services if not each.leader and each.service != "anchor"
    ]
    logs: dict[str, int] = {}
    try:
        async with asyncio.timeout(_LOGS_S):
            logs = await last_sequences(parts.bus, ALL_LOGS)
    except (TimeoutError, BusError) as error:
        problems.append(f"the logs do not answer: {error or 'no answer in time'}")
    if not parts.bus.is_connected:
        problems.insert(0, "the bus is away")
    if not parts.following.is_caught_up:
        problems.append("the logs are not read to their ends yet")
    return Ready(
        ready=not problems, bus=parts.bus.is_connected, logs=logs, services=services, problems=problems
    )
