"""One server, three servers, and one that does not sync: what safety costs in tasks per second and in latency.

Each setup is a cluster of its own, measured after the same warm-up by the same bursts. Three servers on one machine share its disk and
its cores, so the ratio is the dearest there is: on three machines only the network comes on top, and the rest in part goes.
"""

import time
from typing import NamedTuple

from ambient.client import Client
from bench.cluster import GUESTS, cluster, run
from bench.rows import Row, median_of
from bench.throughput import burst

_RUNS = 3
_SINGLE = 200


class _Found(NamedTuple):
    tasks_per_s: float
    submit_to_verdict_ms: float
    write_ms: float


def main() -> list[Row]:
    """Median of three bursts of 20,000, and of single tasks and writes, in each setup."""
    return run(_measure(_RUNS))


async def _measure(runs: int) -> list[Row]:
    one = await _setup(runs)
    unsynced = await _setup(runs, fsync=False)
    three = await _setup(runs, servers=3)
    return [
        *_rows("one server", one),
        *_rows("one server without fsync", unsynced, one),
        *_rows("three servers", three, one),
        Row(
            name="cost of fsync in throughput",
            value=100 * (1 - one.tasks_per_s / unsynced.tasks_per_s),
            unit="%",
            note="an acknowledged task without it may be lost with the machine's power",
        ),
    ]


def _rows(name: str, found: _Found, against: _Found | None = None) -> list[Row]:
    baseline = "one server" if against is not None else ""
    ratios = [a / b for a, b in zip(found, against, strict=True)] if against is not None else [None] * 3
    return [
        Row(
            name=f"{name}: verified tasks",
            value=found.tasks_per_s,
            unit="tasks/s",
            better="higher",
            baseline=baseline,
            ratio=ratios[0],
        ),
        Row(
            name=f"{name}: submit to verdict, p50",
            value=found.submit_to_verdict_ms,
            unit="ms",
            baseline=baseline,
            ratio=ratios[1],
        ),
        Row(
            name=f"{name}: one durable write, p50",
            value=found.write_ms,
            unit="ms",
            baseline=baseline,
            ratio=ratios[2],
        ),
    ]


async def _setup(runs: int, *, servers: int = 1, fsync: bool = True) -> _Found:
    async with cluster(servers=servers, fsync=fsync) as (_, client):
        await burst(client, "add", "add.wasm")
        rates = [await burst(client, "add", "add.wasm") for _ in range(runs)]
        return _Found(
            median_of(rates), median_of(await _singles_ms(client)), median_of(await _writes_ms(client))
        )


async def _singles_ms(client: Client) -> list[float]:
    """One task after the other."""
    took_ms = []
    for number in range(_SINGLE):
        begun = time.perf_counter()
        await client.run(GUESTS / "add.wasm", number, 1, entry="add")
        took_ms.append((time.perf_counter() - begun) * 1000)
    return took_ms


async def _writes_ms(client: Client) -> list[float]:
    """One acknowledged write after the other, of 200 bytes, to a stream as the logs are."""
    js = client.bus.js
    await js.add_stream(
        name="BENCH", subjects=["bench.write"], num_replicas=3 if client.bus.is_clustered else 1
    )
    took_ms = []
    for _ in range(_SINGLE):
        begun = time.perf_counter()
        await js.publish("bench.write", b"x" * 200)
        took_ms.append((time.perf_counter() - begun) * 1000)
    return took_ms
