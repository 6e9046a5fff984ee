"""Ten minutes of load: what each process holds in memory meanwhile, and how long its fold takes to begin again afterwards.

`SOAK_S` is the time in seconds (default 600). The first quarter is for what has a bound to fill up to it: caches, the newest of
what is finished, the allocator. After it nothing may grow.
"""

import asyncio
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from ambient.client import Client
from ambient.cluster import Supervisor
from bench.cluster import GUESTS, cluster
from bench.rows import Row, median_of
from bus.errors import BusError
from bus.messages import ServiceHealth

_SOAK_S = float(os.environ.get("SOAK_S", "600"))
_SAMPLE_S = 5.0
_MB = 1024 * 1024
_SERVICES = ("coordinator-1", "verifier-1")


def main() -> list[Row]:
    """Resident memory of every process through the soak, tasks done in it, and the restart of both folds behind them."""
    return asyncio.run(_measure())


async def _measure() -> list[Row]:
    async with cluster() as (running, client):
        samples: dict[str, list[int]] = {}
        sampling = asyncio.create_task(_sample(running, samples))
        begun = time.monotonic()
        done = await _load(client, begun + _SOAK_S)
        rate = done / (time.monotonic() - begun)
        sampling.cancel()
        took_s = [await _restart(running, client, name) for name in _SERVICES]
    rows = [
        Row(name="tasks finished", value=done, unit="tasks", better="higher"),
        Row(name="rate through the soak", value=rate, unit="tasks/s", better="higher"),
    ]
    for name, sizes in samples.items():
        rows += _growth(name, sizes)
    for name, (fold_s, whole_s) in zip(_SERVICES, took_s, strict=True):
        rows.append(
            Row(
                name=f"{name} folds what came since its checkpoint",
                value=fold_s,
                unit="s",
                aim=1,
                floor=2,
                note="behind all of them",
            )
        )
        rows.append(Row(name=f"{name} leads again after kill -9, without a standby", value=whole_s, unit="s"))
    return rows


def _growth(name: str, sizes: Sequence[int]) -> list[Row]:
    quarter = max(1, len(sizes) // 4)
    before, after = median_of(sizes[quarter : quarter * 2]), median_of(sizes[-quarter:])
    return [
        Row(name=f"{name}, memory at the end", value=after / _MB, unit="MB"),
        Row(
            name=f"{name}, growth",
            value=100 * (after / before - 1),
            unit="%",
            aim=2,
            floor=5,
            baseline="its second quarter",
            ratio=after / before,
        ),
    ]


async def _load(client: Client, until: float) -> int:
    """One burst after the other; returns how many verdicts there were."""
    done = 0
    while time.monotonic() < until:
        inputs = ((number, 1) for number in range(20_000))
        async for chunk in client.chunks(GUESTS / "add.wasm", inputs, entry="add", in_flight=2048):
            done += len(chunk)
    return done


async def _sample(running: Supervisor, samples: dict[str, list[int]]) -> None:
    while True:
        for name, process in running.running.items():
            if process.pid is not None:
                samples.setdefault(name, []).append(psutil.Process(process.pid).memory_info().rss)
        await asyncio.sleep(_SAMPLE_S)


async def _restart(running: Supervisor, client: Client, name: str) -> tuple[float, float]:
    """Kill a service; how long its successor folded, by its own log, and how long it was until it led."""
    log = running.plan.data / "logs" / f"{name}.log"
    before = len(_folding(log))
    running.kill(name)
    begun = time.monotonic()
    subject = client.bus.subjects.service(name.removesuffix("-1"), "health")
    while len(_folding(log)) == before or not await _leads(client, subject):
        await asyncio.sleep(0.02)
    return _folding(log)[-1], time.monotonic() - begun


async def _leads(client: Client, subject: str) -> bool:
    try:
        return (await client.bus.request(subject, b"{}", ServiceHealth)).leading
    except BusError:  # nobody answers yet
        return False


def _folding(log: Path) -> list[float]:
    """How long each life of a service took to fold, by its log."""
    lines = log.read_text().splitlines()
    return [json.loads(line)["took_s"] for line in lines if '"event": "following"' in line]
