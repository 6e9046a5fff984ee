"""Who leads: takeovers, stale leaders, twins and kills, against a real nats-server; no task is decided twice or lost."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bus.messages import Assigned, Leader, Refused
from bus.streams import last_sequence
from bus.wire import encode
from bus.writer import FencedWriter
from tests.coordinator.cell import Cell
from tests.coordinator.scripted import ADD, Client, eventually, task, until

ROOT = Path(__file__).parents[2]


def no_double_decision(cell: Cell) -> None:
    """Each attempt is decided once, numbered without gaps; each refusal once; epochs only grow."""
    attempts: dict[str, list[int]] = {}
    for each in cell.of(Assigned):
        attempts.setdefault(each.task, []).append(each.attempt)
    refused = [each.source for each in cell.of(Refused)]

    assert all(made == list(range(1, len(made) + 1)) for made in attempts.values())
    assert len(set(refused)) == len(refused)
    assert cell.epochs() == sorted(set(cell.epochs()))


@asynccontextmanager
async def process(cell: Cell, name: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A coordinator as a process; killed at the end."""
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.coordinator.process",
        cell.bus.url,
        cell.bus.subjects.cluster,
        name,
        cwd=ROOT,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
            await started.wait()


async def leader(cell: Cell) -> str:
    """Who answers."""
    return (await cell.health()).name


async def test_a_standby_takes_over_at_once_and_goes_on(cell: Cell) -> None:
    """A leader that stops in order is followed within a moment; what waits, is assigned and refused once, by either."""
    first = cell.coordinator(name="first")
    client = await Client(cell.bus).start(ADD)
    await until(lambda: leader(cell), "first")
    second = cell.coordinator(name="second")
    await client.submit(task("t1"), b"junk")
    await until(lambda: cell.state("me.t1"), "waiting")
    await eventually(lambda: client.rejected)
    await cell.stop(first)
    await until(lambda: leader(cell), "second", timeout_s=2)
    await cell.node("n1")
    await eventually(lambda: "me.t1" in cell.verifier.judged)
    await cell.stop(second)

    assert cell.epochs() == [1, 2]
    assert len(cell.of(Refused)) == len(client.rejected) == 1
    no_double_decision(cell)


async def test_a_leader_whose_log_was_written_by_another_folds_it_and_leads_anew(cell: Cell) -> None:
    """The log is the fence: a write after another's is refused, what was decided in vain is decided again after re-folding."""
    cell.coordinator(name="stale")
    await until(lambda: leader(cell), "stale")
    await cell.node("n1")
    client = await Client(cell.bus).start(ADD)
    await client.submit(task("before"))
    await eventually(lambda: "me.before" in cell.verifier.judged)
    other: FencedWriter[int] = FencedWriter(
        cell.bus,
        cell.bus.subjects.stream("assignments"),
        cell.bus.subjects.assignments,
        last=await last_sequence(cell.bus, "assignments"),
        on_durable=lambda *_: None,
    )
    other.start()
    other.append(encode(Leader(epoch=7, leader="other")), 0)
    await other.flushed()
    await other.stop()
    await client.submit(task("after"), b"junk")
    await eventually(lambda: "me.after" in cell.verifier.judged)

    assert cell.epochs() == [1, 7, 8]
    assert len(cell.assigned("me.after")) == len(cell.of(Refused)) == 1
    no_double_decision(cell)


async def test_a_twin_that_slept_through_its_lease_decides_nothing_twice(cell: Cell) -> None:
    """A stopped leader (SIGSTOP) loses the lease; awake again, with tasks before it, it is refused or stands by."""
    client = await Client(cell.bus).start(ADD)
    async with process(cell, "sleeper") as sleeper:
        await until(lambda: leader(cell), "sleeper")
        await cell.node("n1", beat_s=1.0)
        await client.submit(task("t0"))
        await eventually(lambda: "me.t0" in cell.verifier.judged)
        os.kill(sleeper.pid, signal.SIGSTOP)
        cell.coordinator(name="twin", clock=time.time)
        await eventually(lambda: len(cell.epochs()) == 2, timeout_s=15)
        await client.submit(*(task(f"t{i}") for i in range(1, 50)), b"junk")
        os.kill(sleeper.pid, signal.SIGCONT)
        for i in range(50, 100):
            await client.submit(task(f"t{i}"))
        await eventually(lambda: len(set(cell.verifier.judged)) == 100)
        no_double_decision(cell)

        assert len(cell.verifier.judged) == 100
        assert len(cell.of(Refused)) == 1
        assert len(cell.of(Assigned)) == 100


async def test_a_coordinator_killed_under_load_loses_nothing(cell: Cell) -> None:
    """With kill -9 in the middle of a burst, twice: the next process folds the logs, and every task gets its one verdict."""
    client = await Client(cell.bus).start(ADD)
    count = 600
    submitted = 0
    for round_ in range(3):
        async with process(cell, f"round-{round_}"):
            await until(lambda: leader(cell), f"round-{round_}", timeout_s=15)
            if not cell.nodes:
                await cell.node("n1", beat_s=1.0)
                await cell.node("n2", beat_s=1.0)
            for _ in range(10):
                await client.submit(*(task(f"t{submitted + i}") for i in range(20)))
                submitted += 20
            wanted = count if submitted == count else submitted - 150
            await eventually(lambda w=wanted: len(cell.verifier.judged) >= w, timeout_s=20)
    no_double_decision(cell)

    assert sorted(cell.verifier.judged) == sorted(f"me.t{i}" for i in range(count))


async def test_a_full_coordinator_reads_no_more_until_it_has_room(cell: Cell) -> None:
    """Beyond its limit of open tasks it leaves the rest in TASKS, and takes it up when verdicts have made room."""
    cell.coordinator(name="small", open_tasks=10)
    await until(lambda: leader(cell), "small")
    client = await Client(cell.bus).start(ADD)
    subject = cell.bus.subjects.submit("me")
    stored = [
        await cell.bus.acks.publish(subject, encode(task(f"t{i}")), {"Nats-Msg-Id": f"t{i}"})
        for i in range(1500)
    ]
    await asyncio.gather(*stored)
    await client.submit(task("last"))
    held = (await cell.health()).open
    await cell.node("n1")
    await eventually(lambda: len(cell.verifier.judged) == 1501, timeout_s=20)

    assert 10 <= held <= 1034
    assert len(cell.of(Assigned)) == 1501
