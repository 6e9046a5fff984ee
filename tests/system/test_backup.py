"""docs/operate.md, played on real processes: a cluster that is lost comes back from its backup, and keys are changed while it works."""

import asyncio
import contextlib
import shutil
import tarfile
from pathlib import Path

from ambient.audit import Report, audit
from ambient.client import Client, connect
from ambient.cluster import ClusterPlan, Supervisor
from ambient.errors import AmbientError
from bus.connection import Bus
from bus.signing import Identity
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


async def test_what_is_restored_gives_the_same_verdict_and_keys_can_be_changed(tmp_path: Path) -> None:
    """The same id has the same verdict, evidence and all, after everything was destroyed; the audit holds before and after new keys."""
    data, backup = tmp_path / "cluster", tmp_path / "backup.tar"
    async with (
        Supervisor(planned(data)) as cluster,
        connect(cluster.nats, cluster="kept", client="me") as client,
    ):
        before = await client.run(ADD, 20, 22, entry="add", id="kept", verify="quorum:2/2")
        names = {node.node: node.key for node in await client.nodes()}
    # What docs/operate.md says: stop it, copy the folder, owners and modes and all.
    with tarfile.open(backup, "w") as archive:
        archive.add(data, arcname=".")
    shutil.rmtree(data)
    data.mkdir()
    with tarfile.open(backup) as archive:
        archive.extractall(data, filter="tar")

    async with (
        Supervisor(planned(data)) as cluster,
        connect(cluster.nats, cluster="kept", client="me") as client,
    ):
        again = await client.run(ADD, 20, 22, entry="add", id="kept", verify="quorum:2/2")
        assert again == before
        assert again.evidence == before.evidence
        assert {node.node: node.key for node in await client.nodes()} == names
        first = await judged(cluster)
        assert (first.violations, first.open, sum(first.verdicts.values())) == ((), (), 1)

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
