"""Wall clocks of services are put forward and back: nobody's answer depends on them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ambient.client import Client, connect
from ambient.cluster import ClusterPlan, ProcessPlan, Supervisor
from ambient.cluster.running import Running
from folds.store import manifests_of
from tests.chaos.means import Clocks, Unavailable
from tests.system.logs import GUESTS, read_logs

_ADD = GUESTS / "add.wasm"
_DAY_S = 30 * 3600.0


class _Clocked(Supervisor):
    """A cluster each of whose processes has a wall clock of its own."""

    clocks: Clocks

    async def add(self, plan: ProcessPlan) -> Running:
        environment = self.clocks.environment(plan.name)
        return await super().add(replace(plan, command=("env", *environment, *plan.command)))

    async def lose(self, name: str) -> None:
        """Kill a process for good."""
        lost = self.running.pop(name)
        lost.wanted = False
        assert lost.process is not None
        lost.process.kill()
        await lost.process.wait()


@asynccontextmanager
async def _clocked(folder: Path) -> AsyncIterator[tuple[_Clocked, Client]]:
    often = ("--checkpoint-s", "0.5")
    plan = ClusterPlan(
        data=folder / "cluster", cluster="sys", nodes=2, slots=1,
        service_options={"coordinator": often, "verifier": often},
    )  # fmt: skip
    cluster = _Clocked(plan)
    try:
        cluster.clocks = Clocks(folder / "clocks")
    except Unavailable as error:
        pytest.skip(str(error))
    async with cluster, connect(cluster.nats, cluster="sys", client="tester") as client:
        yield cluster, client


async def _checkpoints(client: Client, beyond: int) -> None:
    """Wait until both services have two checkpoints that reach so far in TASKS, and ten more tasks are done."""
    async with asyncio.timeout(60):
        for fold in ("coordinator", "verifier"):
            while True:
                kept = [manifest.positions for _, manifest in await manifests_of(client.bus, fold)]
                log = "tasks" if fold == "coordinator" else "verdicts"
                if len(kept) == 2 and min(each.get(log, 0) for each in kept) >= beyond:
                    break
                await client.run(_ADD, 1, 1, entry="add")


@pytest.mark.long
async def test_a_clock_that_jumps_makes_nobody_forget_and_leaves_nothing_to_the_dead(tmp_path: Path) -> None:
    """Clocks of services go a day forward, then two days back. No log is cut, an old id has its verdict, and a dead node's tasks go to another."""
    async with _clocked(tmp_path) as (cluster, client):
        first = await client.run(_ADD, 1, 2, entry="add", id="once")
        await _checkpoints(client, 2)
        for name in ("coordinator-1", "verifier-1"):
            cluster.clocks.put(name, _DAY_S)
        await _checkpoints(client, 12)
        again = await client.run(_ADD, 1, 2, entry="add", id="once", timeout_s=30)
        for name in ("coordinator-1", "verifier-1"):
            cluster.clocks.put(name, -_DAY_S)
        await _checkpoints(client, 18)
        tasks = await client.submit_many(_ADD, [(n, 1) for n in range(300)], entry="add")
        await cluster.lose("node-2")
        verdicts = await asyncio.gather(*(task.result(timeout_s=60) for task in tasks))
        logs = await read_logs(cluster)

    assert again == first
    assert [verdict.value for verdict in verdicts] == [n + 1 for n in range(300)]
    logs.hold()
    begins = {each.log: each.first for each in logs.report.logs}
    assert begins == dict.fromkeys(("tasks", "assignments", "results", "verdicts"), 1)
