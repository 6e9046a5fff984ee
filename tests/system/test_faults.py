"""Processes are killed, stopped and doubled under load; the logs show that nothing was lost or decided twice."""

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from ambient.client import Client
from ambient.cluster import Supervisor
from bus.errors import BusError
from bus.messages import ServiceHealth
from tests.system.logs import GUESTS, read_logs, running

_TASKS = 600


async def _under_load(
    client: Client, cluster: Supervisor, hits: dict[int, str], *, verify: str = "signature"
) -> None:
    """Run a map, sending SIGKILL to a process each time that so many verdicts have come; check every answer."""
    seen: Counter[int] = Counter()
    inputs = ((20_000 + n,) for n in range(_TASKS))
    async for index, verdict in client.map(
        GUESTS / "primes.wasm", inputs, entry="count_primes", verify=verify, in_flight=150
    ):
        assert verdict.verified
        seen[index] += 1
        if victim := hits.pop(sum(seen.values()), None):
            cluster.kill(victim)

    assert seen == Counter(range(_TASKS))


@pytest.mark.parametrize("victim", ["node-1", "coordinator-1", "verifier-1", "nats-0"])
async def test_a_killed_process_costs_time_and_nothing_else(tmp_path: Path, victim: str) -> None:
    """After kill -9 of any process under load every task has one verdict and every attempt one decision."""
    async with running(tmp_path) as (cluster, client):
        await asyncio.wait_for(_under_load(client, cluster, {100: victim, 350: victim}), 90)
        logs = await read_logs(cluster)

    logs.hold(_TASKS)


async def test_quorum_survives_a_killed_node(tmp_path: Path) -> None:
    """With 2 of 3 required and one of four nodes killed, all tasks are verified by two nodes."""
    async with running(tmp_path, nodes=4) as (cluster, client):
        await asyncio.wait_for(_under_load(client, cluster, {100: "node-2"}, verify="quorum:2/3"), 90)
        logs = await read_logs(cluster)

    logs.hold(_TASKS)


async def test_a_stale_coordinator_that_wakes_decides_nothing(tmp_path: Path) -> None:
    """The leader is paused, its twin takes over, the old one wakes: no attempt is decided twice."""
    async with running(tmp_path, coordinators=2) as (cluster, client):
        leader = (await client.health()).coordinator
        assert leader is not None
        pid = cluster.running[leader.name].pid
        assert pid is not None
        load = asyncio.create_task(_under_load(client, cluster, {}))
        os.kill(pid, signal.SIGSTOP)
        try:
            other = await asyncio.wait_for(_another_leader(client, leader.name), 60)
        finally:
            os.kill(pid, signal.SIGCONT)
        await asyncio.wait_for(load, 90)
        logs = await read_logs(cluster)

    assert other != leader.name
    logs.hold(_TASKS)


async def test_a_liar_is_outvoted_and_named(tmp_path: Path) -> None:
    """A node that alters its answers never wins against two honest ones, and its reputation says so."""
    options = {"extra_nodes": ("liar",), "node_options": {"liar": ("--fault", "lie")}}
    async with running(tmp_path, **options) as (cluster, client):
        async for index, verdict in client.map(
            GUESTS / "add.wasm", [(n, 1) for n in range(40)], entry="add", verify="quorum:2/3"
        ):
            assert verdict.value == index + 1
            assert "liar" not in verdict.nodes
        named = await asyncio.wait_for(_dissenter(client), 60)
        logs = await read_logs(cluster)

    assert named == "liar"
    logs.hold(40)


async def _another_leader(client: Client, than: str) -> str:
    """The name of whoever leads instead. A paused leader still gets its share of the questions, so none waits long for it."""
    subject = client.bus.subjects.service("coordinator", "health")
    while True:
        try:
            found = await client.bus.request(subject, b"{}", ServiceHealth, timeout_s=0.5)
        except BusError:  # nobody leads at this moment, or the paused one was asked
            found = None
        if found is not None and found.leading and found.name != than:
            return found.name
        await asyncio.sleep(0.05)


async def _dissenter(client: Client) -> str:
    while True:
        for node in await client.nodes():
            if node.dissented:
                return node.node
        await asyncio.sleep(0.05)
