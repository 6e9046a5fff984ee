"""What is forgotten costs nothing: a short load behind which the logs are cut and finished tasks let go as fast as new ones come.

The retention is seconds instead of a day, so that in a minute of load there is more to forget than to keep. In the second half nothing may grow:
not the memory of a process, not what the services remember, not the logs on disk.
"""

import asyncio
import os
import time

from ambient.client import Client
from ambient.cluster import Supervisor
from bench.cluster import GUESTS, cluster, resident_bytes, run
from bench.rows import Row, median_of
from bench.soak import growth_percent
from bus.streams import extent
from bus.subjects import LOGS

_LOAD_S = float(os.environ.get("RETENTION_S", "100"))
_KEEP_HOURS = "0.002"
_CHECKPOINT_S = "2"
_SAMPLE_S = 1.0
_MB = 1024 * 1024
_LIMITED = ("coordinator", "verifier")


def main() -> list[Row]:
    """Memory and disk in the last quarter against the second one, with a retention of seven seconds."""
    return run(_measure())


async def _measure() -> list[Row]:
    options = {
        "coordinator": ("--keep-hours", _KEEP_HOURS, "--checkpoint-s", _CHECKPOINT_S),
        "verifier": ("--checkpoint-s", _CHECKPOINT_S),
    }
    samples: dict[str, list[float]] = {}
    async with cluster(service_options=options) as (running, client):
        sampling = asyncio.create_task(_sample(running, client, samples))
        done = await _load(client, time.monotonic() + _LOAD_S)
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)
    rows = [Row(name="tasks finished", value=done, unit="tasks", better="higher")]
    for name, sizes in samples.items():
        has_limit = name.startswith(_LIMITED)
        rows.append(
            Row(
                name=f"{name}: growth while as much is forgotten as is finished",
                value=growth_percent(sizes[len(sizes) // 4 :], first=1 / 3, last=1 / 3),
                unit="%",
                aim=2 if has_limit else None,
                floor=5 if has_limit else None,
                baseline="its second quarter",
                note=f"{median_of(sizes[-len(sizes) // 4 :]) / _MB:.0f} MB at the end",
            )
        )
    return rows


async def _load(client: Client, until: float) -> int:
    done = 0
    while time.monotonic() < until:
        inputs = ((number, 1) for number in range(10_000))
        async for chunk in client.chunks(GUESTS / "add.wasm", inputs, entry="add", in_flight=2048):
            done += len(chunk)
    return done


async def _sample(running: Supervisor, client: Client, samples: dict[str, list[float]]) -> None:
    while True:
        for name, size in resident_bytes(running).items():
            samples.setdefault(name, []).append(size)
        on_disk = [(await extent(client.bus, log)).bytes for log in LOGS]
        samples.setdefault("logs on disk", []).append(sum(on_disk))
        await asyncio.sleep(_SAMPLE_S)
