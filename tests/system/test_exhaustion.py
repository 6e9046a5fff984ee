"""Clients that ask for more than there is: more tasks, more modules, more bytes, more time. Others hardly notice."""

import asyncio
import datetime as dt
import json
from collections import Counter

import pytest

import ambient
from ambient.client import Client, connect
from ambient.cluster import Supervisor
from bus.blobs import CHUNK_BYTES
from bus.wire import sha256_hex
from tests.system.heavy import constant_module, laborious_module
from tests.system.logs import GUESTS

_ADD = GUESTS / "add.wasm"
_SPIN = GUESTS / "misbehaving" / "slow.wasm"
_FLOOD = 20_000


async def test_tasks_that_nobody_can_run_hold_up_nobody(client: Client) -> None:
    """Twenty thousand tasks for nodes that do not exist wait; other clients' work goes by them, alone and in bursts."""
    await client.run(_ADD, 1, 1, entry="add")
    module = f"sha256:{sha256_hex(_ADD.read_bytes())}"
    subjects = client.bus.subjects

    def line(number: int) -> bytes:
        work = {"kind": "wasm", "module": module, "entry": "add", "args": [number, 1]}
        place = {"node": f"ghost-{number if number % 2 else 0}"}
        return json.dumps({"id": f"f{number}", "work": work, "place": place}).encode()

    for start in range(0, _FLOOD, 1_000):
        body = b"\n".join(map(line, range(start, start + 1_000)))
        await client.bus.js.publish(subjects.submit("flood"), body)
    async with asyncio.timeout(120):
        while (await client.health()).coordinator.waiting < _FLOOD:  # type: ignore[union-attr]
            await asyncio.sleep(0.05)
    loop = asyncio.get_running_loop()
    spans = []
    for number in range(20):
        begun = loop.time()
        assert (await client.run(_ADD, number, 1, entry="add", timeout_s=10)).value == number + 1
        spans.append(loop.time() - begun)
    begun = loop.time()
    async with asyncio.timeout(120):
        async for index, verdict in client.map(_ADD, [(n, 1) for n in range(2_000)], entry="add"):
            assert verdict.value == index + 1
    # Withdrawn, they leave the cluster to the other tests as it was.
    for start in range(0, _FLOOD, 1_000):
        ids = range(start, start + 1_000)
        await client.bus.js.publish(
            subjects.cancel("flood"), b"\n".join(b'{"id":"f%d"}' % number for number in ids)
        )
    async with asyncio.timeout(120):
        while (await client.health()).coordinator.open:  # type: ignore[union-attr]
            await asyncio.sleep(0.05)

    assert sorted(spans)[10] < 0.5
    assert max(spans) < 3


async def test_two_hundred_modules_are_two_hundred_answers(client: Client) -> None:
    """Each is admitted, compiled and run; none is taken for another."""
    modules = [constant_module(n % 64) + b"\0\3\1x" + bytes((n,)) for n in range(200)]
    tasks = [await client.submit(module, 1, entry="f") for module in modules]
    verdicts = await asyncio.gather(*(task.result(timeout_s=30) for task in tasks))

    assert [verdict.value for verdict in verdicts] == [n % 64 for n in range(200)]


async def test_a_module_that_is_slow_to_compile_costs_its_own_task(client: Client) -> None:
    """While it is compiled it takes the place of one guest, as one that runs long would; others run beside it."""
    slow = await client.submit(laborious_module(300, 300), 1, entry="f", place={"node": "node-1"})
    for number in range(20):
        assert (await client.run(_ADD, number, 1, entry="add", timeout_s=20)).value == number + 1
    overtaken = not slow.done
    verdict = await slow.result(timeout_s=60)

    assert overtaken
    assert verdict.value == pow(3, 300, 2**64)


async def test_a_megabyte_of_output_is_the_most_by_default(client: Client) -> None:
    """A guest that prints without end is stopped at the limit; the verdict says so and carries no flood."""
    verdict = await client.run(GUESTS / "misbehaving" / "flood.wasm", check=False, timeout_s=30)

    assert (verdict.status, verdict.reason) == ("failed", "output")
    assert len(verdict.output) <= 1024 * 1024


async def test_a_huge_input_is_carried_and_a_larger_one_refused(client: Client) -> None:
    """60 MiB reach the guest, which fails by its own limits; over 64 MiB the client is told the limit."""
    with pytest.raises(ambient.AmbientError, match="67108864"):
        await client.run(GUESTS / "upper.wasm", input=bytes((64 << 20) + 1))
    verdict = await client.run(GUESTS / "upper.wasm", input=b"a" * (60 << 20), check=False, timeout_s=40)

    assert verdict.status == "failed"
    assert verdict.reason in ("output", "memory")


async def test_a_blob_that_lies_about_its_chunks_ends_the_task_that_names_it(client: Client) -> None:
    """What is announced and not there is a failure that says so, soon, and no other task's trouble."""
    digest = sha256_hex(b"never stored")
    subject = client.bus.subjects.blob("liar", digest, 0)
    await client.bus.js.publish(subject, bytes(CHUNK_BYTES), headers={"Avcp-Chunks": "200"})
    module = sha256_hex((GUESTS / "upper.wasm").read_bytes())
    await client.run(GUESTS / "upper.wasm", input=b"x")
    work = {"kind": "wasm", "module": f"sha256:{module}", "input_blob": f"sha256:{digest}"}
    await client.bus.js.publish(
        client.bus.subjects.submit("tester"),
        json.dumps({"id": "lied", "work": work, "max_attempts": 2}).encode(),
    )
    verdict = await client.result("lied", check=False, timeout_s=20)

    assert (verdict.status, verdict.reason, verdict.attempts) == ("failed", "attempts", 2)


async def test_the_largest_limits_are_no_harm(client: Client) -> None:
    """A task may ask for the most of everything but memory; for memory that no node has it waits, and `why` says so."""
    most = {"fuel": 10**13, "wall_ms": 86_400_000, "output_bytes": 16 * 1024 * 1024, "stderr_bytes": 16_384}
    verdict = await client.run(_ADD, 1, 1, entry="add", limits=most, timeout_s=20)
    greedy = await client.submit(
        _ADD, 1, 1, entry="add", place={"min_memory_mb": 2**24}, limits={"memory_mb": 4096}
    )
    told = await client.why(greedy)
    await greedy.cancel()
    ended = await greedy.result(check=False, timeout_s=20)

    assert verdict.value == 2
    assert all("memory" in node.reason for node in told.nodes)
    assert ended.status == "cancelled"


async def test_a_deadline_ends_a_task_once(shared: Supervisor, client: Client) -> None:
    """In the past it expires at once, in a second after a second, though no node ever fitted; each has one verdict."""
    now = dt.datetime.now(dt.UTC)
    late = await client.submit(_ADD, 1, 1, entry="add", deadline=now - dt.timedelta(days=1))
    soon = await client.submit(
        _ADD, 1, 1, entry="add", deadline=now + dt.timedelta(seconds=1), place={"node": "ghost"}
    )
    heard: Counter[str] = Counter()
    async with connect(shared.nats, cluster="sys", client="watcher") as watcher:

        async def count(message: object) -> None:
            heard[message.subject.split(".", 3)[3]] += 1  # type: ignore[attr-defined]

        await watcher.bus.subscribe(watcher.bus.subjects.done("tester.*"), count)
        verdicts = [await task.result(check=False, timeout_s=20) for task in (late, soon)]
        await client.run(
            _ADD, 1, 1, entry="add"
        )  # whatever else was to be said of them has been said before this

    assert [(v.status, v.reason, v.attempts) for v in verdicts] == [("expired", "deadline", 0)] * 2
    assert heard[soon.name] == 1
    assert heard[late.name] <= 1  # it may have been told before the watcher listened


async def test_a_guest_beyond_its_wall_time_is_tried_elsewhere_and_then_failed(client: Client) -> None:
    """Time is the node's affair, so another node gets a chance; after the last attempt the task fails and says where."""
    verdict = await client.run(
        _SPIN,
        10**12,
        entry="spin",
        limits={"fuel": 10**13, "wall_ms": 200},
        max_attempts=2,
        check=False,
        timeout_s=30,
    )

    assert (verdict.status, verdict.reason, verdict.attempts) == ("failed", "attempts", 2)
    assert verdict.detail.count("answered") == 2
    assert all(node.state == "healthy" for node in await client.nodes())
