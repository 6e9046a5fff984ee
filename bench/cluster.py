"""A whole local cluster to measure, and what each of its processes costs in CPU time and memory."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from ambient.client import Client, connect
from ambient.cluster import ClusterPlan, Supervisor

__all__ = ["GUESTS", "cluster", "cpu_seconds", "resident_bytes", "run"]

GUESTS = Path(__file__).parent.parent / "examples" / "guests"


def run[T](work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on uvloop where it is installed, as the command itself does."""
    try:
        import uvloop  # noqa: PLC0415 -- optional, as for the command itself
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


@asynccontextmanager
async def cluster(*, nodes: int = 2, slots: int = 1, **more: Any) -> AsyncIterator[tuple[Supervisor, Client]]:
    """A cluster of separate processes on this machine, fsync on every write, and a client of it; `more` is for the `ClusterPlan`."""
    with tempfile.TemporaryDirectory(prefix="ambient-bench-") as folder:
        plan = ClusterPlan(data=Path(folder), cluster="bench", nodes=nodes, slots=slots, **more)
        async with (
            Supervisor(plan) as running,
            connect(running.nats, cluster="bench", client="bench") as client,
        ):
            yield running, client


def resident_bytes(running: Supervisor) -> dict[str, int]:
    """Resident memory of each process by its name, without a node's slots; what is just being started again is left out."""
    found = {}
    for name, process in running.running.items():
        if process.pid is not None:
            with contextlib.suppress(psutil.Error):
                found[name] = int(psutil.Process(process.pid).memory_info().rss)
    return found


def cpu_seconds(running: Supervisor) -> dict[str, float]:
    """CPU time used so far by role (`server`, `coordinator`, `verifier`, `node`, `slot`) and by this client."""
    used: dict[str, float] = {"client": _cpu(psutil.Process())}
    for process in running.running.values():
        if process.pid is None:
            continue
        parent = psutil.Process(process.pid)
        role = process.plan.role
        used[role] = used.get(role, 0.0) + _cpu(parent)
        for child in parent.children(recursive=True):
            used["slot"] = used.get("slot", 0.0) + _cpu(child)
    return used


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)
