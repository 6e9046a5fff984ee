"""The Celery application that `bench.peers` measures: one task that adds."""

import os
from typing import Any

from celery import Celery

__all__ = ["app", "make_app"]


def make_app(url: str) -> Any:
    """The application with Redis at `url` as broker and result backend."""
    made = Celery("bench", broker=url, backend=url)
    made.conf.update(
        worker_prefetch_multiplier=64, task_acks_late=False, broker_connection_retry_on_startup=True
    )

    @made.task(name="bench.add")
    def add(a: int, b: int) -> int:
        return a + b

    return made


app = make_app(os.environ.get("BENCH_REDIS", "redis://127.0.0.1:6379/0"))
