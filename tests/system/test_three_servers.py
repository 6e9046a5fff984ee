"""Three NATS servers: any one of them may be killed, cut off or restarted under load, and nothing is lost, nothing comes twice, no client sees an error."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest

from ambient.client import Client
from ambient.cluster import Supervisor
from ambient.cluster.running import Running
from bus.errors import BusError
from bus.messages import ServiceHealth
from tests.system.logs import GUESTS, read_logs, running
from tests.system.proxy import Routes

_THREE: dict[str, Any] = {"servers": 3, "coordinators": 2, "verifiers": 2, "nodes": 2}


async def _leader(client: Client, log: str) -> str:
    """The server that leads a log, once one does."""
    info = await client.bus.js.stream_info(client.bus.subjects.stream(log))
    while info.cluster is None or info.cluster.leader is None:
        await asyncio.sleep(0.1)
        info = await client.bus.js.stream_info(client.bus.subjects.stream(log))
    return info.cluster.leader


async def _lead(client: Client, log: str, server: str) -> None:
    """Make that server the leader of a log."""
    stream = client.bus.subjects.stream(log)
    wish = json.dumps({"placement": {"preferred": server}}).encode()
    async with asyncio.timeout(60):
        while await _leader(client, log) != server:
            await client.bus.request_bytes(f"$JS.API.STREAM.LEADER.STEPDOWN.{stream}", wish)
            await asyncio.sleep(0.1)


class _Load:
    """A map that goes on until it is told to end, and counts what comes back."""

    def __init__(self, client: Client) -> None:
        self.seen: Counter[int] = Counter()
        self._client = client
        self._fed = 0
        self._end = asyncio.Event()
        self._moved = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def _items(self) -> AsyncIterator[tuple[int, int]]:
        while not self._end.is_set():
            self._fed += 1
            yield self._fed, 1
            await asyncio.sleep(0.002)

    async def _run(self) -> None:
        async for index, verdict in self._client.map(
            GUESTS / "add.wasm", self._items(), entry="add", in_flight=4096
        ):
            assert verdict.value == index + 2
            self.seen[index] += 1
            self._moved.set()

    async def more(self, verdicts: int) -> None:
        """Wait until so many more verdicts have come; raises what the map raised."""
        wanted = self.seen.total() + verdicts
        while self.seen.total() < wanted:
            self._moved.clear()
            moved = asyncio.create_task(self._moved.wait())
            await asyncio.wait((moved, self._task), return_when=asyncio.FIRST_COMPLETED)
            moved.cancel()
            if self._task.done():
                self._task.result()

    async def ended(self) -> int:
        """Feed no more, wait for the rest, and return how many there were, once each."""
        self._end.set()
        await self._task
        assert self.seen == Counter(range(self._fed))
        return self._fed


async def _whole(cluster: Supervisor) -> None:
    """Wait until every server is up and has caught up with the others."""
    for server in cluster.servers.servers:
        await server.ready()
    await cluster.servers.formed()


@pytest.mark.long
async def test_killed_leaders_cost_time_and_nothing_else(tmp_path: Path) -> None:
    """Kill -9 of the server that leads TASKS, then of the one that leads VERDICTS, under load: every task has one verdict."""
    async with running(tmp_path, **_THREE) as (cluster, client):
        load = _Load(client)
        await asyncio.wait_for(load.more(200), 60)
        for log in ("tasks", "verdicts"):
            victim = await _leader(client, log)
            cluster.kill(victim)
            await asyncio.wait_for(load.more(300), 60)
            assert cluster.running[victim].policy.count >= 1
            await _whole(cluster)
        tasks = await asyncio.wait_for(load.ended(), 60)
        logs = await read_logs(cluster)

    logs.hold(tasks)


@pytest.mark.long
async def test_a_server_that_is_cut_off_is_left_and_loses_nothing(tmp_path: Path) -> None:
    """The leader of ASSIGNMENTS and VERDICTS is parted from both others: who was connected to it moves on, and when it is back all is whole."""
    routes = Routes()
    async with running(tmp_path, routes=routes, **_THREE) as (cluster, client):
        victim = await _leader(client, "assignments")
        await _lead(client, "verdicts", victim)
        load = _Load(client)
        await asyncio.wait_for(load.more(200), 60)
        routes.cut_off(victim)
        await asyncio.wait_for(load.more(1000), 60)
        leaders = {await _leader(client, log) for log in ("tasks", "assignments", "results", "verdicts")}
        at = client.bus.client.connected_url
        routes.mend()
        await asyncio.wait_for(load.more(300), 60)
        await _whole(cluster)
        tasks = await asyncio.wait_for(load.ended(), 60)
        logs = await read_logs(cluster)

    assert victim not in leaders
    assert at is not None
    assert at.netloc not in cluster.servers[victim].url
    logs.hold(tasks)


@pytest.mark.long
async def test_a_rolling_restart_is_not_noticed(tmp_path: Path) -> None:
    """As in an upgrade: every server and service is told to end and starts again, one after the other, and every node after it was drained, under a map that goes on without an error."""
    async with running(tmp_path, **_THREE) as (cluster, client):
        load = _Load(client)
        await asyncio.wait_for(load.more(100), 60)
        for name, process in list(cluster.running.items()):
            before = process.pid
            if process.plan.role == "node":
                await _in_time(f"{name} to be empty", _drained(client, name))
                await _in_time(f"verdicts without {name}", load.more(50))
                assert (await client.drain(name)).empty
            cluster.kill(name, signal.SIGTERM)
            await _in_time(f"{name} to end and start again", _another(process, before))
            await _in_time(f"the servers to be whole after {name}", _whole(cluster))
            await _in_time(f"leaders after {name}", _led(client))
            if process.plan.role == "node":
                await _in_time(f"{name} to work again", _healthy(client, name))
            await _in_time(f"verdicts after {name}", load.more(100))
        tasks = await asyncio.wait_for(load.ended(), 60)
        logs = await read_logs(cluster)

    logs.hold(tasks)


async def _in_time(what: str, fact: Coroutine[None, None, None]) -> None:
    try:
        await asyncio.wait_for(fact, 60)
    except TimeoutError:
        pytest.fail(f"waited 60 s for {what}")


async def _drained(client: Client, node: str) -> None:
    while not (await client.drain(node)).empty:
        await asyncio.sleep(0.05)


async def _healthy(client: Client, node: str) -> None:
    while ("healthy", node) not in [(each.state, each.node) for each in await client.nodes()]:
        await asyncio.sleep(0.05)


async def _another(process: Running, before: int | None) -> None:
    while process.pid in (before, None):
        await asyncio.sleep(0.05)


async def _led(client: Client) -> None:
    """Wait until a coordinator and a verifier answer as leading."""
    for service in ("coordinator", "verifier"):
        while True:
            try:
                found = await client.bus.request(
                    client.bus.subjects.service(service, "health"), b"{}", ServiceHealth, timeout_s=1
                )
            except BusError:
                found = None
            if found is not None and found.leading:
                break
            await asyncio.sleep(0.05)
