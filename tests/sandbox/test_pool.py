"""The pool keeps its promises when slots crash, hang, are cancelled, and when many jobs come at once."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox import Job, JobLimits, ModuleStore, Outcome, to_wasm
from sandbox.pool import Pool

ADD = b'(module (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))'
SPIN = b'(module (func (export "spin") (loop br 0)) (func (export "quick") (result i32) i32.const 7))'
ENDLESS = JobLimits(fuel=10**17, wall_ms=20_000)


@pytest.fixture
async def pool(tmp_path: Path) -> AsyncIterator[Pool]:
    store = ModuleStore(tmp_path / "store")
    pool = Pool(store, 2)
    await pool.start()
    yield pool
    await pool.close()


def add(pool: Pool, wat: bytes) -> str:
    return pool._store.add(to_wasm(wat))


async def test_a_job_runs(pool: Pool) -> None:
    """The plainest job gives its result, its fuel and a trace."""
    outcome = await pool.run(Job(module=add(pool, ADD), entry="add", args=[2, 3]))

    assert (outcome.status, outcome.output, outcome.fuel, len(outcome.trace)) == ("ok", b"5", 4, 64)


async def test_a_killed_slot_costs_its_running_job_only(pool: Pool) -> None:
    """SIGKILL of every slot while each runs a job: those two crash, the hundred queued behind them all succeed."""
    spin, quick = add(pool, SPIN), add(pool, ADD)
    running = [
        asyncio.ensure_future(pool.run(Job(module=spin, entry="spin", limits=ENDLESS))) for _ in range(2)
    ]
    while not all(p and p.page and p.page.read()[0] for p in pool._processes):
        await asyncio.sleep(0)
    queued = [
        asyncio.ensure_future(pool.run(Job(module=quick, entry="add", args=[n, 1]))) for n in range(100)
    ]
    await asyncio.sleep(0)

    for pid in pool.pids():
        os.kill(pid, signal.SIGKILL)

    crashed: list[Outcome] = await asyncio.gather(*running)
    done: list[Outcome] = await asyncio.gather(*queued)
    assert [(o.status, o.reason) for o in crashed] == [("fault", "crash")] * 2
    assert [o.output for o in done] == [str(n + 1).encode() for n in range(100)]
