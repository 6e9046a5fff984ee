"""Looking at a cluster again and again: services, nodes and the newest tasks together, with what happened per second in between.

Guarantees that what is watched may fail meanwhile: who does not answer is shown as such, with the last that was known of the nodes, and the
next look asks anew. Only the first look raises, as whoever asks for the first time has most likely named the wrong cluster.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from typing import NamedTuple

from ambient import ClusterHealth
from ambient.client import Client
from ambient.errors import BusUnavailable
from ambient.rates import Rates
from bus.connection import Received
from bus.messages import NodeView, TaskView

__all__ = ["Look", "looks"]

_NOBODY = ClusterHealth(coordinator=None, verifier=None, round_trip_ms=0.0)


class Look(NamedTuple):
    """One look; `rates` is the same object each time and shows the newest."""

    health: ClusterHealth
    nodes: list[NodeView]
    tasks: list[TaskView]
    rates: Rates


async def looks(client: Client, every_s: float, times: int | None, *, tasks: int = 0) -> AsyncGenerator[Look]:
    """Look every `every_s` seconds, `times` often (None: for ever), also at so many `tasks`. The first look raises `BusUnavailable`.

    Verdicts are counted by their notices, which the bus may drop under load: what is drawn from it is a rate, not an account.
    """
    rates, heard, loop = Rates(), 0, asyncio.get_running_loop()

    async def on_done(message: Received) -> None:
        nonlocal heard
        heard += message.data.count(b"\n") + 1

    notices = await client.bus.subscribe(client.bus.subjects.done(">"), on_done)
    last: Look | None = None
    try:
        count = 0
        while True:
            last = await _look(client, tasks, rates, last)
            verdicts, heard = heard, 0
            rates.look(loop.time(), last.nodes, verdicts)
            yield last
            count += 1
            if count == times:
                return
            await asyncio.sleep(every_s)
    finally:
        if client.bus.is_connected:
            await notices.unsubscribe()


async def _look(client: Client, tasks: int, rates: Rates, last: Look | None) -> Look:
    asked_tasks = client.tasks(limit=tasks) if tasks else _none()
    if last is None:
        return Look(*await asyncio.gather(client.health(), client.nodes(), asked_tasks), rates)
    return Look(
        *await asyncio.gather(
            _unless_away(client.health(), _NOBODY),
            _unless_away(client.nodes(), last.nodes),
            _unless_away(asked_tasks, last.tasks),
        ),
        rates,
    )


async def _none() -> list[TaskView]:
    return []


async def _unless_away[T](asked: Awaitable[T], otherwise: T) -> T:
    try:
        return await asked
    except BusUnavailable:
        return otherwise
