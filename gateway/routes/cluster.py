"""`/api/v1/cluster/stats`: the cluster at a glance, from what is folded and what the services say."""

import asyncio
import time
from collections import Counter
from typing import Annotated

import structlog
from litestar import get
from litestar.params import QueryParameter

from bus.errors import BusError
from bus.streams import Extent, extent
from gateway.asking import service_states
from gateway.errors import Unavailable
from gateway.parts import ApiRequest, Parts, parts_of
from gateway.resources.cluster import LogExtent, Stats
from gateway.routes.answers import LEAST_0, problems
from gateway.view.meter import HISTORY_S
from gateway.view.ring import ALL_LOGS

__all__ = ["stats", "stats_of"]

_log = structlog.get_logger("gateway")
_LOGS_S = 1.0


@get(
    "/api/v1/cluster/stats", tags=["cluster"], summary="The cluster at a glance", responses=problems(400, 503)
)
async def stats(
    request: ApiRequest,
    history_s: Annotated[
        int,
        QueryParameter(
            ge=0,
            schema_extra=LEAST_0,
            le=HISTORY_S,
            description="Rates of so many single seconds, oldest first",
        ),
    ] = 0,
) -> Stats:
    """Rates, latency, tasks and nodes by state, logs, services, energy."""
    return await stats_of(parts_of(request), history_s)


async def stats_of(parts: Parts, history_s: int = 0) -> Stats:
    """What there is to say at the moment; what cannot be had within a second is left out."""
    instances, nodes, logs = await asyncio.gather(parts.asking.health(), _nodes(parts), _extents(parts))
    leader = next((each for each in instances if each.service == "coordinator" and each.leading), None)
    now_ms, meter, view = time.time_ns() // 1_000_000, parts.view.meter, parts.view
    return Stats(
        cluster=parts.settings.cluster,
        at_ms=now_ms,
        rates=meter.rates(now_ms),
        latency=meter.latency(now_ms),
        history=meter.history(now_ms, history_s) if history_s else [],
        tasks=view.book.states(),
        open=leader.open if leader is not None else 0,
        waiting=leader.waiting if leader is not None else 0,
        full=leader.full if leader is not None else "",
        nodes=nodes,
        logs=logs,
        services=service_states(instances),
        energy_j=meter.energy_j,
        fuel=meter.fuel,
    )


async def _nodes(parts: Parts) -> dict[str, int]:
    if parts.board.is_fresh:
        return parts.board.states()
    try:
        return dict(Counter(node.state for node in await parts.asking.all_nodes()))
    except Unavailable as error:
        _log.debug("nodes unknown", reason=str(error))
        return {}


async def _extents(parts: Parts) -> dict[str, LogExtent]:
    try:
        async with asyncio.timeout(_LOGS_S):
            found = await asyncio.gather(*(extent(parts.bus, log) for log in ALL_LOGS))
    except (TimeoutError, BusError) as error:
        _log.debug("extents unknown", reason=str(error))
        return {}
    read = parts.following.positions
    return {log: _extent(held, read[log]) for log, held in zip(ALL_LOGS, found, strict=True)}


def _extent(held: Extent, read: int) -> LogExtent:
    return LogExtent(
        first=held.first, last=held.last, bytes=held.bytes, max_bytes=held.max_bytes, read=max(0, read)
    )
