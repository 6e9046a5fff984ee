"""The same no-op work on Ray and on Celery with Redis, in the same run as ours.

They run a Python function in a trusted process; we run a sandboxed, metered guest, sign and verify its result and write four logs to
disk. The comparison is of what a user sees: tasks per second from one client on this machine. Peers that are not installed are left out, by name.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec

from bench.rows import Row, median_of
from bench.throughput import burst_rate
from bus.server import free_port

_TASKS = 5_000
_RUNS = 3


def main() -> list[Row]:
    """Median of three runs each, two workers each."""
    ours = asyncio.run(burst_rate())
    rows = [Row(name="ambient: verified WASM tasks", value=ours, unit="tasks/s", better="higher")]
    rows += _against(ours, "Ray", "ray", _ray_rate, aim=4, floor=2)
    rows += _against(ours, "Celery + Redis", "celery", _celery_rate, aim=12, floor=8)
    return rows


def _against(
    ours: float, name: str, package: str, measure: Callable[[], float | None], *, aim: float, floor: float
) -> list[Row]:
    rate = measure() if find_spec(package) is not None else None
    if rate is None:
        print(
            f"{name} is not installed here (extra `bench`, and redis-server for Celery): left out",
            file=sys.stderr,
        )
        return []
    return [
        Row(name=f"{name}: Python no-ops", value=rate, unit="tasks/s", better="higher"),
        Row(
            name=f"ambient against {name}",
            value=ours / rate,
            unit="x",
            better="higher",
            aim=aim,
            floor=floor,
            baseline=name,
            ratio=ours / rate,
        ),
    ]


def _ray_rate() -> float:
    """Tasks per second of Ray with two CPUs."""
    import ray  # noqa: PLC0415 -- the extra `bench`

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)

    @ray.remote
    def add(a: int, b: int) -> int:
        return a + b

    def run(tasks: int) -> float:
        begun = time.perf_counter()
        ray.get([add.remote(n, 1) for n in range(tasks)])
        return tasks / (time.perf_counter() - begun)

    try:
        run(1000)
        return median_of([run(_TASKS) for _ in range(_RUNS)])
    finally:
        ray.shutdown()


def _celery_rate() -> float | None:
    """Tasks per second of Celery with two worker processes and Redis as broker and backend; None without Redis."""
    redis = shutil.which("redis-server")
    if redis is None:
        return None
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
        server = subprocess.Popen(  # noqa: S603 -- a server of our own, on loopback, for this measurement
            [redis, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""],
            stdout=subprocess.DEVNULL,
        )
        workers = subprocess.Popen(worker, env={**os.environ, "BENCH_REDIS": url}, stderr=subprocess.DEVNULL)  # noqa: S603
        try:
            return _celery_runs(url)
        finally:
            workers.terminate()
            workers.wait(timeout=20)
            server.terminate()
            server.wait(timeout=20)


def _celery_runs(url: str) -> float:
    from bench.celery_app import make_app  # noqa: PLC0415 -- the extra `bench`

    app = make_app(url)
    add = app.tasks["bench.add"]
    add.delay(1, 1).get(timeout=60)

    def run(tasks: int) -> float:
        begun = time.perf_counter()
        answers = [add.delay(n, 1) for n in range(tasks)]
        for answer in answers:
            answer.get(timeout=120)
        return tasks / (time.perf_counter() - begun)

    run(500)
    return median_of([run(2000) for _ in range(_RUNS)])
