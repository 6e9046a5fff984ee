"""The same no-op work on Ray and on Celery with Redis, turn by turn with ours.

They run a Python function in a trusted process; we run a sandboxed, metered guest, sign and verify its result and write four logs to
disk. The comparison is of what a user sees: tasks per second from one client on this machine. Turns alternate, and the ratio
is the median over pairs, so that other work on the machine hits both. Peers that are not installed are left out, by name.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec

from ambient.client import Client
from bench.cluster import cluster
from bench.rows import Row, median_of
from bench.throughput import burst
from bus.server import free_port

_TASKS = 5_000
_RUNS = 5

Rate = Callable[[], float]


def main() -> list[Row]:
    """Five pairs for each peer, two workers each."""
    return asyncio.run(_measure())


async def _measure() -> list[Row]:
    rows: list[Row] = []
    async with cluster() as (_, client):
        await burst(client, "add", "add.wasm")
        rows += await _against(client, "Ray", "ray", _ray, aim=4, floor=2)
        rows += await _against(client, "Celery + Redis", "celery", _celery, aim=12, floor=8)
    return rows


async def _against(
    client: Client,
    name: str,
    package: str,
    peer: Callable[[], AbstractContextManager[Rate]],
    *,
    aim: float,
    floor: float,
) -> list[Row]:
    if find_spec(package) is None or (package == "celery" and shutil.which("redis-server") is None):
        print(
            f"{name} is not installed here (extra `bench`, and redis-server for Celery): left out",
            file=sys.stderr,
        )
        return []
    ours, theirs = [], []
    with peer() as rate:
        await asyncio.to_thread(rate)
        for _ in range(_RUNS):
            ours.append(await burst(client, "add", "add.wasm"))
            theirs.append(await asyncio.to_thread(rate))
    ratio = median_of([a / b for a, b in zip(ours, theirs, strict=True)])
    against = f"{name}, Python no-ops"
    return [
        Row(name=f"ambient beside {name}", value=median_of(ours), unit="tasks/s", better="higher"),
        Row(name=against, value=median_of(theirs), unit="tasks/s", better="higher"),
        Row(
            name=f"ambient against {name}",
            value=ratio,
            unit="x",
            better="higher",
            aim=aim,
            floor=floor,
            baseline=against,
            ratio=ratio,
        ),
    ]


@contextmanager
def _ray() -> Iterator[Rate]:
    """Ray with two CPUs."""
    import ray  # noqa: PLC0415 -- the extra `bench`

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)

    @ray.remote
    def add(a: int, b: int) -> int:
        return a + b

    def rate() -> float:
        begun = time.perf_counter()
        ray.get([add.remote(n, 1) for n in range(_TASKS)])
        return _TASKS / (time.perf_counter() - begun)

    try:
        yield rate
    finally:
        ray.shutdown()


@contextmanager
def _celery() -> Iterator[Rate]:
    """Celery with two worker processes, and Redis as broker and backend."""
    from bench.celery_app import make_app  # noqa: PLC0415 -- the extra `bench`

    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    worker = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "bench.celery_app",
        "worker",
        "-c",
        "2",
        "--loglevel",
        "ERROR",
    ]
    with tempfile.TemporaryDirectory(prefix="ambient-bench-") as folder:
        redis = [shutil.which("redis-server") or "redis-server", "--port", str(port), "--bind", "127.0.0.1"]
        server = subprocess.Popen(  # noqa: S603 -- a server of our own, on loopback, for this measurement
            [*redis, "--dir", folder, "--save", ""], stdout=subprocess.DEVNULL
        )
        workers = subprocess.Popen(  # noqa: S603
            worker,
            env={**os.environ, "BENCH_REDIS": url},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            add = make_app(url).tasks["bench.add"]
            add.delay(1, 1).get(timeout=60)

            def rate(tasks: int = _TASKS // 5) -> float:
                begun = time.perf_counter()
                for answer in [add.delay(n, 1) for n in range(tasks)]:
                    answer.get(timeout=120)
                return tasks / (time.perf_counter() - begun)

            yield rate
        finally:
            for process in (workers, server):
                process.terminate()
                process.wait(timeout=20)
