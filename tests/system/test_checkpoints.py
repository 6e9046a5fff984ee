"""Services begin from checkpoints, logs are cut below them, and neither is seen by a client: on real processes."""

import asyncio
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from ambient.audit import audit
from ambient.client import Client
from ambient.cluster import Supervisor
from ambient.errors import BusUnavailable
from ambient.task import Task
from bus.messages import WhyReply
from bus.streams import extent
from folds.store import manifests_of
from tests.system.logs import GUESTS, running

_ADD = GUESTS / "add.wasm"
_LOGS = ("tasks", "assignments", "results", "verdicts")
_SERVICES = ("coordinator-1", "verifier-1")
_QUICK = {"coordinator": ("--checkpoint-s", "0.5"), "verifier": ("--checkpoint-s", "0.5")}
_FORGETFUL = _QUICK | {"coordinator": ("--checkpoint-s", "0.5", "--keep-hours", str(3 / 3600))}


async def _sums(client: Client, count: int) -> None:
    answers = {}
    async for index, verdict in client.map(_ADD, [(number, 1) for number in range(count)], entry="add"):
        answers[index] = verdict.value
    assert answers == {number: number + 1 for number in range(count)}


async def _kept(client: Client, services: tuple[str, ...] = ("coordinator", "verifier")) -> None:
    """Until both folds have two checkpoints, the newest of which reaches all that is in the logs now."""
    ends = {log: (await extent(client.bus, log)).last for log in (*_LOGS, "anchors")}
    for fold in services:
        while True:
            found = await manifests_of(client.bus, fold)
            if len(found) > 1 and all(found[0][1].positions.get(log, at) >= at for log, at in ends.items()):
                break
            # Something new each time, so that there is something new to keep.
            await client.run(_ADD, 1, 1, entry="add")
            await asyncio.sleep(0.2)


async def _cut(client: Client, *more: str) -> None:
    """Until every log has been cut, and `more` ones that not every cluster has."""
    while min([(await extent(client.bus, log)).first for log in (*_LOGS, *more)]) <= 1:
        await _sums(client, 50)
        await asyncio.sleep(0.3)


async def _restart(cluster: Supervisor, *names: str) -> None:
    """Kill -9, and wait until each runs again."""
    before = {name: cluster.running[name].policy.count for name in names}
    for name in names:
        cluster.kill(name, signal.SIGKILL)
    while any(cluster.running[name].policy.count == before[name] for name in names):
        await asyncio.sleep(0.02)


async def _why(client: Client, task: Task) -> WhyReply:
    """Ask until the coordinator answers: the verifier may be back before it."""
    while True:
        try:
            return await client.why(task)
        except BusUnavailable:
            await asyncio.sleep(0.05)


async def test_services_go_on_from_their_checkpoints(tmp_path: Path) -> None:
    """Killed with tasks finished, open and waiting behind them: each ends in its one verdict, and ids still stand for theirs."""
    async with running(tmp_path, service_options=_QUICK) as (cluster, client), asyncio.timeout(90):
        first = await client.run(_ADD, 40, 2, entry="add", id="first")
        await _sums(client, 300)
        waiting = await client.submit(_ADD, 1, 2, entry="add", place={"node": "late"})
        await _kept(client)
        await _restart(cluster, *_SERVICES)
        again = await client.run(_ADD, 40, 2, entry="add", id="first")
        told = await _why(client, waiting)
        await cluster.add(cluster.plan.node("late", cluster.nats))
        verdict = await waiting.result()
        await _sums(client, 300)
        logs = [(tmp_path / "logs" / f"{name}.log").read_text() for name in _SERVICES]

    assert (again.evidence, again.nodes) == (first.evidence, first.nodes)
    assert told.state == "waiting"
    assert verdict.value == 3
    # Each began once with nothing and once from where its checkpoint ended.
    assert all(log.count('"event": "following"') == 2 for log in logs)


@pytest.mark.long
async def test_logs_are_cut_below_the_checkpoints_and_nothing_is_missed(tmp_path: Path) -> None:
    """While a task is open the logs keep it; then they are cut, and services that begin on empty disks go on as if nothing had been."""
    options: dict[str, Any] = {"coordinators": 2, "verifiers": 2, "anchors": 1}
    options["service_options"] = _FORGETFUL | {"anchor": ("--checkpoint-s", "0.5", "--every-s", "0.2")}
    async with running(tmp_path, **options) as (cluster, client), asyncio.timeout(180):
        waiting = await client.submit(_ADD, 1, 2, entry="add", id="waits", place={"node": "late"})
        held = (await extent(client.bus, "tasks")).last
        for _ in range(20):  # twice the retention, and more
            await _sums(client, 50)
            await asyncio.sleep(0.3)
        kept_open = (await extent(client.bus, "tasks")).first
        await waiting.cancel()
        await waiting.result(check=False)
        await _cut(client, "anchors")
        begins = {log: (await extent(client.bus, log)).first for log in (*_LOGS, "anchors")}
        names = ("coordinator-1", "coordinator-2", "verifier-1", "verifier-2", "anchor-1")
        for name in names:
            shutil.rmtree(tmp_path / name / "checkpoint")
        await _restart(cluster, *names)
        await _sums(client, 300)
        nodes = {node.node for node in await client.nodes()}
        _, receipt = await client.receipt("waits", wait=True, timeout_s=60)
        report = await audit(client.bus, retention_ms=3000)

    assert report.violations == ()
    assert kept_open <= held
    assert all(first > 1 for first in begins.values())
    assert (receipt.verdict.status, receipt.confirmed is not None) == ("cancelled", True)
    assert nodes == {"node-1", "node-2", "node-3"}


async def test_without_any_checkpoint_the_logs_that_are_left_will_do(tmp_path: Path) -> None:
    """All checkpoints are lost after the logs were cut: nodes keep their keys, what is open ends, and no verdict comes twice."""
    async with running(tmp_path, service_options=_FORGETFUL) as (cluster, client), asyncio.timeout(120):
        await _cut(client)
        waiting = await client.submit(_ADD, 1, 2, entry="add", place={"node": "late"})
        keys = {node.node: node.key for node in await client.nodes()}
        await client.bus.js.purge_stream(client.bus.subjects.stream("checkpoints"))
        for name in _SERVICES:
            shutil.rmtree(tmp_path / name / "checkpoint", ignore_errors=True)
        heard: list[str] = []

        async def hear(message: Any) -> None:
            heard.append(message.subject)

        await client.bus.subscribe(client.bus.subjects.done("tester.*"), hear)
        await _restart(cluster, *_SERVICES)
        await cluster.add(cluster.plan.node("late", cluster.nats))
        verdict = await waiting.result()
        await _sums(client, 100)
        after = {node.node: node.key for node in await client.nodes()}
        report = await audit(client.bus, retention_ms=3000)

    assert report.violations == ()
    assert verdict.value == 3
    assert {name: after[name] for name in keys} == keys
    assert heard.count(f"avcp.sys.done.{waiting.name}") == 1
