"""The main job through every door: SDK, command line and bare NATS, against real processes."""

import asyncio
import base64
import hashlib
import json
import os

import nats
import pytest

import ambient
from ambient.client import Client
from ambient.cluster import Supervisor
from bus.blobs import Blobs
from bus.connection import Bus
from tests.system.logs import GUESTS, Cli


async def test_sdk_runs_a_function_and_returns_a_verified_result(client: Client) -> None:
    """A function's result comes back verified by two nodes, with fuel, energy and evidence."""
    verdict = await client.run(GUESTS / "primes.wasm", 10_000, entry="count_primes", verify="quorum:2/3")

    assert verdict.text == "1229"
    assert verdict.verified
    assert len(verdict.nodes) >= 2
    assert verdict.fuel > 0
    assert verdict.energy_method
    assert len(verdict.evidence) >= 2


async def test_megabytes_travel_as_blobs(client: Client) -> None:
    """An input and an output of 1 MiB go through the blob store and come back whole."""
    content = os.urandom(1024 * 1024 - 7)
    verdict = await client.run(GUESTS / "upper.wasm", input=content)

    assert verdict.output == bytes(b - 32 if 97 <= b <= 122 else b for b in content)


async def test_the_same_id_is_the_same_task(client: Client) -> None:
    """Submitted twice with one id, a task runs once; with another body the id is refused."""
    first = await client.run(GUESTS / "add.wasm", 1, 2, entry="add", id="once")
    second = await client.run(GUESTS / "add.wasm", 1, 2, entry="add", id="once")

    assert first == second
    with pytest.raises(ambient.TaskRejected, match="id"):
        await client.run(GUESTS / "add.wasm", 1, 3, entry="add", id="once")


@pytest.mark.parametrize(
    ("guest", "reason", "limits"),
    [
        ("trap", "trap", {}),
        ("loop", "fuel", {"fuel": 10_000_000}),
        ("hog", "memory", {"memory_mb": 16}),
        ("recurse", "stack", {}),
        ("flood", "output", {"output_bytes": 1000}),
        ("exit3", "exit", {}),
    ],
)
async def test_a_guest_that_fails_is_a_verdict_with_a_reason(
    client: Client, guest: str, reason: str, limits: dict[str, int]
) -> None:
    """What a guest does wrong is judged by the same policy as an output, and not retried."""
    verdict = await client.run(
        GUESTS / "misbehaving" / f"{guest}.wasm", verify="quorum:2/3", limits=limits, check=False
    )

    assert (verdict.status, verdict.reason, verdict.attempts) == ("failed", reason, 1)


async def test_a_running_task_can_be_cancelled(client: Client) -> None:
    """Cancel reaches a guest that would run for minutes."""
    task = await client.submit(
        GUESTS / "misbehaving" / "slow.wasm",
        10**12,
        entry="spin",
        limits={"fuel": 10**13, "wall_ms": 600_000},
    )
    while (await client.why(task)).state != "assigned":
        await asyncio.sleep(0.02)
    await client.cancel(task)

    with pytest.raises(ambient.TaskCancelled):
        await asyncio.wait_for(task.result(), 60)


async def test_why_names_each_node_and_its_reason(client: Client) -> None:
    """A task that no node fits waits, and `why` says of each node what is missing."""
    task = await client.submit(GUESTS / "add.wasm", 1, 2, entry="add", place={"region": "mars"})
    while not (reply := await client.why(task)).nodes:  # the coordinator looks at the module first
        await asyncio.sleep(0.02)
    await client.cancel(task)

    assert reply.state == "waiting"
    assert {node.node for node in reply.nodes} == {"node-1", "node-2", "node-3"}
    assert all("mars" in node.reason and not node.chosen for node in reply.nodes)


async def test_cli_writes_the_guests_bytes_to_stdout(cli: Cli) -> None:
    """`ambient run` prints exactly the output and exits 0 only when it is verified."""
    done = await cli(
        "run", str(GUESTS / "upper.wasm"), "--input", "-", "--verify", "quorum:2/3", stdin=b"hi\xff\n"
    )
    failed = await cli("run", str(GUESTS / "misbehaving" / "trap.wasm"))

    assert (done.returncode, done.stdout) == (0, b"HI\xff\n")
    assert (failed.returncode, failed.stdout) == (1, b"")
    assert b"trap" in failed.stderr


async def test_cli_speaks_json_and_names_its_errors(cli: Cli) -> None:
    """`--json` prints verdicts and lists; refusals and usage errors have their own exit codes."""
    run = await cli("run", str(GUESTS / "add.wasm"), "20", "22", "--entry", "add", "--json", "--id", "j1")
    verdict = json.loads(run.stdout)
    nodes = json.loads((await cli("nodes", "--json")).stdout)
    again = json.loads((await cli("result", "j1", "--json")).stdout)
    refused = await cli("run", str(GUESTS / "misbehaving" / "net.wasm"))

    assert base64.b64decode(verdict["output"]) == b"42"
    assert verdict == again
    assert sorted(node["node"] for node in nodes) == ["node-1", "node-2", "node-3"]
    assert refused.returncode == 3
    assert b"sock_accept" in refused.stderr
    assert (await cli("run")).returncode == 2
    assert (await cli("doctor")).returncode == 0
    assert json.loads((await cli("health", "--json")).stdout)["coordinator"]["leading"] is True


async def test_a_stranger_with_bare_nats_submits_and_reads_the_verdict(shared: Supervisor) -> None:
    """A client that knows nothing of us sends JSON and gets the verdict on `done`."""
    async with await Bus.connect(shared.nats, cluster="sys") as bus:
        digest = await Blobs(bus, "stranger").put((GUESTS / "upper.wasm").read_bytes())
    connection = await nats.connect(shared.nats)
    try:
        done = await connection.subscribe("avcp.sys.done.stranger.t1")
        body = {"id": "t1", "work": {"kind": "wasm", "module": f"sha256:{digest}", "input": "aGk="}}
        ack = await connection.request("avcp.sys.tasks.submit.stranger", json.dumps(body, indent=1).encode())
        verdict = json.loads((await done.next_msg(timeout=20)).data)
    finally:
        await connection.close()

    assert "seq" in json.loads(ack.data)
    assert verdict["status"] == "verified"
    assert base64.b64decode(verdict["output"]) == b"HI"
    assert verdict["output_digest"] == hashlib.sha256(b"HI").hexdigest()


@pytest.mark.parametrize(
    ("body", "field", "limit"),
    [
        (b"not json", "", "JSON"),
        (b'{"id":"a.b","work":{"kind":"wasm","module":"sha256:' + b"a" * 64 + b'"}}', "id", "match"),
        (b'{"work":{"kind":"docker"}}', "work.kind", "docker"),
        (b'{"work":{"kind":"wasm","module":"sha256:' + b"a" * 64 + b'"},"verfy":1}', "verfy", "field"),
        (
            b'{"work":{"kind":"wasm","module":"sha256:' + b"a" * 64 + b'"},"limits":{"memory_mb":1000000}}',
            "limits.memory_mb",
            "4096",
        ),
        (b'{"work":{"kind":"wasm","module":"sha256:' + b"a" * 64 + b'"}}', "work.module", "upload"),
    ],
    ids=["no-json", "bad-id", "unknown-kind", "typo", "over-limit", "unknown-module"],
)
async def test_bad_input_is_answered_with_field_and_limit(
    shared: Supervisor, client: Client, body: bytes, field: str, limit: str
) -> None:
    """Whatever is malformed gets a message on `rejected` that says what to change, and the log goes on."""
    connection = await nats.connect(shared.nats)
    try:
        rejected = await connection.subscribe("avcp.sys.rejected.rude")
        await connection.request("avcp.sys.tasks.submit.rude", body)
        said = json.loads((await rejected.next_msg(timeout=20)).data)
    finally:
        await connection.close()

    assert said["field"] == field
    assert limit in said["limit"]
    assert (await client.run(GUESTS / "add.wasm", 2, 2, entry="add")).value == 4
