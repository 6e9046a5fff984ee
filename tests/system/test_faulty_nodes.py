"""Nodes that misbehave by their fault switches, and nodes that die: every task still ends, once, and says how."""

import asyncio
import datetime as dt
import signal
from pathlib import Path

import pytest

from ambient.client import Client
from ambient.cluster import Supervisor
from ambient.verdict import TaskVerdict
from tests.system.logs import GUESTS, read_logs, running

_ADD = GUESTS / "add.wasm"
_SPIN = GUESTS / "misbehaving" / "slow.wasm"
_LAB = ("--region", "lab")
_FAULTS = {"silent": "silent", "slow": "slow:700", "crashing": "crash:1"}


async def _pinned(client: Client, node: str, **options: object) -> TaskVerdict:
    return await client.run(
        _ADD, 40, 2, entry="add", place={"node": node}, check=False, timeout_s=60, **options  # type: ignore[arg-type]
    )  # fmt: skip


async def _on_a_node_that_dies(cluster: Supervisor, client: Client, node: str) -> TaskVerdict:
    """A task whose only attempt is on a node that is killed and does not come back."""
    task = await client.submit(
        _SPIN, 10**12, entry="spin", limits={"fuel": 10**13}, place={"node": node}, max_attempts=1
    )
    async with asyncio.timeout(60):
        while (await client.why(task)).state != "assigned":
            await asyncio.sleep(0.02)
    cluster.running[node].wanted = False
    cluster.kill(node, signal.SIGKILL)
    return await task.result(check=False, timeout_s=30)


@pytest.mark.long
async def test_every_task_ends_whatever_its_nodes_do(tmp_path: Path) -> None:
    """Silent, slow, crashing and dying nodes cost time: a quorum does without them, a lone attempt ends with its reason."""
    options = {name: ("--fault", fault, *_LAB) for name, fault in _FAULTS.items() if name != "crashing"}
    options |= {"node-1": _LAB, "crashing": ("--fault", "crash:1")}
    async with running(tmp_path, nodes=2, extra_nodes=tuple(_FAULTS), node_options=options) as (
        cluster,
        client,
    ):
        dying, crashing, silent, slow, quorum = await asyncio.gather(
            _on_a_node_that_dies(cluster, client, "node-2"),
            _pinned(client, "crashing", max_attempts=1),
            _pinned(client, "silent", deadline=dt.timedelta(seconds=3)),
            _pinned(client, "slow"),
            client.run(_ADD, 1, 1, entry="add", verify="quorum:2/3", place={"region": "lab"}, timeout_s=30),
        )
        logs = await read_logs(cluster)

    assert (dying.status, dying.reason, dying.attempts) == ("failed", "attempts", 1)
    assert "node-2 lost" in dying.detail
    assert (crashing.status, crashing.reason, crashing.attempts) == ("failed", "attempts", 1)
    assert (silent.status, silent.reason) == ("expired", "deadline")
    assert (slow.value, slow.nodes) == (42, ("slow",))
    assert (quorum.value, set(quorum.nodes)) == (2, {"node-1", "slow"})
    logs.hold(5)
