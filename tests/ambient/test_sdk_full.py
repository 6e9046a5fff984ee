"""A cluster that is full, or a server that is away: clients are told, wait as they should, and hold a bounded amount."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

import ambient
import ambient.storing
import bus.commit
from ambient.errors import LogFull
from ambient.room import Patience
from bus.connection import Bus
from bus.gate import open_gate, shut_gate
from bus.messages import RoomReply
from bus.server import NatsServer
from bus.service import ServiceDesk
from bus.streams import ensure_streams
from tests.ambient.conftest import ScriptedCluster

WASM = b"\0asm\1\0\0\0"
RETRY_S = 0.2
FULL = RoomReply(
    backlog=150_000, wait_ms=40_000, full="150,000 tasks wait", retry_after_ms=int(RETRY_S * 1000)
)


class Gate:
    """A cluster that is full, and says so to whoever asks."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.asked = 0

    def answer(self, _: bytes) -> RoomReply:
        """Full."""
        self.asked += 1
        return FULL

    async def opens_after(self, questions: int) -> None:
        """Wait until it was asked so often, then take tasks again."""
        async with asyncio.timeout(60):
            while self.asked < questions:
                await asyncio.sleep(0.01)
        await open_gate(self.bus)


@pytest_asyncio.fixture
async def full(bus: Bus, scripted: ScriptedCluster) -> AsyncIterator[Gate]:  # noqa: ARG001
    gate = Gate(bus)
    desk = await ServiceDesk.open(bus, "coordinator", "0.1.0", "scripted")
    await desk.answer("room", bytes, gate.answer)
    await shut_gate(bus)
    yield gate
    await open_gate(bus)


async def test_submit_is_refused_with_the_time_to_come_back(vcp: ambient.Client, full: Gate) -> None:
    """At once, with the cluster's own figure and reason; nothing was stored."""
    with pytest.raises(LogFull, match="150,000 tasks wait") as refused:
        await vcp.submit(WASM, input=b"x")

    assert refused.value.retry_after_s == RETRY_S
    assert full.asked == 1


async def test_without_a_coordinator_the_refusal_is_the_same_and_the_time_a_guess(
    bus: Bus, vcp: ambient.Client
) -> None:
    """The gate refuses by itself; nobody can say for how long, so a default is told."""
    await shut_gate(bus)
    with pytest.raises(LogFull, match="takes no new tasks") as refused:
        await vcp.submit(WASM, input=b"x")

    assert refused.value.retry_after_s == ambient.errors.DEFAULT_RETRY_S


async def test_run_waits_for_room(vcp: ambient.Client, full: Gate) -> None:
    """It comes back when it was told to, and has its verdict once there is room."""
    opening = asyncio.create_task(full.opens_after(2))
    verdict = await asyncio.wait_for(vcp.run(WASM, input=b"hello"), 60)
    await opening

    assert verdict.output == b"hello"


async def test_run_waits_no_longer_than_its_time_out(vcp: ambient.Client, full: Gate) -> None:
    """A time-out shorter than the wait that is told ends it at once, with the refusal; nothing is left behind."""
    begun = time.monotonic()
    with pytest.raises(LogFull):
        await vcp.run(WASM, input=b"x", timeout_s=1.0)

    assert time.monotonic() - begun < 5
    assert full.asked >= 1
    assert len(vcp._courier.outstanding) == 0  # type: ignore[union-attr]


async def test_map_waits_for_room_and_tries_one_task_first(
    vcp: ambient.Client, scripted: ScriptedCluster, full: Gate
) -> None:
    """Every result comes once; while it is refused the map asks with a single task, not with all that it holds."""
    submitted = 0
    again = vcp._courier.again  # type: ignore[union-attr]

    def counting(entry: object) -> None:
        nonlocal submitted
        submitted += 1
        again(entry)  # type: ignore[arg-type]

    vcp._courier.again = counting  # type: ignore[union-attr,method-assign,assignment]

    async def opens() -> int:
        await full.opens_after(4)
        return submitted

    opening = asyncio.create_task(opens())
    async with asyncio.timeout(60):
        got = [index async for index, _ in vcp.map(WASM, (b"%d" % n for n in range(500)), in_flight=100)]

    assert sorted(got) == list(range(500))
    assert len(scripted.specs) == 500
    assert await opening < 20  # a question is shared by what is refused within half a second


async def test_submit_many_waits_for_room(vcp: ambient.Client, scripted: ScriptedCluster, full: Gate) -> None:
    """All of them are durable in the end, each once."""
    opening = asyncio.create_task(full.opens_after(2))
    tasks = await asyncio.wait_for(vcp.submit_many(WASM, [b"%d" % n for n in range(300)]), 60)
    await opening
    verdicts = await asyncio.gather(*(task.result(timeout_s=20) for task in tasks))

    assert [verdict.output for verdict in verdicts] == [b"%d" % n for n in range(300)]
    assert len(scripted.specs) == 300


async def test_submit_many_gives_up_at_its_time_out(vcp: ambient.Client, full: Gate) -> None:
    """A cluster that stays full is not waited for beyond it."""
    with pytest.raises(LogFull):
        await asyncio.wait_for(vcp.submit_many(WASM, [b"x"] * 10, timeout_s=0.5), 60)

    assert full.asked >= 1


async def test_those_that_were_refused_together_return_apart() -> None:
    """The pause is what was told, give or take a quarter, and longer with each refusal."""
    pauses: list[float] = []
    for _ in range(20):
        patience = Patience()
        begun = time.monotonic()
        await patience.wait(LogFull("full", retry_after_s=0.02))
        pauses.append(time.monotonic() - begun)
    twice = time.monotonic()
    await patience.wait(LogFull("full", retry_after_s=0.02))

    assert min(pauses) >= 0.014
    assert len({round(pause, 4) for pause in pauses}) > 5
    assert time.monotonic() - twice >= 0.022


async def test_without_a_server_an_endless_source_is_drawn_from_as_far_as_the_window(tmp_path: Path) -> None:
    """The connection is down: `submit_many` and `map` hold what their windows allow, wait, and lose nothing once it is back."""
    async with NatsServer(tmp_path) as server, await Bus.connect(server.url) as bus:
        await ensure_streams(bus)
        scripted = ScriptedCluster(bus)
        await scripted.start()
        async with ambient.connect(server.url, client="me") as vcp:
            await vcp.run(WASM, input=b"warm")
            await server.stop()
            drawn = 0

            def source(count: int) -> Iterator[bytes]:
                nonlocal drawn
                for number in range(count):
                    drawn += 1
                    yield b"%d" % number

            submitting = asyncio.create_task(vcp.submit_many(WASM, source(6000)))
            async with asyncio.timeout(60):
                while drawn < ambient.storing.WINDOW_TASKS:
                    await asyncio.sleep(0.01)
            for _ in range(1000):
                await asyncio.sleep(0)
            held = drawn
            await server.start()
            tasks = await asyncio.wait_for(submitting, 60)
            verdicts = await asyncio.gather(*(task.result(timeout_s=60) for task in tasks))
        await scripted.stop()

    assert held == ambient.storing.WINDOW_TASKS
    assert len(verdicts) == 6000
    assert len(scripted.specs) == 6001


async def test_without_a_server_single_submissions_wait_once_enough_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a client holds unsent is bounded, also for a program that submits ever more at once; closing tells all of them."""
    monkeypatch.setattr(bus.commit, "HELD_LINES", 50)
    async with NatsServer(tmp_path) as server, await Bus.connect(server.url) as connected:
        await ensure_streams(connected)
        async with ambient.connect(server.url, client="me") as vcp:
            await vcp.submit(WASM, input=b"warm")
            await server.stop()
            submitting = [asyncio.create_task(vcp.submit(WASM, input=b"%d" % n)) for n in range(2000)]
            for _ in range(200):
                await asyncio.sleep(0)
            held = vcp._courier._tasks.backlog  # type: ignore[union-attr]
        outcomes = await asyncio.gather(*submitting, return_exceptions=True)

    assert held <= 50
    assert {type(outcome) for outcome in outcomes} <= {ambient.ClientClosed, ambient.BusUnavailable}
