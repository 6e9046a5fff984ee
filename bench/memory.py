"""What each service holds in memory for tasks that wait."""

import asyncio

from ambient.client import Client
from bench.cluster import GUESTS, cluster, resident_bytes, run
from bench.rows import Row

_OPEN = 100_000
_MB = 1024 * 1024
_COORDINATOR = "coordinator-1"


def main() -> list[Row]:
    """Resident memory of each process with 100,000 open tasks, against that without any."""
    return run(_measure())


async def _measure() -> list[Row]:
    async with cluster() as (running, client):
        await client.run(GUESTS / "add.wasm", 1, 1, entry="add")
        empty = resident_bytes(running)
        submit = asyncio.create_task(_submit_all(client))
        while (found := (await client.health()).coordinator) is None or found.open < _OPEN:
            await asyncio.sleep(0.2)  # the coordinator is asked, not guessed at
        full = resident_bytes(running)
        submit.cancel()
        await asyncio.gather(submit, return_exceptions=True)
    rows = [
        Row(
            name=f"{name}, {_OPEN:,} open tasks",
            value=size / _MB,
            unit="MB",
            aim=500 if name == _COORDINATOR else None,
            floor=1000 if name == _COORDINATOR else None,
            baseline="the same process without tasks",
            ratio=size / empty[name],
        )
        for name, size in full.items()
    ]
    each = (full[_COORDINATOR] - empty[_COORDINATOR]) / _OPEN
    return [*rows, Row(name="coordinator, per open task", value=each, unit="bytes")]


async def _submit_all(client: Client) -> None:
    """Tasks that no node fits, so that they all wait."""
    inputs = ((n, 1) for n in range(_OPEN))
    place = {"region": "nowhere"}
    async for _ in client.chunks(GUESTS / "add.wasm", inputs, entry="add", place=place, in_flight=_OPEN):
        pass
