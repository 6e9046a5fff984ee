"""A whole cluster that is given more than it may hold: clients are slowed or told, and everything that was accepted is done."""

import asyncio
import contextlib
from collections import Counter
from pathlib import Path

import pytest

import ambient
from ambient.client import connect
from ambient.cluster import Supervisor
from bus.connection import Bus
from bus.reader import Entry, LogReader
from coordinator.service import run
from coordinator.settings import Settings
from tests.system.logs import GUESTS, read_logs, running

_CLIENTS = 4
_TASKS = 800
_MOST = 300


@pytest.mark.long
async def test_clients_that_outrun_a_cluster_are_slowed_and_lose_nothing(tmp_path: Path) -> None:
    """Four maps of 800 tasks on a cluster that holds 300: a single submission is told to come back, the maps wait, each result comes once."""
    async with contextlib.AsyncExitStack() as stack:
        cluster, client = await stack.enter_async_context(running(tmp_path, nodes=2, coordinators=1))
        stop = asyncio.Event()
        settings = Settings(
            data=tmp_path / "own", url=cluster.nats, cluster="sys", full_tasks=_MOST, gate_every_s=0.02
        )
        leading = asyncio.create_task(run(settings, stop=stop))
        # The cluster's own coordinator has the usual bounds; it ends until this one has taken over.
        await asyncio.wait_for(_led_by(client, cluster, settings.name), 60)
        seen: Counter[tuple[int, int]] = Counter()
        advised: list[float] = []
        mapping = True

        async def one(number: int) -> None:
            async with connect(cluster.nats, cluster="sys", client=f"c{number}") as vcp:
                inputs = ((20_000 + n,) for n in range(_TASKS))
                async for index, _ in vcp.map(
                    GUESTS / "primes.wasm", inputs, entry="count_primes", in_flight=500
                ):
                    seen[number, index] += 1

        async def knock() -> None:
            while mapping:
                try:
                    await client.submit(GUESTS / "add.wasm", 1, 1, entry="add")
                except ambient.LogFull as error:
                    advised.append(error.retry_after_s)
                await asyncio.sleep(0.05)

        knocking = asyncio.create_task(knock())
        async with asyncio.timeout(200):
            await asyncio.gather(*map(one, range(_CLIENTS)))
        mapping = False
        await knocking
        await asyncio.wait_for(_idle(client), 60)
        logs = await read_logs(cluster)
        most = await _lines_of_tasks(cluster.nats)
        stop.set()
        await leading

    assert set(seen.values()) == {1}
    assert len(seen) == _CLIENTS * _TASKS
    assert advised
    assert all(1 <= seconds <= 60 for seconds in advised)
    logs.hold(most)


async def _led_by(client: ambient.Client, cluster: Supervisor, name: str) -> None:
    while (leader := (await client.health()).coordinator) is None or leader.name != name:
        if leader is not None:
            cluster.kill("coordinator-1")
        await asyncio.sleep(0.2)


async def _idle(client: ambient.Client) -> None:
    while (leader := (await client.health()).coordinator) is None or leader.open:
        await asyncio.sleep(0.05)


async def _lines_of_tasks(url: str) -> int:
    """How many different submissions TASKS holds."""
    lines: set[bytes] = set()

    def read(entry: Entry) -> None:
        if ".submit." in entry.subject:
            lines.update(entry.subject.encode() + line for line in entry.body.split(b"\n"))

    async with await Bus.connect(url, cluster="sys") as bus:
        last = (await bus.js.stream_info(bus.subjects.stream("tasks"))).state.last_seq
        reader = LogReader(bus, "tasks", read)
        reader.start()
        await reader.reached(last)
        await reader.stop()
    return len(lines)
