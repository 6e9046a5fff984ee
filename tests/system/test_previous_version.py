"""Peers of version 0.1 take part in a cluster of today: as a client, as a node, and whoever asks."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import ambient
from bus.connection import Bus, Received
from coordinator.service import run as run_coordinator
from coordinator.settings import Settings
from tests.bus.previous import samples, valid
from tests.system.logs import GUESTS
from tests.system.old_peer import OldPeer
from verifier.service import run as run_verifier
from verifier.settings import VerifierSettings

_ADD = (GUESTS / "add.wasm").read_bytes()
_SPIN = (GUESTS / "misbehaving" / "slow.wasm").read_bytes()


@asynccontextmanager
async def _services(bus: Bus, data: Path) -> AsyncIterator[None]:
    """The coordinator and the verifier of today."""
    stop, where = asyncio.Event(), {"url": bus.url, "cluster": bus.subjects.cluster}
    running = asyncio.gather(
        run_coordinator(Settings(data=data / "c", name="c", **where), stop=stop),
        run_verifier(VerifierSettings(data=data / "v", name="v", **where), stop=stop),
    )
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(running, 60)


def _spec(task_id: bytes) -> bytes:
    return next(each.body for each in samples("tasks.submit.") if task_id in each.body)


async def test_a_client_and_a_node_of_the_version_before_do_a_task_end_to_end(
    bus: Bus, tmp_path: Path
) -> None:
    """Hello, heartbeats, submission, assignment, result, verdict, cancel, refusal, all questions: each as it was, each answer one that it can read."""
    async with _services(bus, tmp_path), OldPeer(bus.url, bus.subjects.cluster) as peer:
        enrolled = await peer.enrol()
        for module in (_ADD, _SPIN):
            await peer.store(module)
        await peer.submit(b'"id":"t2"')
        (assign,) = await peer.until(lambda: [each for each in peer.told if each["kind"] == "assign"])
        await peer.claim(assign, _spec(b'"id":"t2"'))
        await peer.until(lambda: [v for s, v in peer.heard if s == "done.me.t2"])
        await peer.submit(b'"id":"cancelled"')
        await peer.until(lambda: "me.cancelled#1" in peer.open)
        standing = (await peer.ask("coordinator.why", "WhyReply"))[0]
        await peer.cancel()
        await peer.until(lambda: [each for each in peer.told if each["kind"] == "cancel"])
        await peer.until(lambda: [v for s, v in peer.heard if s == "done.me.cancelled"])
        await peer.submit(b'"id":"bad"')
        await peer.until(lambda: [v for s, v in peer.heard if s == "rejected.me"])
        nodes = (await peer.ask("coordinator.nodes", "NodesReply"))[0]["nodes"]
        tasks = (await peer.ask("coordinator.tasks", "TasksReply"))[0]["tasks"]
        leads = [
            (await peer.ask(f"{name}.health", "ServiceHealth"))[0] for name in ("coordinator", "verifier")
        ]
        (reputation,) = await peer.ask("verifier.reputation", "ReputationReply")
        question = json.dumps({"tasks": ["me.t2", "me.never"]}).encode()
        verdict, pending = await peer.ask("verifier.verdict", "Verdict", question)

    heard = {(subject, said.get("status", said.get("field"))) for subject, said in peer.heard}
    assert enrolled == {"ok": True}
    assert {
        ("progress.me.t2", None),
        ("done.me.t2", "verified"),
        ("done.me.cancelled", "cancelled"),
        ("rejected.me", "work.args"),
    } <= heard
    assert (verdict["output"], verdict["agree"], pending["kind"]) == ("NDI=", ["old"], "pending")
    assert (standing["state"], standing["nodes"][0]["node"]) == ("assigned", "old")
    assert [(node["node"], node["capabilities"]["version"]) for node in nodes] == [("old", "0.1.0")]
    assert {task["task"]: task["state"] for task in tasks} == {
        "me.t2": "verified",
        "me.cancelled": "cancelled",
        "me.bad": "refused",
    }
    assert all(each["leading"] for each in leads)
    assert reputation["nodes"] == [{"node": "old", "agreed": 1, "dissented": 0, "faulted": 0}]


async def test_what_the_sdk_of_today_sends_the_version_before_takes(bus: Bus, tmp_path: Path) -> None:
    """A strict reader of submissions refuses unknown fields by name: there are none. Its node runs the task and is drained as it knows how: it leaves."""
    submitted: list[bytes] = []

    async def note(message: Received) -> None:
        submitted.append(message.data)

    await bus.subscribe(bus.subjects.submit("sdk"), note)
    async with _services(bus, tmp_path), OldPeer(bus.url, bus.subjects.cluster) as peer:
        await peer.enrol()
        async with ambient.connect(bus.url, cluster=bus.subjects.cluster, client="sdk") as vcp:
            task = await vcp.submit(_ADD, 40, 2, entry="add", deadline=None)
            batch = [await vcp.submit(_ADD, n, 1, entry="add", limits={"wall_ms": 600_000}) for n in (1, 2)]
            await peer.until(lambda: peer.open)  # it has one slot
            for each in (task, *batch):
                await each.cancel()
                await each.result(check=False)
            asked = await vcp.drain("old")
            await peer.until(lambda: peer.draining)
            await peer.leave()
            async with asyncio.timeout(60):
                while not (reply := await vcp.drain("old")).empty:
                    await asyncio.sleep(0.02)
        lines = [line for body in submitted for line in body.split(b"\n")]

    assert len(lines) == 3
    assert all(valid("TaskSpec", line) for line in lines)
    assert (asked.told, reply.state) == (True, "left")
