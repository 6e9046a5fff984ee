"""`run`, `submit` and `result` against a scripted cluster: what they promise when all is well and when it is not."""

import asyncio
import datetime as dt
from pathlib import Path

import pytest

import ambient
from bus.connection import Bus
from bus.messages import Refused, Verdict
from bus.server import NatsServer
from bus.streams import ensure_streams
from bus.wire import sha256_hex

WASM = b"\0asm\1\0\0\0"


async def test_a_run_returns_the_verified_output_with_its_evidence(vcp, scripted) -> None:
    """All that the verdict says is there, typed; a lone task is a message of its own."""
    verdict = await vcp.run(WASM, input=b"hi", verify="quorum:2/3", timeout_s=10)

    assert verdict.verified
    assert (verdict.output, verdict.text, verdict.status) == (b"hi", "hi", "verified")
    assert (verdict.nodes, verdict.dissent, verdict.fuel) == (("n1", "n2"), (), 7)
    assert verdict.evidence == ((1, 0), (2, 0))
    assert verdict.task.startswith("me.")
    assert scripted.specs[verdict.task].verify == ambient.Quorum(2, 3)
    assert scripted.messages == [1]


async def test_options_reach_the_cluster(vcp, scripted) -> None:
    """Entry, arguments, environment, limits, place, priority, deadline and attempts are in the submitted spec."""
    before = dt.datetime.now(dt.UTC)
    verdict = await vcp.run(
        WASM,
        1,
        2.5,
        "x",
        entry="add",
        env={"A": "b"},
        verify=ambient.Signature(),
        limits={"fuel": 5},
        place=ambient.Place(region="eu"),
        priority=9,
        deadline=dt.timedelta(minutes=1),
        max_attempts=2,
        timeout_s=10,
    )
    spec = scripted.specs[verdict.task]

    assert (spec.work.entry, spec.work.args, spec.work.env) == ("add", (1, 2.5, "x"), {"A": "b"})
    assert (spec.limits.fuel, spec.place.region, spec.priority, spec.max_attempts) == (5, "eu", 9, 2)
    assert spec.deadline is not None
    assert before < spec.deadline <= dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)


async def test_a_failed_guest_raises_with_reason_and_advice(vcp, scripted) -> None:
    """The exception carries the verdict and says what to do; `check=False` returns the verdict instead."""
    scripted.script = lambda _, name: Verdict(
        task=name, status="failed", reason="fuel", detail="used all of 5", agree=("n1",)
    )
    with pytest.raises(
        ambient.TaskFailed, match=r"failed: fuel \(used all of 5\); raise limits.fuel"
    ) as caught:
        await vcp.run(WASM, timeout_s=10)
    verdict = await vcp.run(WASM, check=False, timeout_s=10)

    assert caught.value.verdict.reason == "fuel"
    assert (verdict.status, verdict.verified, verdict.output) == ("failed", False, b"")


async def test_a_failed_exit_shows_what_the_guest_said(vcp, scripted) -> None:
    """Exit status and the end of stderr are in the message."""
    scripted.script = lambda _, name: Verdict(
        task=name, status="failed", reason="exit", exit_code=3, stderr=b"no such column"
    )

    with pytest.raises(ambient.TaskFailed, match=r"failed: exit with status 3; .*stderr: no such column"):
        await vcp.run(WASM, timeout_s=10)


@pytest.mark.parametrize(
    ("status", "error"), [("cancelled", ambient.TaskCancelled), ("expired", ambient.TaskExpired)]
)
async def test_other_ends_have_their_own_exceptions(vcp, scripted, status, error) -> None:
    """Cancelled and expired are not failures of the guest."""
    scripted.script = lambda _, name: Verdict(task=name, status=status, reason=status)

    with pytest.raises(error, match="submit it again"):
        await vcp.run(WASM, timeout_s=10)


async def test_a_rejection_names_field_and_limit(vcp, scripted) -> None:
    """What the coordinator refuses raises `TaskRejected`."""
    scripted.script = lambda *_: Refused(
        client="me", source=(0, 0), field="work.module", limit="imports env.connect"
    )

    with pytest.raises(ambient.TaskRejected, match=r"work\.module: imports env\.connect") as caught:
        await vcp.run(WASM, timeout_s=10)
    assert (caught.value.field, caught.value.limit) == ("work.module", "imports env.connect")


async def test_a_lost_rejection_is_found_out(vcp, scripted, impatient) -> None:  # noqa: ARG001
    """Rejections are sent at most once, too; the coordinator is asked about what stays open."""
    scripted.loses_notices = True
    scripted.script = lambda *_: Refused(
        client="me", source=(0, 0), field="work.entry", limit="no such export"
    )

    with pytest.raises(ambient.TaskRejected, match=r"work\.entry: no such export"):
        await vcp.run(WASM, timeout_s=10)


async def test_a_handle_knows_its_task_from_the_acknowledgement_on(vcp, scripted) -> None:
    """`submit` returns once the task is durable; the result comes later, and as often as one asks."""
    scripted.holds = True
    task = await vcp.submit(WASM, input=b"later")
    await scripted.until(lambda: task.name in scripted.open)
    assert not task.done
    scripted.release()
    first = await task.result(timeout_s=10)

    assert first.output == b"later"
    assert await task.result() is first
    assert (await vcp.result(task)) is first


async def test_the_same_id_gives_the_same_verdict_and_runs_once(vcp, scripted) -> None:
    """A submission may be repeated: the second run finds the verdict of the first, of which no notice comes again."""
    first = await vcp.run(WASM, input=b"a", id="t1", timeout_s=10)
    second = await vcp.run(WASM, input=b"a", id="t1", timeout_s=10)

    assert first == second
    assert list(scripted.specs) == ["me.t1"]


async def test_the_same_id_with_another_body_is_rejected_and_the_first_goes_on(vcp, scripted) -> None:
    """A refusal meets the submission that it is about, though both have one name."""
    scripted.holds = True
    first = await vcp.submit(WASM, input=b"a", id="t1")
    with pytest.raises(ambient.TaskRejected, match="id: "):
        await vcp.run(WASM, input=b"b", id="t1", timeout_s=10)
    scripted.release()

    assert (await first.result(timeout_s=10)).output == b"a"


async def test_another_bodys_verdict_is_never_handed_over(vcp, scripted) -> None:
    """Even if the refusal is lost, the verdict of the first body does not pass for that of the second."""
    await vcp.run(WASM, input=b"a", id="t1", timeout_s=10)
    scripted.loses_notices = True

    with pytest.raises(ambient.TaskRejected, match="another body"):
        await vcp.run(WASM, input=b"b", id="t1", timeout_s=10)


async def test_a_verdict_noticed_twice_is_delivered_once(vcp, scripted) -> None:
    """Duplicates are no second result, also not for the next task."""
    scripted.notices_twice = True
    outputs = [(await vcp.run(WASM, input=b"%d" % n, timeout_s=10)).output for n in range(20)]

    assert outputs == [b"%d" % n for n in range(20)]


async def test_a_lost_notice_is_asked_for(vcp, scripted) -> None:
    """Notices are sent at most once; the verifier is asked for what does not come."""
    scripted.loses_notices = True
    verdict = await vcp.run(WASM, input=b"x", timeout_s=10)

    assert verdict.output == b"x"
    assert scripted.asked


async def test_an_earlier_task_is_found_by_name(vcp, server, cluster) -> None:
    """Another client, started later, gets the verdict by the task's full name."""
    verdict = await vcp.run(WASM, input=b"x", id="mine", timeout_s=10)
    async with ambient.connect(server.url, cluster=cluster, client="other") as other:
        assert await other.result("me.mine", timeout_s=10) == verdict


async def test_an_unknown_task_is_said_to_be_unknown(vcp, impatient) -> None:  # noqa: ARG001
    """A name that nobody ever submitted does not make one wait for ever."""
    with pytest.raises(ambient.TaskUnknown, match=r"me\.never"):
        await vcp.result("never", timeout_s=15)


async def test_waiting_can_end_before_the_task_does(vcp, scripted) -> None:
    """`timeout_s` ends the wait and not the task; the message says how to ask again."""
    scripted.holds = True
    with pytest.raises(ambient.StillOpen, match=r"vcp\.result\('me\.t9'\)"):
        await vcp.run(WASM, id="t9", input=b"z", timeout_s=0.3)
    await scripted.until(lambda: "me.t9" in scripted.open)
    scripted.release()

    assert (await vcp.result("t9", timeout_s=10)).output == b"z"


async def test_many_can_be_submitted_at_once(vcp) -> None:
    """`submit_many` returns handles, in the order of the inputs, once all of them are durable."""
    tasks = await vcp.submit_many(WASM, [b"a", (1, 2), "c", b"d" * 70_000])

    assert [(await task.result(timeout_s=10)).output for task in tasks] == [b"a", b"1 2", b"c", b""]
    assert len({task.name for task in tasks}) == 4


async def test_a_bus_that_is_gone_is_blamed_not_the_task(tmp_path: Path) -> None:
    """If the wait ends while there is no bus, the error says so; the submission goes out when there is one."""
    async with NatsServer(tmp_path) as server, await Bus.connect(server.url) as bus:
        await ensure_streams(bus)
        async with ambient.connect(server.url, cluster="home", client="me") as vcp:
            server.kill()
            async with asyncio.timeout(60):
                while vcp.bus.is_connected:
                    await asyncio.sleep(0.01)
            with pytest.raises(ambient.BusUnavailable, match="reconnects for ever"):
                await vcp.run("sha256:" + "0" * 64, timeout_s=0.2)


async def test_cancelling_ends_the_task_as_cancelled(vcp, scripted) -> None:
    """`cancel` returns once it is durable; the verdict tells what became of the task."""
    scripted.holds = True
    task = await vcp.submit(WASM)
    await scripted.until(lambda: task.name in scripted.open)
    await task.cancel()

    assert (await task.result(check=False, timeout_s=10)).status == "cancelled"
    with pytest.raises(ambient.TaskCancelled):
        await task.result()


async def test_large_inputs_and_outputs_travel_as_blobs(vcp, scripted, put_blob) -> None:
    """1 MiB in and out: the spec holds a digest, the output is fetched and whole."""
    sent, back = b"i" * 2**20, b"o" * 2**20
    digest = await put_blob(back)
    scripted.script = lambda _, name: Verdict(
        task=name, status="verified", output_digest=digest, output_size=len(back), agree=("n1",)
    )
    verdict = await vcp.run(WASM, input=sent, timeout_s=20)
    spec = scripted.specs[verdict.task]

    assert verdict.output == back
    assert (spec.work.input, spec.work.input_blob) == (b"", f"sha256:{sha256_hex(sent)}")


async def test_a_verified_output_that_is_gone_says_so(vcp, scripted) -> None:
    """The verdict stands, the bytes cannot be had: that blames neither task nor node."""
    scripted.script = lambda _, name: Verdict(
        task=name, status="verified", output_digest="0" * 64, output_size=70_000, agree=("n1",)
    )

    with pytest.raises(ambient.OutputUnavailable, match="is verified, but its output") as caught:
        await vcp.run(WASM, timeout_s=10)
    assert caught.value.verdict.verified


async def test_a_module_is_uploaded_once_whatever_it_came_as(vcp, scripted, tmp_path: Path, bus: Bus) -> None:
    """Path, bytes and digest of one module are one blob; a WAT text and a .wat file are compiled here."""
    wat = '(module (func (export "f") (result i32) i32.const 7))'
    path, text = tmp_path / "m.wasm", tmp_path / "m.wat"
    path.write_bytes(WASM)
    text.write_text(wat)
    digest = f"sha256:{sha256_hex(WASM)}"
    sources: list[str | bytes | Path] = [WASM, path, str(path), digest, wat, text]
    used = []
    for source in sources:
        verdict = await vcp.run(source, timeout_s=10)
        used.append(scripted.specs[verdict.task].work.module)
    stored = await bus.js.stream_info(bus.subjects.stream("blobs"))

    assert used[:4] == [digest] * 4
    assert used[4] == used[5] != digest
    assert stored.state.messages == 2


async def test_a_module_file_that_changed_is_uploaded_anew(vcp, scripted, tmp_path: Path) -> None:
    """What runs is what is in the file now."""
    path = tmp_path / "m.wasm"
    path.write_bytes(WASM)
    first = await vcp.run(path, timeout_s=10)
    path.write_bytes(WASM + b"\0\1\0")
    second = await vcp.run(path, timeout_s=10)

    assert scripted.specs[first.task].work.module != scripted.specs[second.task].work.module


async def test_closing_tells_whoever_waits(scripted, server, cluster) -> None:
    """A result that is awaited when the client closes ends in `ClientClosed`, not in silence."""
    scripted.holds = True
    client = ambient.connect(server.url, cluster=cluster, client="me")
    async with client:
        task = await client.submit(WASM)
        waiting = asyncio.create_task(task.result())
        await scripted.until(lambda: task.name in scripted.open)

    with pytest.raises(ambient.ClientClosed, match=r"before me\."):
        await asyncio.wait_for(waiting, 60)
    with pytest.raises(ambient.ClientClosed, match="async with"):
        await client.run(WASM)


async def test_a_cancel_under_way_ends_with_the_client(scripted, server, cluster) -> None:
    """Whoever waits for a cancel to be durable is told that the client closed, too."""
    scripted.holds = True
    client = ambient.connect(server.url, cluster=cluster, client="me")
    await client.open()
    task = await client.submit(WASM)
    cancelling = asyncio.create_task(task.cancel())
    await client.close()
    done, _ = await asyncio.wait([cancelling], timeout=10)

    assert done == {cancelling}
    assert isinstance(cancelling.exception(), ambient.ClientClosed | None)


async def test_questions_are_answered_by_the_services(vcp, scripted) -> None:
    """`why`, `nodes`, `tasks` and `health` are typed."""
    scripted.holds = True
    task = await vcp.submit(WASM)
    await scripted.until(lambda: task.name in scripted.open)
    health = await vcp.health()

    assert (await vcp.why(task)).state == "waiting"
    assert (await task.why()).task == task.name
    assert await vcp.nodes() == []
    assert [view.task for view in await vcp.tasks()] == [task.name]
    assert health.ok
    assert health.round_trip_ms > 0
