"""The configuration of a deployment's three NATS servers, run by the real server."""

import json
import urllib.request
from pathlib import Path

import pytest

from ambient.users import Users
from bus.blobs import Blobs
from bus.connection import Bus
from bus.nkeys import VARIABLE
from bus.streams import ensure_streams
from tests.conftest import SMALL
from tests.deploy.served import Served


async def test_three_servers_form_a_cluster_that_keeps_each_log_three_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told one another's addresses only, they place every stream on all three, and sync what they acknowledge.

    A client, which has an account of its own, reaches the logs through each of them alike.
    """
    users = Users(tmp_path, "c")
    keys = {role: str(users.add(role, "me")[1]) for role in ("coordinator", "client")}
    told = users.file.read_text()
    servers = [
        Served(
            "server.conf", tmp_path, users=told, NATS_NAME=f"nats-{n}", NATS_STORE=str(tmp_path / f"js-{n}")
        )
        for n in range(3)
    ]
    routes = [f"nats-route://127.0.0.1:{server.ports[6222]}" for server in servers]
    for server in servers:
        server.variables["NATS_ROUTES"] = routes[0] if server is not servers[0] else routes[1]
    async with servers[0], servers[1], servers[2]:
        for server in servers:
            await server.healthy()
        monkeypatch.setenv(VARIABLE, keys["coordinator"])
        async with await Bus.connect(",".join(server.url for server in servers), cluster="c") as bus:
            await ensure_streams(bus, SMALL)
            info = await bus.js.stream_info(bus.subjects.stream("verdicts"))
        monkeypatch.setenv(VARIABLE, keys["client"])
        for number, server in enumerate(servers, 1):
            async with await Bus.connect(server.url, cluster="c") as bus:
                stored = await bus.js.publish(bus.subjects.submit("me"), b"{}", timeout=30)
                assert (stored.stream, stored.seq) == ("AVCP_c_TASKS", number)
                digest = await Blobs(bus, "me").put(server.url.encode())
                assert await Blobs(bus, "me").get(digest) == server.url.encode()
        figures = json.loads(urllib.request.urlopen(f"http://127.0.0.1:{servers[2].ports[8222]}/jsz").read())  # noqa: ASYNC210

    assert info.config.num_replicas == 3
    assert figures["config"]["sync_always"] is True
