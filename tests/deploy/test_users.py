"""The servers' users: a whole cluster works with what each role may do, and each may do no more; on the shipped configuration and the real server."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import nats
import pytest
import pytest_asyncio

from ambient.audit import audit
from ambient.client import connect
from ambient.users import Users
from bus import nkeys
from bus.connection import Bus
from bus.permissions import ROLES
from bus.signing import Identity
from bus.subjects import Subjects
from tests.deploy.served import Served
from workers.node import StopSwitch, run_node
from workers.settings import NodeSettings

GUESTS = Path(__file__).resolve().parents[2] / "examples/guests"
NAMES = Subjects("home")
PATIENCE_S = 60


@contextlib.contextmanager
def known_as(path: Path) -> Iterator[None]:
    """What connects meanwhile shows this key."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(nkeys.VARIABLE, str(path))
        yield


class Cluster:
    """The server, its users' keys by role, what its services say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.users = Users(folder, "home")
        self.keys: dict[str, Path] = {}
        for role in ROLES:
            _, path = self.users.add(role, "me")
            assert path is not None
            self.keys[role] = path
        self.node = Identity.load(folder / "n1/identity")
        self.users.add("node", "n1", self.node.key)
        self.server = Served("server.conf", folder, without="cluster", users=self.users.file.read_text(), NATS_NAME="one", NATS_STORE=str(folder / "js"))  # fmt: skip

    def said(self) -> str:
        """What the server and the services have logged."""
        return "\n".join(path.read_text() for path in self.folder.glob("*.log"))

    async def start(self, role: str, *options: str) -> asyncio.subprocess.Process:
        environment = {**os.environ, "NATS_URL": self.server.url, "AMBIENT_CLUSTER": "home", "NATS_KEY": str(self.keys[role])}
        with (self.folder / f"{role}.log").open("wb") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", "ambient", role, "--name", role, "--data", str(self.folder / role), *options,
                env=environment, stdout=log, stderr=log,
            )  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """Every process with the key of its role; the node with its own identity."""
    made = Cluster(tmp_path_factory.mktemp("users"))
    switch = StopSwitch()
    async with made.server:
        await made.server.healthy()
        services = [
            await made.start("coordinator"),
            await made.start("verifier"),
            await made.start("anchor", "--chain", "none"),
            await made.start("gateway", "--http-port", "0"),
        ]
        settings = NodeSettings(data=made.folder / "n1", id="n1", url=made.server.url, cluster="home", slots=1, memory_mb=600, bandwidth_mbps=100)  # fmt: skip
        node = asyncio.create_task(run_node(settings, stop=switch))
        try:
            yield made
        finally:
            switch.pull()
            await asyncio.wait([node], timeout=60)
            for service in services:
                service.terminate()
            await asyncio.gather(*(service.wait() for service in services))


@pytest.mark.asyncio(loop_scope="module")
async def test_a_cluster_works_with_what_each_role_may(cluster: Cluster) -> None:
    """To a verdict and its audit; nobody of it is refused anything by the server."""
    with known_as(cluster.keys["client"]):
        async with connect(cluster.server.url, cluster="home", client="me") as client:
            async with asyncio.timeout(PATIENCE_S):
                while not (await client.health()).ok:
                    await asyncio.sleep(0.1)
            verdict = await client.run(GUESTS / "add.wasm", 20, 22, entry="add")
            large = await client.run(GUESTS / "upper.wasm", input=b"a" * 100_000)
            assert (verdict.value, verdict.nodes, large.output) == (42, ("n1",), b"A" * 100_000)
            assert [node.node for node in await client.nodes()] == ["n1"]
    with known_as(cluster.keys["reader"]):
        async with await Bus.connect(cluster.server.url, cluster="home") as bus:
            report = await audit(bus)
    assert (report.violations, sum(report.verdicts.values())) == ((), 2)
    assert "iolation" not in cluster.said()
