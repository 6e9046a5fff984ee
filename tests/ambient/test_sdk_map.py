"""`map`: bounded, complete, once each, in order where asked, through lost notices, a full log and a killed server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import ambient
from bus.connection import Bus
from bus.messages import Refused, Verdict
from bus.server import NatsServer
from bus.streams import StreamLimits, ensure_streams
from tests.ambient.conftest import ScriptedCluster, echo

WASM = b"\0asm\1\0\0\0"


def numbers(count: int) -> Iterator[bytes]:
    return (b"%d" % n for n in range(count))


async def test_every_input_has_its_result_once(vcp, scripted) -> None:
    """Results come with their input's index, in whatever order; submissions travel many to a message."""
    got = [(index, verdict.output) async for index, verdict in vcp.map(WASM, numbers(3000))]

    assert sorted(got) == [(n, b"%d" % n) for n in range(3000)]
    assert len(scripted.messages) < 300


async def test_in_order_if_asked(vcp, scripted) -> None:
    """`ordered` gives the inputs' order, though the cluster answers in another one."""
    scripted.holds = True
    run = vcp.map(WASM, numbers(40), ordered=True, in_flight=20)

    async def release_backwards() -> None:
        for _ in range(2):
            await scripted.until(lambda: len(scripted.open) == 20)
            scripted._held = [(client, names[::-1]) for client, names in reversed(scripted._held)]
            scripted.release()

    releasing = asyncio.create_task(release_backwards())
    async with asyncio.timeout(60):
        got = [index async for index, _ in run]
        await releasing

    assert got == list(range(40))


async def test_no_more_than_in_flight_are_open(vcp, scripted) -> None:
    """However long the input, at most `in_flight` tasks are submitted and not yet handed over."""
    drawn = 0

    def endless() -> Iterator[bytes]:
        nonlocal drawn
        while True:
            drawn += 1
            yield b"x"

    taken = 0
    async with contextlib.aclosing(vcp.map(WASM, endless(), in_flight=16)) as results:
        async for _ in results:
            taken += 1
            assert drawn - taken <= 16 + 1
            if taken == 400:
                break

    assert scripted.most_open <= 16


async def test_arguments_are_tuples_and_inputs_may_be_asynchronous(vcp) -> None:
    """A tuple is a function's arguments; an asynchronous source works like any other."""

    async def pairs() -> AsyncIterator[tuple[int, int]]:
        for n in range(10):
            await asyncio.sleep(0)
            yield (n, n + 1)

    got = [v.text async for _, v in vcp.map(WASM, pairs(), entry="add", ordered=True)]

    assert got == [f"{n} {n + 1}" for n in range(10)]


async def test_a_failure_ends_the_map_and_names_the_input(vcp, scripted) -> None:
    """By default the first failed task raises; with `check=False` failed verdicts come like others."""

    def odd_fails(spec, name):
        failed = int(spec.work.input) % 2
        return Verdict(task=name, status="failed", reason="trap") if failed else echo(spec, name)

    scripted.script = odd_fails
    with pytest.raises(ambient.TaskFailed) as caught:
        [pair async for pair in vcp.map(WASM, numbers(10), ordered=True)]
    all_of_them = [v.status async for _, v in vcp.map(WASM, numbers(10), ordered=True, check=False)]

    assert caught.value.__notes__ == ["at input 1 of the map"]
    assert all_of_them == ["verified", "failed"] * 5


async def test_a_rejected_input_raises(vcp, scripted) -> None:
    """What breaks the contract is named, whether here or there; nothing waits for it."""
    scripted.script = lambda *_: Refused(
        client="me", source=(0, 0), field="work.entry", limit="no such export"
    )
    with pytest.raises(ambient.TaskRejected, match="no such export"):
        [pair async for pair in vcp.map(WASM, numbers(3))]
    with pytest.raises(ambient.TaskRejected, match=r"work\.args\[0\]"):
        [pair async for pair in vcp.map(WASM, [(True,)])]


async def test_leaving_early_cancels_the_rest(vcp, scripted) -> None:
    """What is in flight when the caller leaves is withdrawn."""
    scripted.script = lambda spec, name: echo(spec, name) if spec.work.input == b"0" else None
    async with contextlib.aclosing(vcp.map(WASM, numbers(8))) as results:
        async for index, _ in results:
            assert index == 0
            break
    await scripted.until(lambda: len(scripted.cancelled) == 7)

    assert not scripted.open


async def test_a_failing_source_ends_the_map_with_its_own_error(vcp) -> None:
    """The caller's exception reaches the caller."""

    def broken() -> Iterator[bytes]:
        yield b"1"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        [pair async for pair in vcp.map(WASM, broken())]


async def test_lost_and_double_notices_change_nothing(vcp, scripted) -> None:
    """All results come, once each, though every notice is lost first and then every one comes twice."""
    scripted.loses_notices = True
    lost = [index async for index, _ in vcp.map(WASM, numbers(1200))]
    scripted.loses_notices, scripted.notices_twice = False, True
    twice = [index async for index, _ in vcp.map(WASM, numbers(1200))]

    assert sorted(lost) == sorted(twice) == list(range(1200))
    assert max(scripted.asked) <= 500


async def test_an_answer_too_short_for_all_is_asked_for_the_rest(vcp, scripted) -> None:
    """The verifier answers for as many tasks as fit into a message; the others are asked for at once."""
    scripted.loses_notices, scripted.answers_at_most = True, 50
    async with asyncio.timeout(8):
        got = [index async for index, _ in vcp.map(WASM, numbers(600))]

    assert sorted(got) == list(range(600))


async def test_large_inputs_are_uploaded_on_the_way(vcp, scripted) -> None:
    """Inputs over 64 KiB may stand between small ones."""
    got = [v.output async for _, v in vcp.map(WASM, [b"a", b"b" * 70_000, b"c"], ordered=True)]

    assert got == [b"a", b"", b"c"]
    assert sum(spec.work.input_blob is not None for spec in scripted.specs.values()) == 1


async def test_a_full_log_slows_the_map_down_and_fails_a_single_submission(
    server: NatsServer, cluster: str
) -> None:
    """`submit` says that the log is full; `map` waits for room and then completes."""
    limits = StreamLimits(
        max_bytes={"tasks": 30_000, "assignments": 2**20, "results": 2**20, "verdicts": 2**20, "blobs": 2**20}
    )
    async with await Bus.connect(server.url, cluster=cluster) as bus:
        await ensure_streams(bus, limits)
        scripted = ScriptedCluster(bus)
        await scripted.start()
        async with ambient.connect(server.url, cluster=cluster, client="me") as vcp:
            with pytest.raises(ambient.LogFull, match="wait for it to drain"):
                await _submit_one_by_one(vcp, 100)
            collecting = asyncio.create_task(_collect(vcp, 100))
            await scripted.until(lambda: sum(scripted.messages) > 5)
            for _ in range(200):
                await bus.js.purge_stream(bus.subjects.stream("tasks"))
                done, _ = await asyncio.wait([collecting], timeout=0.1)
                if done:
                    break
            got = collecting.result()
        await scripted.stop()

    assert sorted(got) == list(range(100))


async def _submit_one_by_one(vcp: ambient.Client, count: int) -> None:
    for _ in range(count):
        await vcp.submit(WASM, input=b"x" * 1000)


async def _collect(vcp: ambient.Client, count: int) -> list[int]:
    return [index async for index, _ in vcp.map(WASM, (b"y" * 1000 for _ in range(count)), in_flight=8)]


async def test_a_killed_server_loses_nothing(tmp_path: Path) -> None:
    """The server is killed with -9, twice, in the middle of a map: each result still comes, once."""
    async with NatsServer(tmp_path) as server, await Bus.connect(server.url) as bus:
        await ensure_streams(bus)
        scripted = ScriptedCluster(bus)
        await scripted.start()
        got: list[int] = []
        async with ambient.connect(server.url, cluster="home", client="me") as vcp:
            async for index, verdict in vcp.map(WASM, numbers(2000), in_flight=200):
                assert verdict.output == b"%d" % index
                got.append(index)
                if len(got) in (500, 1200):
                    await server.restart()
        await scripted.stop()

    assert sorted(got) == list(range(2000))
