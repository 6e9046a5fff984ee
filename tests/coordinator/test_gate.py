"""A full cluster on a real server: refused before it is stored, told when to return, and nothing accepted is lost."""

import asyncio
from pathlib import Path
from typing import Any

import nats.js.errors
import pytest

from bus.client import PENDING_BYTES
from bus.connection import Bus
from bus.errors import StreamMissing
from bus.gate import FULL_LOG, survey
from bus.messages import RoomReply, Telemetry
from bus.signing import TELEMETRY, Identity
from bus.streams import last_sequence
from bus.wire import encode
from tests.coordinator.cell import Cell
from tests.coordinator.scripted import ADD, Client, eventually, task, until

_QUICK: dict[str, Any] = {"full_tasks": 20, "gate_every_s": 0.05}


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def room(cell: Cell) -> RoomReply:
    return await cell.bus.request(cell.bus.subjects.service("coordinator", "room"), b"{}", RoomReply)


async def is_full(cell: Cell) -> bool:
    """Whether the gate is shut, both steps of it."""
    try:
        await last_sequence(cell.bus, FULL_LOG)
    except StreamMissing:
        return False
    return bool((await room(cell)).full)


async def is_open(cell: Cell) -> bool:
    return (await survey(cell.bus)).is_open


async def filled(cell: Cell, **more: Any) -> Client:
    """A coordinator that is full: 25 tasks, and no node for them."""
    cell.coordinator(**_QUICK, **more)
    client = await Client(cell.bus).start(ADD)
    await client.submit(*(task(f"t{n}") for n in range(25)))
    await until(lambda: is_full(cell), wanted=True)
    return client


async def test_a_full_cluster_refuses_before_storing_and_says_why(cell: Cell) -> None:
    """JetStream itself refuses a bare client, by its code for a full stream; `room`, `health` and `why` say why and for how long."""
    client = await filled(cell)
    stored = await last_sequence(cell.bus, "tasks")
    with pytest.raises(nats.js.errors.APIError) as refused:
        await client.submit(task("late"))
    told, health, why = await room(cell), await cell.health(), await cell.why("me.t1")

    assert refused.value.err_code == 10077
    assert await last_sequence(cell.bus, "tasks") == stored
    assert told.full == health.full == "25 tasks wait, 20 are the most"
    assert told.backlog == 25
    assert told.retry_after_ms >= 1000
    assert "the cluster is full" in why.detail


async def test_once_there_is_room_tasks_are_taken_and_all_that_were_accepted_are_done(cell: Cell) -> None:
    """Nodes come, the backlog goes, the gate opens; what was accepted before and after has its verdict."""
    client = await filled(cell)
    await cell.node("n1")
    await eventually(lambda: len(set(cell.verifier.judged)) == 25)
    await until(lambda: is_open(cell), wanted=True)
    await eventually_submitted(client, task("after"))
    await eventually(lambda: "me.after" in cell.verifier.judged)

    assert sorted(cell.verifier.judged) == sorted([*(f"me.t{n}" for n in range(25)), "me.after"])


async def eventually_submitted(client: Client, spec: dict[str, Any]) -> None:
    """Submit as a bare client does that was told to come again."""
    async with asyncio.timeout(60):
        while True:
            try:
                await client.submit(spec)
            except (nats.js.errors.APIError, nats.js.errors.NoStreamResponseError):
                await asyncio.sleep(0.02)
            else:
                return


async def test_a_full_cluster_still_takes_withdrawals_and_opens_by_them(cell: Cell) -> None:
    """Who withdraws tasks makes room: that must never be refused for want of it."""
    client = await filled(cell)
    for number in range(25):
        await client.cancel(f"t{number}")
    # The scripted verifier judges results alone; here it is told what the coordinator gave up.
    for name in [f"me.t{n}" for n in range(25)]:
        await until(lambda name=name: cell.state(name), "waiting")
        cell.verifier.verdict(name, "cancelled")
    await until(lambda: is_open(cell), wanted=True)
    await eventually_submitted(client, task("after"))

    assert (await survey(cell.bus)).is_open


async def test_a_dead_coordinator_leaves_a_full_cluster_full_and_the_next_one_opens_it(cell: Cell) -> None:
    """While nobody leads nothing more is taken; whoever leads next looks for itself."""
    client = await filled(cell)
    await cell.stop(0)
    stored = await last_sequence(cell.bus, "tasks")
    with pytest.raises(nats.js.errors.APIError):
        await client.submit(task("meanwhile"))
    meanwhile = await last_sequence(cell.bus, "tasks")
    cell.coordinator(full_tasks=1000, gate_every_s=0.05)
    await until(lambda: is_open(cell), wanted=True)
    await eventually_submitted(client, task("after"))

    assert meanwhile == stored


async def test_a_gate_that_was_left_half_shut_is_put_right(cell: Cell) -> None:
    """A leader that dies between its two steps leaves the subject to nobody; the next one gives it back, or finishes."""
    await filled(cell)
    await cell.stop(0)
    await cell.bus.js.delete_stream(cell.bus.subjects.stream(FULL_LOG))
    cell.coordinator(**_QUICK)
    client = Client(cell.bus)

    async def refused() -> int:
        try:
            await client.submit(task("late"))
        except nats.js.errors.APIError as error:
            return error.err_code or 0
        except nats.js.errors.NoStreamResponseError:
            return 503
        return 0

    await until(refused, 10077)


async def test_what_an_operator_set_for_the_log_stays(cell: Cell) -> None:
    """Shutting and opening changes whose the subject of submissions is, and nothing else."""
    name = cell.bus.subjects.stream("tasks")
    before = (await cell.bus.js.stream_info(name)).config
    await filled(cell)
    shut = (await cell.bus.js.stream_info(name)).config
    await cell.node("n1")
    await until(lambda: is_open(cell), wanted=True)
    await eventually(lambda: len(set(cell.verifier.judged)) == 25)
    after = (await cell.bus.js.stream_info(name)).config

    assert sorted(before.subjects or []) == sorted(after.subjects or [])
    for config in (shut, after):
        assert (config.max_bytes, config.max_msgs, config.discard) == (
            before.max_bytes,
            before.max_msgs,
            before.discard,
        )


async def test_a_node_is_never_given_more_than_it_has_room_for(cell: Cell) -> None:
    """Of five hundred tasks of unknown length a node with three slots holds three, whatever it answers and when."""
    cell.coordinator()
    nodes = [await cell.node(f"n{n}", answers=False, slots=3) for n in range(2)]
    client = await Client(cell.bus).start(ADD)
    await client.submit(*(task(f"t{n}", limits={"wall_ms": 60_000}) for n in range(500)))
    most = 0
    for _ in range(40):
        await eventually(lambda: any(node.open for node in nodes))
        await asyncio.sleep(0)
        most = max(most, *(len(node.open) for node in nodes))
        for node in nodes:
            if node.open:
                # Long ones, so that the next are not expected to be short.
                await node.answer(next(iter(node.open.values())), status="fault")

    assert 1 <= most <= 3


async def test_a_flood_of_heartbeats_takes_bounded_memory_and_stops_no_work(cell: Cell) -> None:
    """Two heartbeats each of ten thousand nodes at once, none of them enrolled: afterwards a task is done as before."""
    cell.coordinator()
    await cell.node("n1")
    client = await Client(cell.bus).start(ADD)
    stranger = Identity.generate()
    telemetry = Telemetry(
        node="x",
        at_ms=0,
        cpu_free=0.5,
        memory_free=0.5,
        latency_ms=1.0,
        bandwidth_mbps=1.0,
        open=("me.t#1",) * 20,
    )
    body = stranger.seal(TELEMETRY, [encode(telemetry)])
    async with await Bus.connect(cell.bus.url, cluster=cell.bus.subjects.cluster) as crowd:
        before = resident_bytes()
        for beat in range(20_000):
            await crowd.publish(crowd.subjects.telemetry(f"crowd-{beat % 10_000}"), body)
            if beat % 1000 == 0:
                await crowd.round_trip_ms()
        await crowd.round_trip_ms()
    await client.submit(task("after"))
    await eventually(lambda: "me.after" in cell.verifier.judged, 30)

    assert resident_bytes() - before < 2 * PENDING_BYTES
