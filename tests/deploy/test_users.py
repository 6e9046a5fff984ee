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
from ambient.doctor import examine
from ambient.settings import ConnectionSettings
from ambient.users import Users
from bus import nkeys
from bus.connection import Bus
from bus.permissions import FAR, ROLES
from bus.signing import Identity
from bus.subjects import Subjects
from tests.deploy.served import Served

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
        """Run the process of a role with that role's key; a node with its own."""
        environment = {**os.environ, "NATS_URL": self.server.url, "AMBIENT_CLUSTER": "home"}
        if role != "node":  # its own identity is its user's key
            environment["NATS_KEY"] = str(self.keys[role])
            options = ("--name", role, "--data", str(self.folder / role), *options)
        with (self.folder / f"{role}.log").open("wb") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", "ambient", role, *options, env=environment, stdout=log, stderr=log
            )  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """Every process with the key of its role; the node with its own identity."""
    made = Cluster(tmp_path_factory.mktemp("users"))
    async with made.server:
        await made.server.healthy()
        processes = [
            await made.start("coordinator"),
            await made.start("verifier"),
            await made.start("anchor", "--chain", "none"),
            await made.start("gateway", "--http-port", "0"),
            await made.start(
                "node", "--id", "n1", "--data", str(made.folder / "n1"), "--slots", "1", "--memory-mb", "600"
            ),
        ]
        try:
            yield made
        finally:
            for process in reversed(processes):
                process.terminate()
            await asyncio.gather(*(process.wait() for process in processes))


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


@pytest.mark.asyncio(loop_scope="module")
async def test_doctor_names_the_right_that_is_missing(cluster: Cluster) -> None:
    """A client is told what it may not ask and as whom to look; a reader gets no such finding, and looks at all."""
    where = ConnectionSettings(cluster.server.url, "home", "me")
    with known_as(cluster.keys["client"]):
        as_client = {found.subject: found for found in await examine(where, cluster.folder / "none")}
    with known_as(cluster.keys["reader"]):
        as_reader = {found.subject: found for found in await examine(where, cluster.folder / "none")}

    assert "may not publish to $JS.API.STREAM.INFO.AVCP_home_TASKS" in as_client["log tasks"].detail
    assert "ambient user add reader" in as_client["rights"].cure
    assert as_client["coordinator"].ok
    assert "log results" not in as_client
    assert "rights" not in as_reader
    assert all(found.ok for found in as_reader.values())


FORBIDDEN = {
    "node": [
        *(NAMES.assignments, NAMES.verdicts, NAMES.anchors, NAMES.results("me"), NAMES.telemetry("me"), NAMES.assign("me")),
        *(NAMES.submit("me"), NAMES.blob("me", "0" * 64, 0), NAMES.done("me.t"), NAMES.service("coordinator", "drain")),
    ],
    "client": [
        *(NAMES.assignments, NAMES.verdicts, NAMES.anchors, NAMES.results("n1"), NAMES.telemetry("n1"), NAMES.assign("n1")),
        *(NAMES.submit("you"), NAMES.cancel("you"), NAMES.blob("you", "0" * 64, 0), NAMES.done("me.t")),
        *(NAMES.service("coordinator", "hello"), NAMES.service("coordinator", "drain")),
    ],
    "reader": [NAMES.assignments, NAMES.verdicts, NAMES.submit("me"), NAMES.results("n1"), NAMES.telemetry("n1"), NAMES.checkpoint("verifier")],
    "gateway": [NAMES.assignments, NAMES.verdicts, NAMES.anchors, NAMES.results("n1"), NAMES.telemetry("n1")],
    "coordinator": [NAMES.verdicts, NAMES.anchors, NAMES.results("n1"), NAMES.submit("me"), NAMES.checkpoint("verifier")],
    "verifier": [NAMES.assignments, NAMES.anchors, NAMES.results("n1"), NAMES.submit("me"), NAMES.assign("n1")],
    "anchor": [NAMES.assignments, NAMES.verdicts, NAMES.results("n1"), NAMES.submit("me"), NAMES.assign("n1")],
}  # fmt: skip
REFUSED = "nats: permissions violation for "
CALLS = ("STREAM.DELETE", "STREAM.UPDATE", "STREAM.MSG.DELETE", "STREAM.SNAPSHOT")
"""What of JetStream only an operator may ask, of any log."""
READING = ("STREAM.MSG.GET", "CONSUMER.CREATE", "DIRECT.GET", "STREAM.PURGE", "STREAM.INFO")
"""And what nodes and clients may not."""
UNHEARD = {"node": [NAMES.assign("me"), NAMES.done(">"), "avcp.>", "_INBOX.>"], "client": [NAMES.done("you"), NAMES.rejected("you"), NAMES.assign("n1"), "_INBOX.>"]}  # fmt: skip


@contextlib.asynccontextmanager
async def stranger(cluster: Cluster, role: str) -> AsyncIterator[tuple[nats.NATS, list[str]]]:
    """Who has a key of this role and does what it likes; and what the server says of it."""
    complaints: list[str] = []

    async def hear(error: Exception) -> None:
        complaints.append(str(error))

    identity = (
        cluster.node
        if role == "node"
        else Identity.from_seed(nkeys.read_seed(cluster.keys[role].read_text()))
    )
    client = nats.NATS()
    client._public_nkey = nkeys.public(identity.key)
    await client.connect(cluster.server.url, signature_cb=lambda nonce: nkeys.answer(identity, nonce), error_cb=hear, inbox_prefix=nkeys.inbox(identity.key), allow_reconnect=False)  # fmt: skip
    try:
        yield client, complaints
    finally:
        await client.close()


@pytest.mark.parametrize("role", FORBIDDEN)
@pytest.mark.asyncio(loop_scope="module")
async def test_what_a_role_does_not_need_is_refused_to_it(cluster: Cluster, role: str) -> None:
    """Writing another's log, others' heartbeats and results, JetStream's management, listening to others: the server names each refusal."""
    edge = role in ("node", "client")
    logs = [NAMES.stream(log) for log in ("tasks", "assignments", "results", "verdicts", "anchors")]
    tried = [*FORBIDDEN[role], *(f"$JS.API.{call}.{log}" for call in CALLS for log in logs if (role, call, log) != ("coordinator", "STREAM.UPDATE", logs[0]))]  # fmt: skip
    tried += [f"$JS.API.{call}.{log}" for call in READING for log in logs] if edge else []
    async with stranger(cluster, role) as (client, complaints):
        for subject in tried:
            await client.publish(subject, b"{}")
        for subject in UNHEARD.get(role, []):
            await client.subscribe(subject)
        await client.flush()
        # What nodes and clients ask of JetStream is mapped to its name from outside before it is judged.
        judged = [subject.replace("$JS.API", FAR) if edge else subject for subject in tried]
        wanted = {f'publish to "{subject.lower()}"' for subject in judged}
        wanted |= {f'subscription to "{subject.lower()}"' for subject in UNHEARD.get(role, [])}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while not wanted <= {complaint.removeprefix(REFUSED) for complaint in complaints}:
                    await asyncio.sleep(0.02)

    assert wanted - {complaint.removeprefix(REFUSED) for complaint in complaints} == set()


@pytest.mark.asyncio(loop_scope="module")
async def test_no_answer_can_be_sent_into_a_log(cluster: Cluster) -> None:
    """A server sends answers wherever a question says, permitted or not: from another account they do not reach the logs."""
    body, digest = b'{"kind":"abandoned","task":"me.x"}', "a" * 64
    async with stranger(cluster, "client") as (client, complaints):
        for log in (NAMES.assignments, NAMES.verdicts):
            await client.publish(NAMES.blob("me", digest, 0), body, reply=log)
            await client.publish(
                f"$JS.API.DIRECT.GET.{NAMES.stream('blobs')}.{NAMES.blob('me', digest, 0)}", b"", reply=log
            )
            await client.publish(NAMES.service("verifier", "health"), b"{}", reply=log)
        await client.flush()
        # Answered in order, so whatever was to come of the questions before this one has come.
        kept = await client.request(
            f"$JS.API.DIRECT.GET.{NAMES.stream('blobs')}.{NAMES.blob('me', digest, 0)}", b"", timeout=30
        )
        assert (kept.data, complaints) == (body, [])
        await client.request(NAMES.service("verifier", "health"), b"{}", timeout=30)
    with known_as(cluster.keys["reader"]):
        async with await Bus.connect(cluster.server.url, cluster="home") as bus:
            for log in ("assignments", "verdicts"):
                stream = NAMES.stream(log)
                info = await bus.js.stream_info(stream)
                for sequence in range(info.state.first_seq, info.state.last_seq + 1):
                    assert "Avcp-Writer" in ((await bus.js.get_msg(stream, sequence)).headers or {})
