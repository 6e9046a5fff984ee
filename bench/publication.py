"""From a verdict to its final receipt on the embedded chain of `ambient up`: signed, published, and under six blocks; and the same of an account."""

import asyncio
import time

from ambient.client import Client
from anchor.receipt.check import Demands, check
from bench.cluster import GUESTS, cluster, run
from bench.rows import Row, median_of
from bus.messages import AccountReceiptRequest

_TASKS = 12
_EVERY_S = 2.5
"""Half of what a publication waits for the next one, so that verdicts come at every moment of it."""
_WAIT_S = 120.0


def main() -> list[Row]:
    """Over a dozen verdicts, one every few seconds."""
    tasks_s, months_s, checked_ms, sizes = run(_measure())
    note = f"{_TASKS} verdicts, one every {_EVERY_S:g} s; as `ambient up` is set: a publication every 5 s, a block every 2 s"
    return [
        Row(
            name="verdict to final receipt, median",
            value=median_of(tasks_s),
            unit="s",
            aim=30,
            floor=45,
            note=note,
        ),
        Row(name="verdict to final receipt, slowest", value=max(tasks_s), unit="s", aim=30, floor=60),
        Row(
            name="verdict to the final receipt of a node's month, median",
            value=median_of(months_s),
            unit="s",
            aim=40,
            floor=60,
            note="the ledger's states come every 10 s",
        ),
        Row(
            name="a final receipt checked",
            value=median_of(checked_ms),
            unit="ms",
            aim=5,
            floor=20,
            note=f"{median_of(sizes):,.0f} bytes, with a node's signed result and seven headers",
        ),
    ]


async def _measure() -> tuple[list[float], list[float], list[float], list[int]]:
    async with cluster(anchors=1) as (_, client):
        # The chain begins with a hundred blocks; that is the cluster's start, and not a receipt's time.
        await client.run(GUESTS / "add.wasm", 1, 1, entry="add", id="first")
        await client.receipt("first", wait=True, timeout_s=_WAIT_S)
        waiting = []
        for number in range(_TASKS):
            await client.run(GUESTS / "add.wasm", number, 1, entry="add", id=f"t{number}")
            waiting.append(asyncio.create_task(_receipts(client, f"t{number}", time.perf_counter())))
            await asyncio.sleep(_EVERY_S)
        found = await asyncio.gather(*waiting)
    tasks_s, months_s, checked_ms, sizes = zip(*found, strict=True)
    return list(tasks_s), list(months_s), list(checked_ms), list(sizes)


async def _receipts(client: Client, task: str, begun: float) -> tuple[float, float, float, int]:
    """Seconds to the task's receipt and to that of the node's month, ms for a check, and bytes."""
    month = asyncio.create_task(_month(client, begun))
    data, _ = await client.receipt(task, wait=True, timeout_s=_WAIT_S)
    took_s = time.perf_counter() - begun
    before = time.perf_counter()
    check(data, Demands(task=client.full_name(task), final=True))
    checked_ms = (time.perf_counter() - before) * 1000
    return took_s, await month, checked_ms, len(data)


async def _month(client: Client, begun: float) -> float:
    asked = AccountReceiptRequest(account="node/node-1", tree="energy")
    _, report = await client.account_receipt(asked, wait=True, timeout_s=_WAIT_S)
    assert report.confirmed is not None, "the account's receipt did not become final in time"  # noqa: S101 -- else the figure would be none
    return time.perf_counter() - begun
