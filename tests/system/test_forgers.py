"""Results that are not what they seem, names that belong to others, and networks that fail while nodes work."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from subprocess import PIPE

import pytest
from msgspec.structs import replace

from ambient.client import Client
from ambient.cluster import Supervisor
from ambient.task import Task
from bus.connection import Bus
from bus.messages import Assigned, Capabilities, Decision, Hello, HelloReply, Result
from bus.reader import Entry, LogReader
from bus.signing import HELLO, RESULTS, Identity, open_signed
from bus.streams import last_sequence
from bus.wire import decode, decoder, encode, sha256_hex, split_lines
from tests.system.logs import GUESTS, read_logs, running
from tests.system.proxy import Proxy

_ADD = GUESTS / "add.wasm"
_SPIN = GUESTS / "misbehaving" / "slow.wasm"
_A_SECOND_OR_TWO = 6 * 10**8
_EVIL = b"666"
_RESULT = decoder(Result)
_DECISION = decoder(Decision)  # type: ignore[arg-type, var-annotated]


async def entries(bus: Bus, log: str) -> list[Entry]:
    """All of a log, now."""
    found: list[Entry] = []
    reader = LogReader(bus, log, found.append)
    reader.start()
    await reader.reached(await last_sequence(bus, log))
    await reader.stop()
    return found


async def results(bus: Bus) -> list[tuple[Entry, str, Result]]:
    """All results in RESULTS whose signature holds, with the key that signed them."""
    found = []
    for entry in await entries(bus, "results"):
        key, lines = open_signed(entry.body, RESULTS)
        found += [(entry, key, decode(line, _RESULT)) for line in lines]
    return found


async def spinning(client: Client, node: str) -> Task:
    """A task that a node is at for a while."""
    task = await client.submit(
        _SPIN, _A_SECOND_OR_TWO, entry="spin", limits={"fuel": 10**13}, place={"node": node}
    )
    async with asyncio.timeout(60):
        while (await client.why(task)).state != "assigned":
            await asyncio.sleep(0.02)
    return task


async def decision_on(client: Client, task: Task) -> tuple[int, Assigned]:
    """The decision that gave the task to its node, and its sequence."""
    for entry in await entries(client.bus, "assignments"):
        for line in split_lines(entry.body):
            decision = decode(line, _DECISION)
            if isinstance(decision, Assigned) and decision.task == task.name:
                return entry.sequence, decision
    raise AssertionError(f"{task!r} was not assigned")


async def enrolled(client: Client, node: str) -> Identity:
    """A node that is enrolled like any other and offers nothing: only its name and key count."""
    identity = Identity.generate()
    capabilities = Capabilities(version="1", engine="e", cores=1, memory_mb=1, slots=1)
    body = identity.seal(HELLO, [encode(Hello(node=node, capabilities=capabilities))])
    reply = await client.bus.request(client.bus.subjects.service("coordinator", "hello"), body, HelloReply)
    assert reply.ok
    return identity


async def test_no_forged_result_is_believed_and_no_name_is_stolen(tmp_path: Path) -> None:
    """While the assigned node works, nobody else's word, stolen word or old word decides the task, and its name stays its own."""
    async with running(tmp_path / "cluster", nodes=1) as (cluster, client):
        mallory = await enrolled(client, "mallory")
        await client.run(_ADD, 1, 1, entry="add", place={"node": "node-1"})
        entry, _, old = (await results(client.bus))[-1]
        task = await spinning(client, "node-1")
        sequence, assigned = await decision_on(client, task)
        evil = replace(
            old,
            task=task.name,
            decision=sequence,
            spec=assigned.spec,
            module=assigned.module,
            output=_EVIL,
            output_size=len(_EVIL),
            output_digest=sha256_hex(_EVIL),
        )
        stranger = Identity.generate()
        mine = replace(evil, node="mallory")
        forged = [
            ("node-1", stranger.seal(RESULTS, [encode(evil)])),
            ("node-1", mallory.seal(RESULTS, [encode(evil)])),
            ("mallory", mallory.seal(RESULTS, [encode(mine)])),
            ("mallory", mallory.seal(RESULTS, [encode(evil)])),
            ("mallory", mallory.seal(RESULTS, [encode(replace(mine, attempt=2)), encode(mine)])),
            ("mallory", mallory.seal(RESULTS, [encode(replace(mine, decision=sequence + 1_000_000))])),
            ("mallory", entry.body),
            ("node-1", entry.body),
            ("node-1", entry.body.split(b"\n")[0] + b"\n" + encode(evil)),
            ("node-1", encode(evil)),
        ]
        for node, body in forged * 3:
            await client.bus.js.publish(client.bus.subjects.results(node), body)
        verdict = await task.result(timeout_s=30)
        evidence = {at.sequence: (key, said) for at, key, said in await _readable(client.bus)}
        key, believed = evidence[verdict.evidence[0][0]]
        node_key = next(node.key for node in await client.nodes() if node.node == "node-1")
        await _take_the_name_of("node-1", cluster, tmp_path / "thief")
        after = await client.run(_ADD, 40, 2, entry="add", timeout_s=20)
        logs = await read_logs(cluster)

    assert after.value == 42
    assert (verdict.nodes, verdict.dissent, verdict.attempts) == (("node-1",), (), 1)
    assert verdict.output not in (_EVIL, b"")
    assert (key, believed.output) == (node_key, verdict.output)
    logs.hold(3)


async def _readable(bus: Bus) -> list[tuple[Entry, str, Result]]:
    """As `results`, without the entries that no signature holds for."""
    found = []
    for entry in await entries(bus, "results"):
        try:
            key, lines = open_signed(entry.body, RESULTS)
        except Exception:  # noqa: BLE001, S112 -- forged, as was meant
            continue
        found += [(entry, key, decode(line, _RESULT)) for line in lines]
    return found


async def _take_the_name_of(node: str, cluster: Supervisor, data: Path) -> None:
    """A second node under a taken id, with a key of its own, ends with code 3 and says why."""
    second = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ambient", "node", "--id", node, "--data", str(data)),
        *("--nats", cluster.nats, "--cluster", "sys"),
        stderr=PIPE,
    )
    _, said = await asyncio.wait_for(second.communicate(), 60)

    assert second.returncode == 3, said.decode()
    assert b"belongs to key" in said
    assert b"choose another --id" in said


@pytest.mark.long
async def test_results_survive_a_network_that_fails_while_nodes_work(tmp_path: Path) -> None:
    """A node is cut off while its guest runs, then the server stands still: each result goes out once, each task has one verdict."""
    async with running(tmp_path, nodes=1) as (cluster, client), Proxy(cluster.nats) as proxy:
        await cluster.add(cluster.plan.node("far", proxy.url))
        async with asyncio.timeout(60):
            while {node.node for node in await client.nodes() if node.state == "healthy"} != {
                "node-1",
                "far",
            }:
                await asyncio.sleep(0.05)
        cut_off = await spinning(client, "far")
        proxy.cut()
        await asyncio.sleep(3)  # the fault itself: the guest ends while nobody hears its node
        assert not cut_off.done
        proxy.mend()
        first = await cut_off.result(timeout_s=30)
        both = [await spinning(client, node) for node in ("node-1", "far")]
        await _freeze(cluster, 3)
        verdicts = [first, *[await task.result(timeout_s=30) for task in both]]
        said = [result.task for _, _, result in await results(client.bus)]
        logs = await read_logs(cluster)

    assert [(v.status, v.attempts) for v in verdicts] == [("verified", 1)] * 3
    assert sorted(said) == sorted(v.task for v in verdicts)
    logs.hold(3)


async def _freeze(cluster: Supervisor, seconds: float) -> None:
    """Let the server stand still for a while, as a paused virtual machine does."""
    pid = next(running.pid for running in cluster.running.values() if running.plan.role == "server")
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        os.kill(pid, signal.SIGCONT)
