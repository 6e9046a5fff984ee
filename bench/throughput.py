"""Verified, signed WASM tasks per second through all processes, and where the CPU time goes."""

import time

from ambient.client import Client
from bench.cluster import GUESTS, cluster, cpu_seconds, run
from bench.rows import Row, median_of

_BURST = 20_000
_RUNS = 3


def main() -> list[Row]:
    """Median of three bursts of 20,000 tasks: an exported function, and a WASI command."""
    return run(_measure())


async def burst(client: Client, entry: str, module: str) -> float:
    """Tasks per second of one burst of 20,000."""
    arguments = ((n, 1) for n in range(_BURST)) if entry != "_start" else (() for _ in range(_BURST))
    begun = time.perf_counter()
    done = 0
    async for chunk in client.chunks(GUESTS / module, arguments, entry=entry, in_flight=4096):
        done += len(chunk)
    assert done == _BURST  # noqa: S101 -- a rate of anything else means nothing
    return _BURST / (time.perf_counter() - begun)


async def _measure() -> list[Row]:
    async with cluster() as (running, client):
        await burst(client, "add", "add.wasm")
        before = cpu_seconds(running)
        rates = [await burst(client, "add", "add.wasm") for _ in range(_RUNS)]
        after = cpu_seconds(running)
        commands = [await burst(client, "_start", "fast.wasm") for _ in range(_RUNS)]
    per_task_us = {role: (after[role] - before.get(role, 0.0)) / (_RUNS * _BURST) * 1e6 for role in after}
    rate, command_rate = median_of(rates), median_of(commands)
    rows = [
        Row(
            name="exported function, burst of 20,000",
            value=rate,
            unit="tasks/s",
            better="higher",
            aim=6000,
            floor=3500,
        ),
        Row(
            name="WASI command, burst of 20,000",
            value=command_rate,
            unit="tasks/s",
            better="higher",
            baseline="exported function",
            ratio=command_rate / rate,
        ),
        Row(name="CPU per task, all processes", value=sum(per_task_us.values()), unit="us"),
    ]
    return rows + [
        Row(name=f"CPU per task, {role}", value=us, unit="us") for role, us in sorted(per_task_us.items())
    ]
