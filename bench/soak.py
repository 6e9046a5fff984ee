"""Ten minutes of load behind a million tasks: what each process holds in memory meanwhile, and how long its fold takes to begin again.

`SOAK_S` is the time in seconds (default 600), `SOAK_AFTER` the tasks that are finished before it (default 1,000,000): until then fills up
what has a bound, as caches, the newest of what is finished, the levels of runs. Behind them nothing may grow. The retention is the usual
day, so nothing is forgotten meanwhile: of a finished task one byte remains in memory (`bench.retention` shows what happens when they go), which
is a part of the growth that is measured: some two megabytes in ten minutes of three thousand tasks a second. What was finished last comes and goes
in a few megabytes every few seconds, and a merge of runs has some tens of them for a second, so medians of the first and the last minute are compared.
"""

import asyncio
import json
import os
import time
from collections.abc import Callable, Sequence
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
_AFTER = int(os.environ.get("SOAK_AFTER", "1000000"))
_FEW_SAMPLES = 4
_SERVICES = ("coordinator-1", "verifier-1")


class Progress:
    """Tasks finished so far, and behind the first million the memory of each process from time to time, in bytes."""

    def __init__(self) -> None:
        self.done = 0
        self.samples: dict[str, list[int]] = {}


def main() -> list[Row]:
    """Resident memory of every process through the soak, tasks done in it, and the restart of both folds behind them."""
    return run(_measure())


async def _measure() -> list[Row]:
    progress = Progress()
    async with cluster() as (running, client):
        await _load(client, progress, lambda: progress.done >= _AFTER)
        before, begun = progress.done, time.monotonic()
        sampling = asyncio.create_task(_sample(running, progress))
        await _load(client, progress, lambda: time.monotonic() >= begun + _SOAK_S)
        rate = (progress.done - before) / (time.monotonic() - begun)
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
    """Memory of each process behind the million and at the end, and its growth; and the growth of the one that grew most."""
    names = [name for name, sizes in progress.samples.items() if len(sizes) >= _FEW_SAMPLES]
    growth = {name: growth_percent(progress.samples[name], first=0.1, last=0.1) for name in names}
    most = max(growth, key=lambda name: growth[name])
    rows = [
        Row(
            name=f"memory growth through {_SOAK_S:g} s of load behind {_AFTER:,} tasks, of the process that grew most",
            value=growth[most],
            unit="%",
            aim=2,
            floor=5,
            baseline="its first minute",
            note=most,
        )
    ]
    for name in names:
        sizes, behind = progress.samples[name], f"behind {_AFTER:,} finished tasks"
        for when, some in (
            (f"{name}, memory {behind}", sizes[:_FEW_SAMPLES]),
            (f"{name}, memory at the end", sizes[-_FEW_SAMPLES:]),
        ):
            rows.append(Row(name=when, value=median_of(some) / _MB, unit="MB"))
        rows.append(Row(name=f"{name}, growth", value=growth[name], unit="%", baseline="its first minute"))
    return rows


def growth_percent(sizes: Sequence[float], *, first: float, last: float) -> float:
    """How much more there is in the `last` share of the samples than in the `first` one, medians of both, in per cent."""
    few = max(1, round(len(sizes) * first)), max(1, round(len(sizes) * last))
    return 100 * (median_of(sizes[-few[1] :]) / median_of(sizes[: few[0]]) - 1)


async def _load(client: Client, progress: Progress, enough: Callable[[], bool]) -> None:
    """One burst after the other, until it is enough."""
    while not enough():
        inputs = ((number, 1) for number in range(20_000))
        async for chunk in client.chunks(GUESTS / "add.wasm", inputs, entry="add", in_flight=2048):
            progress.done += len(chunk)


async def _sample(running: Supervisor, progress: Progress) -> None:
    while True:
        for name, size in resident_bytes(running).items():
            progress.samples.setdefault(name, []).append(size)
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
