"""`ambient node drain`: a machine is taken out of the mesh and put back, without a task that is lost."""

import asyncio
import json

import psutil
import pytest

import ambient
from ambient.cli.exits import Exit
from ambient.cli.views import service_lines
from ambient.client import Client
from ambient.cluster import Supervisor
from ambient.doctor import examine
from ambient.settings import resolve
from tests.system.logs import GUESTS, Cli

LOOP = GUESTS / "misbehaving" / "loop.wasm"
ENDLESS = {"fuel": 10**13, "wall_ms": 600_000}


def burns(cluster: Supervisor, node: str) -> bool:
    """Whether a guest of the node computes: its slot has used more than it takes to start."""
    slots = psutil.Process(cluster.running[node].pid).children(recursive=True)
    return any(slot.cpu_times().user > 1.5 for slot in slots)


async def test_a_drained_node_gives_back_what_does_not_finish_and_works_when_it_may(
    cli: Cli, client: Client, shared: Supervisor
) -> None:
    """The command waits and tells of each step; `nodes`, `why`, `health` and `doctor` say that it drains; undrain gives the task back."""
    task = await client.submit(LOOP, limits=ENDLESS, place={"node": "node-2"})
    async with asyncio.timeout(60):
        while not burns(shared, "node-2"):  # what has not begun would be given back at once
            await asyncio.sleep(0.1)
    patient = await cli("node", "drain", "node-2", "--finish-s", "30", "--timeout", "0.5", "--json")
    drained = await cli("node", "drain", "node-2", "--finish-s", "0", "--timeout", "50")
    again = await client.drain("node-2")
    seen = {node.node: node.state for node in await client.nodes()}
    why = await client.why(task)
    health = "\n".join(service_lines(await client.health()))
    found = {each.subject: each.detail for each in await examine(resolve(shared.nats, cluster="sys"))}
    back = await cli("node", "undrain", "node-2")
    async with asyncio.timeout(60):
        while not (await client.why(task)).attempt > 1:
            await asyncio.sleep(0.02)
    await client.cancel(task)

    assert patient.returncode == Exit.TIMEOUT
    assert json.loads(patient.stdout)["open"] == 1
    assert drained.returncode == Exit.OK, drained.stderr
    assert b"1 attempt open" in drained.stderr
    assert b"node-2 is empty" in drained.stderr
    assert (again.state, again.empty, again.open) == ("draining", True, 0)
    assert seen["node-2"] == "draining"
    assert ("node-2", "draining") in [(each.node, each.reason) for each in why.nodes]
    assert "1 of 3 nodes drain" in health
    assert "node-2 draining" in found["nodes"]
    assert (back.returncode, (await task.result(check=False)).status) == (Exit.OK, "cancelled")


async def test_a_node_that_never_was_is_an_error_of_who_names_it(cli: Cli, client: Client) -> None:
    """The sentence names the node and where to look; nobody waits."""
    done = await cli("node", "drain", "kitchen")
    with pytest.raises(ambient.QuestionRejected, match="no node 'kitchen'"):
        await client.undrain("kitchen")

    assert done.returncode == Exit.USAGE
    assert b"no node 'kitchen' ever enrolled" in done.stderr
    assert b"ambient nodes --all" in done.stderr
