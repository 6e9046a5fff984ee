"""docs/operate.md, played on real processes: a cluster that is lost comes back from its backup, and keys are changed while it works."""

import asyncio
import contextlib
import json
import os
import shutil
from pathlib import Path

import msgspec
import pytest

from ambient.audit import Report, audit
from ambient.backup import ORDER, Manifest
from ambient.client import Client, connect
from ambient.cluster import ClusterPlan, Supervisor
from ambient.errors import AmbientError
from bus.connection import Bus
from bus.errors import BusError
from bus.messages import VerdictRequest
from bus.signing import Identity
from bus.wire import encode
from tests.command import ambient
from tests.documented import documented
from tests.system.logs import GUESTS

ADD = GUESTS / "add.wasm"


def planned(data: Path) -> ClusterPlan:
    return ClusterPlan(data=data, cluster="kept", nodes=2, slots=1)


async def judged(cluster: Supervisor) -> Report:
    async with await Bus.connect(cluster.nats, cluster="kept", name="audit") as bus:
        return await audit(bus)


async def until(client: Client, node: str, state: str) -> None:
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(AmbientError):
                if [n for n in await client.nodes() if (n.node, n.state) == (node, state)]:
                    return
            await asyncio.sleep(0.05)


async def _submitting(client: Client) -> None:
    """Load, for as long as it is let."""
    n = 0
    while True:
        await asyncio.gather(*(client.submit(ADD, n, k, entry="add") for k in range(20)))
        n += 1


async def statuses(client: Client, ids: list[str]) -> list[str]:
    """Wait until every one of these tasks has a verdict, without submitting it again, and return how they ended."""
    asked = encode(VerdictRequest([client.full_name(each) for each in ids]))
    subject = client.bus.subjects.service("verifier", "verdict")
    async with asyncio.timeout(90):
        while True:
            with contextlib.suppress(BusError):
                told = [
                    json.loads(line) for line in (await client.bus.request_bytes(subject, asked)).split(b"\n")
                ]
                if all(each["kind"] == "verdict" for each in told):
                    return [each["status"] for each in told]
            await asyncio.sleep(0.1)


async def command(*words: str) -> Manifest:
    """Run `ambient backup` or `restore`, which must end well, and return what it says."""
    done = await ambient(*words, "--cluster", "kept", "--json", environment=dict(os.environ))
    assert done.returncode == 0, done.stderr.decode()
    [told] = documented(words[0], done.stdout)
    return msgspec.convert(told, Manifest)


@pytest.mark.long
async def test_what_is_restored_gives_the_same_verdicts_and_keys_can_be_changed(tmp_path: Path) -> None:
    """Copied under load, without a stop. After everything was destroyed, what was acknowledged before has its verdict, the same where it was told.

    The audit holds before and after new keys.
    """
    data, backup = tmp_path / "cluster", tmp_path / "backup"
    early = [f"early{n}" for n in range(60)]
    async with (
        Supervisor(planned(data)) as cluster,
        connect(cluster.nats, cluster="kept", client="me") as client,
    ):
        before = await client.run(ADD, 20, 22, entry="add", id="kept", verify="quorum:2/2")
        names = {node.node: node.key for node in await client.nodes()}
        for name in early:
            await client.submit(ADD, 1, 2, entry="add", id=name)
        load = asyncio.create_task(_submitting(client))
        taken = await command("backup", str(backup), "--nats", cluster.nats, "--data", str(data))
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)
    assert [each.log for each in taken.logs] == list(ORDER)
    shutil.rmtree(data)
    assert await command("restore", str(backup), "--data", str(data)) == taken

    async with (
        Supervisor(planned(data)) as cluster,
        connect(cluster.nats, cluster="kept", client="me") as client,
    ):
        assert await statuses(client, early) == ["verified"] * len(early)
        again = await client.run(ADD, 20, 22, entry="add", id="kept", verify="quorum:2/2")
        assert again == before
        assert again.evidence == before.evidence
        for node in names:
            await until(client, node, "healthy")
        assert {node.node: node.key for node in await client.nodes()} == names
        async with asyncio.timeout(90):
            while (first := await judged(cluster)).open:
                await asyncio.sleep(0.2)
        assert first.violations == ()

        await _new_key_of_the_verifier(cluster, client, data)
        await _new_key_of_a_node(cluster, client, data)
        last = await judged(cluster)
    assert (last.violations, last.open) == ((), ())
    assert len({signer.key for signer in last.signers}) == len({signer.key for signer in first.signers}) + 1


async def _new_key_of_the_verifier(cluster: Supervisor, client: Client, data: Path) -> None:
    """Remove the identity and restart: what follows is signed by the new key, and the audit knows both."""
    identity = data / "verifier-1" / "identity"
    old = Identity.load(identity).key
    identity.unlink()
    pid = cluster.running["verifier-1"].pid
    cluster.kill("verifier-1")
    async with asyncio.timeout(60):
        while not identity.exists() or cluster.running["verifier-1"].pid in (None, pid):
            await asyncio.sleep(0.05)
    assert (await client.run(ADD, 1, 1, entry="add", id="by-the-new-key")).value == 2
    assert Identity.load(identity).key != old


async def _new_key_of_a_node(cluster: Supervisor, client: Client, data: Path) -> None:
    """A name belongs to its first key: with another one the node is refused (exit code 3), and comes back under another name."""
    (data / "node-1" / "identity").unlink()
    cluster.kill("node-1")
    async with asyncio.timeout(60):
        while (
            "'node-1'" not in (log := (data / "logs" / "node-1.log").read_text())
            or '"exit_code": 3' not in log
        ):
            await asyncio.sleep(0.05)
    await cluster.remove("node-1")
    await cluster.add(cluster.plan.node("node-1-b", cluster.nats))
    await until(client, "node-1-b", "healthy")
    done = await client.run(ADD, 2, 2, entry="add", id="by-the-new-name", place={"node": "node-1-b"})
    assert done.nodes == ("node-1-b",)
