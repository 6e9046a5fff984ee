"""Every public call of the SDK once, for the type checker: this file is checked, never run."""

import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path
from typing import assert_type

import ambient
from ambient.submission import TaskOptions
from bus.messages import NodeView, TaskView, WhyReply


async def asynchronous(path: Path, module: bytes) -> None:
    """The asynchronous face."""
    async with ambient.connect("nats://localhost", cluster="home", client="me", timeout_s=None) as vcp:
        assert_type(vcp, ambient.Client)
        verdict = await vcp.run(path)
        assert_type(verdict, ambient.TaskVerdict)
        assert_type(verdict.output, bytes)
        assert_type(verdict.text, str)
        assert_type(verdict.nodes, tuple[str, ...])
        assert_type(verdict.evidence, tuple[tuple[int, int], ...])
        assert_type(verdict.energy_j, float)
        await vcp.run(
            module,
            1,
            2.5,
            "text",
            input=b"x",
            entry="main",
            env={"A": "b"},
            verify="quorum:2/3",
            limits={"fuel": 1},
            place=ambient.Place(region="eu"),
            priority=1,
            deadline=dt.timedelta(seconds=5),
            max_attempts=2,
            id="t1",
            check=False,
            timeout_s=1.0,
        )
        await vcp.run("(module)", verify=ambient.Quorum(2, 3), limits=ambient.Limits(fuel=1))
        options: TaskOptions = {"verify": ambient.Signature(), "entry": "f"}
        task = await vcp.submit("sha256:00", input="text", **options)
        assert_type(task, ambient.Task)
        assert_type(await task.result(check=False, timeout_s=1), ambient.TaskVerdict)
        assert_type(await vcp.result("me.t1"), ambient.TaskVerdict)
        assert_type(await vcp.submit_many(path, [b"", (1, 2)], entry="f"), list[ambient.Task])
        async for index, each in vcp.map(path, [(1,), [2, "x"], b"", "text"], ordered=True, in_flight=8):
            assert_type(index, int)
            assert_type(each, ambient.TaskVerdict)
        async for _ in vcp.map(path, endless(), check=False, verify="signature"):
            break
        assert_type(await vcp.why(task), WhyReply)
        assert_type(await vcp.nodes(), list[NodeView])
        assert_type(await vcp.tasks(state="waiting", limit=5), list[TaskView])
        assert_type(await vcp.health(), ambient.ClusterHealth)
        await vcp.cancel(task)
        await task.cancel()
        await vcp.run(path, verfy="signature")  # type: ignore[call-arg]
        await vcp.tasks(state="gone")  # type: ignore[arg-type]


async def endless() -> AsyncIterator[bytes]:
    """An asynchronous source of inputs."""
    while True:
        yield b""


def synchronous(path: Path) -> None:
    """The synchronous face."""
    with ambient.connect_sync(cluster="home") as vcp:
        assert_type(vcp, ambient.SyncClient)
        assert_type(vcp.run(path, 1, entry="f"), ambient.TaskVerdict)
        task = vcp.submit(path)
        assert_type(task, ambient.SyncTask)
        assert_type(task.result(), ambient.TaskVerdict)
        for index, verdict in vcp.map(path, [b"a"], ordered=True):
            assert_type(index, int)
            assert_type(verdict, ambient.TaskVerdict)
        assert_type(vcp.nodes(), list[NodeView])


def failures(error: ambient.AmbientError) -> str:
    """What the exceptions carry."""
    match error:
        case ambient.TaskFailed():
            return error.verdict.reason
        case ambient.TaskRejected():
            return f"{error.field}: {error.limit}"
        case ambient.StillOpen():
            return error.task
        case _:
            return str(error)
