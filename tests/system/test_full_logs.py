"""Each log of a real cluster is full for a while: whoever writes it waits and says so, nobody's memory grows, and with room all goes on."""

import asyncio
from pathlib import Path

import pytest

from ambient.client import Client
from ambient.cluster import Supervisor
from bus.streams import last_sequence
from tests.system.logs import GUESTS, read_logs, running

_TASKS = 3000
_ROOM = 20_000
"""Bytes that the log still takes: for a few messages."""
_GROWTH = 96 * 1024 * 1024
"""What a process may grow by while it waits: its usual share of a load, and far less than what would gather in a minute."""


async def limit(client: Client, log: str, max_bytes: int | None) -> None:
    """Leave a log so many bytes beyond what it holds; None: plenty."""
    info = await client.bus.js.stream_info(client.bus.subjects.stream(log))
    most = info.state.bytes + (64 * 1024**2 if max_bytes is None else max_bytes)
    await client.bus.js.update_stream(info.config.evolve(max_bytes=most))


def resident(cluster: Supervisor) -> dict[str, int]:
    """Resident bytes of every service and node."""
    pids = {name: each.pid for name, each in cluster.running.items() if name != "nats-0"}
    return {name: int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 for name, pid in pids.items()}


async def says(cluster: Supervisor, process: str, words: str) -> None:
    """Wait until a process has logged these words."""
    async with asyncio.timeout(60):
        while not any(words in file.read_text() for file in cluster.plan.data.rglob(f"{process}.log")):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("log", "writer", "words"),
    [
        ("assignments", "coordinator-1", "a log takes nothing"),
        ("results", "node-1", "results are refused"),
        ("verdicts", "verifier-1", "a log takes nothing"),
    ],
)
async def test_a_full_log_makes_its_writer_wait_and_costs_nothing(
    tmp_path: Path, log: str, writer: str, words: str
) -> None:
    """Three thousand tasks meet the full log: complaint, standstill, bounded memory; then room, and each task has one verdict."""
    async with running(tmp_path, nodes=2) as (cluster, client):
        await client.run(GUESTS / "add.wasm", 1, 1, entry="add")
        await limit(client, log, _ROOM)
        before = resident(cluster)
        tasks = await client.submit_many(GUESTS / "add.wasm", [(n, 1) for n in range(_TASKS)], entry="add")
        await says(cluster, writer, words)
        if log == "results":
            async with asyncio.timeout(60):
                while not all("full" in node.safe_mode for node in await client.nodes()):
                    await asyncio.sleep(0.05)
        written = await last_sequence(client.bus, log)
        health = await client.health()
        grown = {name: size - before[name] for name, size in resident(cluster).items()}
        stuck = sum(not task.done for task in tasks)
        await limit(client, log, None)
        verdicts = await asyncio.wait_for(asyncio.gather(*(task.result() for task in tasks)), 120)
        logs = await read_logs(cluster)

    assert [verdict.value for verdict in verdicts] == [n + 1 for n in range(_TASKS)]
    logs.hold(_TASKS + 1)
    assert stuck > _TASKS / 2
    assert written > 0
    assert health.ok
    assert max(grown.values()) < _GROWTH
