"""One task at a time: from submission to the verdict in the client's hands."""

import time

from bench.cluster import GUESTS, cluster, run
from bench.rows import Row, percentile

_TASKS = 500


def main() -> list[Row]:
    """Percentiles over 500 tasks, one after the other, four durable writes each."""
    took_ms, fsync_ms = run(_measure())
    p50, p99 = percentile(took_ms, 0.5), percentile(took_ms, 0.99)
    baseline = "one durable write alone"
    return [
        Row(
            name="submit to verdict, p50",
            value=p50,
            unit="ms",
            aim=3,
            floor=5,
            baseline=baseline,
            ratio=p50 / fsync_ms,
        ),
        Row(name="submit to verdict, p99", value=p99, unit="ms", aim=10, floor=20),
        Row(name="one durable write alone, p50", value=fsync_ms, unit="ms"),
    ]


async def _measure() -> tuple[list[float], float]:
    async with cluster() as (_, client):
        for _ in range(50):
            await client.run(GUESTS / "add.wasm", 1, 1, entry="add")
        took_ms = []
        for n in range(_TASKS):
            begun = time.perf_counter()
            await client.run(GUESTS / "add.wasm", n, 1, entry="add")
            took_ms.append((time.perf_counter() - begun) * 1000)
        writes_ms = []
        await client.bus.js.add_stream(name="BENCH", subjects=["bench.write"])
        for _ in range(200):
            begun = time.perf_counter()
            await client.bus.js.publish("bench.write", b"x" * 200)
            writes_ms.append((time.perf_counter() - begun) * 1000)
    return took_ms, percentile(writes_ms, 0.5)
