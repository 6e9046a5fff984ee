"""What the coordinator holds in memory for tasks that wait."""

import asyncio

import psutil

from ambient.client import Client
from ambient.cluster import Supervisor
from bench.cluster import GUESTS, cluster
from bench.rows import Row

_OPEN = 100_000
_MB = 1024 * 1024


def main() -> list[Row]:
    """Resident memory of the coordinator with 100,000 open tasks, and without any."""
    empty, full = asyncio.run(_measure())
    baseline = "the same process without tasks"
    return [
        Row(
            name="coordinator, 100,000 open tasks",
            value=full / _MB,
            unit="MB",
            aim=500,
            floor=1000,
            baseline=baseline,
            ratio=full / empty,
        ),
        Row(name="per open task", value=(full - empty) / _OPEN, unit="bytes"),
    ]


async def _measure() -> tuple[int, int]:
    async with cluster() as (running, client):
        await client.run(GUESTS / "add.wasm", 1, 1, entry="add")
        empty = _resident(running)
        submit = asyncio.create_task(_submit_all(client))
        while (found := (await client.health()).coordinator) is None or found.open < _OPEN:
            await asyncio.sleep(0.2)  # the coordinator is asked, not guessed at
        full = _resident(running)
        submit.cancel()
        await asyncio.gather(submit, return_exceptions=True)
    return empty, full


async def _submit_all(client: Client) -> None:
    """Tasks that no node fits, so that they all wait."""
    inputs = ((n, 1) for n in range(_OPEN))
    place = {"region": "nowhere"}
    async for _ in client.chunks(GUESTS / "add.wasm", inputs, entry="add", place=place, in_flight=_OPEN):
        pass


def _resident(running: Supervisor) -> int:
    pid = running.running["coordinator-1"].pid
    assert pid is not None  # noqa: S101 -- the supervisor keeps it running
    return int(psutil.Process(pid).memory_info().rss)
