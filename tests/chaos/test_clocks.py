"""Wall clocks of services are put forward and back: nobody's answer depends on them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ambient.client import Client, connect
from ambient.cluster import ClusterPlan, ProcessPlan, Supervisor
from ambient.cluster.supervisor import Running
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


@pytest.mark.parametrize("jump_s", [_DAY_S, -_DAY_S])
async def test_a_clock_that_jumps_makes_nobody_forget(tmp_path: Path, jump_s: float) -> None:
    """The coordinator's clock is put a day forward, or back: an id that was used a minute ago still has its verdict, and no log is cut."""
    async with _clocked(tmp_path) as (cluster, client):
        first = await client.run(_ADD, 1, 2, entry="add", id="once")
        await _checkpoints(client, 2)
        for name in ("coordinator-1", "verifier-1"):
            cluster.clocks.put(name, jump_s)
        await _checkpoints(client, 20)
        for name in ("coordinator-1", "verifier-1"):
            cluster.clocks.put(name, 0.0)
        await _checkpoints(client, 30)
        again = await client.run(_ADD, 1, 2, entry="add", id="once", timeout_s=30)
        logs = await read_logs(cluster)

    assert again == first
    logs.hold()
    assert {each.log: each.first for each in logs.report.logs} == dict.fromkeys(
        ("tasks", "assignments", "results", "verdicts"), 1
    )


async def test_a_clock_that_was_put_back_leaves_no_task_to_a_dead_node(tmp_path: Path) -> None:
    """While the coordinator's clock is a day ahead a node hands in and dies; when it is right again its tasks go to the other one."""
    async with _clocked(tmp_path) as (cluster, client):
        cluster.clocks.put("coordinator-1", _DAY_S)
        tasks = await client.submit_many(_ADD, [(n, 1) for n in range(50)], entry="add")
        await asyncio.gather(*(task.result(timeout_s=60) for task in tasks))
        await cluster.remove("node-2")
        await cluster.add(cluster.plan.node("node-2", cluster.nats))
        pid = cluster.running["node-2"]
        pid.wanted = False
        tasks = await client.submit_many(_ADD, [(n, 1) for n in range(200)], entry="add")
        cluster.kill("node-2")
        cluster.clocks.put("coordinator-1", 0.0)
        verdicts = await asyncio.gather(*(task.result(timeout_s=60) for task in tasks))
        logs = await read_logs(cluster)

    assert [verdict.value for verdict in verdicts] == [n + 1 for n in range(200)]
    logs.hold(250)
