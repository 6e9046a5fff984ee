"""`ambient up`: a cluster that keeps itself running and goes away when told, or when its supervisor is killed."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from ambient.client import connect
from ambient.cluster.forks import Child
from tests.command import ambient, started
from tests.documented import documented
from tests.system.logs import GUESTS

_FREE_PORTS = ("--port", "0", "--http-port", "0")


def _described(data: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((data / "cluster.json").read_text())
    return found


def _pid(data: Path, name: str) -> int | None:
    return next(p["pid"] for p in _described(data)["processes"] if p["name"] == name)


@asynccontextmanager
async def _up(data: Path) -> AsyncIterator[Child]:
    """`ambient up` as a process, ready to serve."""
    options = ("--nodes", "2", "--data", str(data), *_FREE_PORTS, "--json", "--slots", "1", "--cluster", "up")
    async with started("up", *options) as up:
        [told] = documented("up", await up.says(up.out))
        assert told == _described(data)
        yield up.child


async def _gone(pids: list[int]) -> None:
    while any(psutil.pid_exists(pid) for pid in pids):
        await asyncio.sleep(0.05)


async def test_what_dies_is_started_again_and_ctrl_c_stops_it_all(tmp_path: Path) -> None:
    """A killed node gets a new process id in cluster.json; SIGINT drains everything and exits 0."""
    async with _up(tmp_path) as process:
        mode = (tmp_path / "cluster.json").stat().st_mode & 0o777
        pids = [p["pid"] for p in _described(tmp_path)["processes"]]
        first = _pid(tmp_path, "node-1")
        assert first is not None
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(60):
            while _pid(tmp_path, "node-1") in (first, None):
                await asyncio.sleep(0.05)
        async with connect(_described(tmp_path)["nats"], cluster="up", client="t") as client:
            verdict = await client.run(GUESTS / "add.wasm", 40, 2, entry="add", timeout_s=30)
        pids += [p["pid"] for p in _described(tmp_path)["processes"]]
        process.send_signal(signal.SIGINT)
        code = await asyncio.wait_for(process.wait(), 60)
        await asyncio.wait_for(_gone(pids), 60)

    assert mode == 0o600
    assert verdict.value == 42
    assert code == 0
    assert not (tmp_path / "cluster.json").exists()


async def test_no_child_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    """Even kill -9 of `ambient up` leaves no process behind."""
    async with _up(tmp_path) as process:
        pids = [p["pid"] for p in _described(tmp_path)["processes"]]
        process.kill()
        await asyncio.wait_for(_gone(pids), 60)

        assert len(pids) == 7


async def test_a_restarted_cluster_remembers_its_verdicts(tmp_path: Path) -> None:
    """Stopped and started on the same folder, a cluster gives the same verdict for the same task, without running it again."""
    verdicts = []
    for _ in range(2):
        async with _up(tmp_path) as process:
            async with connect(_described(tmp_path)["nats"], cluster="up", client="t") as client:
                verdicts.append(
                    await client.run(GUESTS / "add.wasm", 1, 2, entry="add", id="kept", timeout_s=30)
                )
                nodes = [node.key for node in await client.nodes()]
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.wait(), 60)

    assert verdicts[0] == verdicts[1]
    assert len(set(nodes)) == 2


async def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    """A second cluster in the same folder is refused with what to do about it."""
    async with _up(tmp_path):
        second = await ambient("up", "--data", str(tmp_path), *_FREE_PORTS)

        assert second.returncode == 2
        assert b"already runs" in second.stderr
