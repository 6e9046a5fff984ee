"""A site behind an unreliable uplink: its nodes hang on a leaf server, and no cut of the uplink loses anything."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ambient.audit import audit
from ambient.client import Client, connect
from ambient.errors import BusUnavailable
from ambient.users import Users
from bus.connection import Bus
from bus.nkeys import VARIABLE
from bus.streams import ensure_streams
from coordinator.service import run as run_coordinator
from coordinator.settings import Settings
from tests.conftest import SMALL
from tests.deploy.served import Served
from tests.system.proxy import Proxy
from verifier.service import run as run_verifier
from verifier.settings import VerifierSettings
from workers.node import StopSwitch, run_node
from workers.settings import NodeSettings

GUESTS = Path(__file__).resolve().parents[2] / "examples/guests"
TASKS = 40


class Site:
    """A cluster, a leaf server behind an uplink that can be cut, and two nodes on the leaf."""

    def __init__(self, hub: str, leaf: str, uplink: Proxy) -> None:
        self.hub, self.leaf, self.uplink = hub, leaf, uplink


@contextlib.asynccontextmanager
async def running(tmp_path: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    stop, switch = asyncio.Event(), StopSwitch()
    # One server is enough here; that three of them form a cluster is another test.
    users = Users(tmp_path, "c")
    _, operator = users.add("operator", "me")
    _, site = users.add("site", "farm")
    assert operator is not None
    assert site is not None
    hub = Served("server.conf", tmp_path, without="cluster", users=users.file.read_text(), NATS_NAME="hub", NATS_STORE=str(tmp_path / "js"))  # fmt: skip
    uplink = Proxy(f"nats://127.0.0.1:{hub.ports[7422]}")
    leaf = Served(
        "leaf.conf", tmp_path, LEAF_NAME="site", LEAF_SEED=site.read_text().strip(),
        LEAF_HUB=uplink.url.replace("nats://", "nats-leaf://"),
    )  # fmt: skip
    # All but the nodes, which connect to the leaf server with their own keys, are on the hub as the operator.
    patch.setenv(VARIABLE, str(operator))
    async with hub, uplink, leaf:
        await hub.healthy()
        await leaf.healthy()
        async with await Bus.connect(hub.url, cluster="c") as bus:
            await ensure_streams(bus, SMALL)
        tasks = [
            asyncio.create_task(
                run_coordinator(Settings(data=tmp_path / "c", url=hub.url, cluster="c", name="c"), stop=stop)
            ),
            asyncio.create_task(
                run_verifier(
                    VerifierSettings(data=tmp_path / "v", url=hub.url, cluster="c", name="v"), stop=stop
                )
            ),
            *(
                asyncio.create_task(
                    run_node(
                        NodeSettings(
                            data=tmp_path / name,
                            id=name,
                            url=leaf.url,
                            cluster="c",
                            slots=1,
                            memory_mb=600,
                            bandwidth_mbps=100,
                        ),
                        stop=switch,
                    )
                )
                for name in ("n1", "n2")
            ),
        ]
        try:
            yield Site(hub.url, leaf.url, uplink)
        finally:
            uplink.mend()
            switch.pull()
            await asyncio.wait(tasks[2:], timeout=60)
            stop.set()
            await asyncio.wait(tasks[:2], timeout=60)


async def until(client: Client, states: set[str]) -> None:
    """Wait until the coordinator has both nodes in one of these states."""
    async with asyncio.timeout(90):
        while True:
            with contextlib.suppress(BusUnavailable):  # it may not lead yet
                found = [node.state for node in await client.nodes()]
                if len(found) == 2 and set(found) <= states:
                    return
            await asyncio.sleep(0.05)


async def test_a_cut_uplink_costs_time_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut under load, submitted to meanwhile, mended: every task has its one verdict, by nodes of the site, and the audit holds."""
    async with running(tmp_path, monkeypatch) as site, connect(site.hub, cluster="c", client="me") as client:
        await until(client, {"healthy"})
        add = GUESTS / "add.wasm"
        first = await client.run(add, 1, 2, entry="add", verify="quorum:2/2")
        assert set(first.nodes) == {"n1", "n2"}

        before = [await client.submit(add, n, n, entry="add", id=f"before{n}") for n in range(TASKS)]
        site.uplink.cut()
        during = [await client.submit(add, n, n, entry="add", id=f"during{n}") for n in range(TASKS)]
        await until(client, {"suspect", "dead"})
        assert not during[-1].done
        site.uplink.mend()

        verdicts = await asyncio.wait_for(
            asyncio.gather(*(task.result() for task in (*before, *during))), 120
        )
        assert [verdict.value for verdict in verdicts] == [2 * n for n in range(TASKS)] * 2
        assert {node for verdict in verdicts for node in verdict.nodes} <= {"n1", "n2"}
        async with await Bus.connect(site.hub, cluster="c", name="audit") as bus:
            report = await audit(bus)
    assert report.violations == ()
    assert (sum(report.verdicts.values()), report.open) == (2 * TASKS + 1, ())
