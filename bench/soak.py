"""Ten minutes of load: what each process holds in memory meanwhile, and how long its fold takes to begin again behind all of that.

`SOAK_S` is the time in seconds (default 600). The first quarter is for what has a bound to fill up to it: caches, the newest of
what is finished, the allocator. After it nothing may grow. The retention is the usual day, so nothing is forgotten meanwhile: of a
finished task two bytes remain in memory (`bench.retention` shows what happens when they go).
"""

import asyncio
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from ambient.client import Client
from ambient.cluster import Supervisor
from bench.cluster import GUESTS, cluster, resident_bytes, run
from bench.rows import Row, median_of
from bus.errors import BusError
from bus.messages import ServiceHealth

_SOAK_S = float(os.environ.get("SOAK_S", "600"))
_SAMPLE_S = 2.0
_MB = 1024 * 1024
_MANY = 1_000_000
_FEW_SAMPLES = 4
_SERVICES = ("coordinator-1", "verifier-1")


class Progress:
    """Tasks finished so far, and the memory of each process from time to time: (tasks finished then, bytes)."""

    def __init__(self) -> None:
        self.done = 0
        self.samples: dict[str, list[tuple[int, int]]] = {}

    def sizes(self, name: str) -> list[int]:
        """The memory of one process, in the order of time."""
        return [size for _, size in self.samples[name]]

    def at(self, name: str, done: int) -> int | None:
        """The memory of one process once so many were finished; None where there were never so many."""
        return next((size for at, size in self.samples[name] if at >= done), None)


def main() -> list[Row]:
    """Resident memory of every process through the soak, tasks done in it, and the restart of both folds behind them."""
    return run(_measure())


async def _measure() -> list[Row]:
    progress = Progress()
    async with cluster() as (running, client):
        sampling = asyncio.create_task(_sample(running, progress))
        begun = time.monotonic()
        await _load(client, begun + _SOAK_S, progress)
        rate = progress.done / (time.monotonic() - begun)
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)
        took_s = [await _restart(running, client, name) for name in _SERVICES]
    behind = f"behind {progress.done:,} tasks"
    return [
        Row(name="tasks finished", value=progress.done, unit="tasks", better="higher"),
        Row(name="rate through the soak", value=rate, unit="tasks/s", better="higher"),
        *_memory(progress),
        *(
            Row(
                name=f"{name} folds what came since its checkpoint, {behind}",
                value=fold_s,
                unit="s",
                aim=1,
                floor=2,
            )
            for name, (fold_s, _) in zip(_SERVICES, took_s, strict=True)
        ),
        *(
            Row(
                name=f"{name} leads again after kill -9, without a standby, {behind}", value=whole_s, unit="s"
            )
            for name, (_, whole_s) in zip(_SERVICES, took_s, strict=True)
        ),
    ]


def _memory(progress: Progress) -> list[Row]:
    """Memory of each process after a million, and its growth; and the growth of the one that grew most."""
    names = [name for name, sizes in progress.samples.items() if len(sizes) >= _FEW_SAMPLES]
    growth = {name: growth_percent(progress.sizes(name)) for name in names}
    most = max(growth, key=lambda name: growth[name])
    rows = [
        Row(
            name=f"memory growth through a soak of {_SOAK_S:g} s, of the process that grew most",
            value=growth[most],
            unit="%",
            aim=2,
            floor=5,
            baseline="its second quarter",
            note=most,
        )
    ]
    for name in names:
        after_many = progress.at(name, _MANY)
        if after_many is not None:
            rows.append(
                Row(name=f"{name}, memory after {_MANY:,} finished tasks", value=after_many / _MB, unit="MB")
            )
        rows.append(
            Row(
                name=f"{name}, memory at the end",
                value=median_of(progress.sizes(name)[-_FEW_SAMPLES:]) / _MB,
                unit="MB",
            )
        )
        rows.append(Row(name=f"{name}, growth", value=growth[name], unit="%", baseline="its second quarter"))
    return rows


def growth_percent(sizes: Sequence[float]) -> float:
    """How much more there is in the last quarter than in the second one, medians of both, in per cent."""
    quarter = max(1, len(sizes) // 4)
    before, after = median_of(sizes[quarter : quarter * 2]), median_of(sizes[-quarter:])
    return 100 * (after / before - 1)


async def _load(client: Client, until: float, progress: Progress) -> None:
    """One burst after the other."""
    while time.monotonic() < until:
        inputs = ((number, 1) for number in range(20_000))
        async for chunk in client.chunks(GUESTS / "add.wasm", inputs, entry="add", in_flight=2048):
            progress.done += len(chunk)


async def _sample(running: Supervisor, progress: Progress) -> None:
    while True:
        for name, size in resident_bytes(running).items():
            progress.samples.setdefault(name, []).append((progress.done, size))
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
