"""A whole local cluster to measure, and what each of its processes costs in CPU time."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from ambient.client import Client, connect
from ambient.cluster import ClusterPlan, Supervisor

__all__ = ["GUESTS", "cluster", "cpu_seconds"]

GUESTS = Path(__file__).parent.parent / "examples" / "guests"


@asynccontextmanager
async def cluster(*, nodes: int = 2, slots: int = 1) -> AsyncIterator[tuple[Supervisor, Client]]:
    """A cluster of separate processes on this machine, fsync on every write, and a client of it."""
    with tempfile.TemporaryDirectory(prefix="ambient-bench-") as folder:
        plan = ClusterPlan(data=Path(folder), cluster="bench", nodes=nodes, slots=slots)
        async with (
            Supervisor(plan) as running,
            connect(running.nats, cluster="bench", client="bench") as client,
        ):
            yield running, client


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
