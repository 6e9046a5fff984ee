"""A real Prometheus scrapes a real cluster under load and faults: whatever a panel or a rule asks, there is an answer."""

import asyncio
import contextlib
import datetime as dt
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
import yaml

from ambient.client import Client, connect
from ambient.cluster import ClusterPlan, Supervisor
from ambient.errors import AmbientError
from bus.errors import BusError
from bus.messages import ServiceHealth
from bus.trace import trace_id
from tests.system.logs import GUESTS
from tests.system.prometheus import PROMETHEUS, Prometheus, prometheus

GRAFANA = Path(__file__).parents[2] / "grafana"
_ADD = GUESTS / "add.wasm"
_TRAP = GUESTS / "misbehaving" / "trap.wasm"

SENSORS = {
    "Nodes: Temperature": "the machine that tests may show no sensor",
    "Nodes: Battery": "the machine that tests may have no battery",
}
"""Queries that may have no answer, with the reason; they are asked, and must be understood."""

_HAPPENED = (
    'sum(ambient_verdicts_total{status="verified", policy="quorum"}) > 0',
    'sum(ambient_verdicts_total{status="verified", policy="signature"}) > 0',
    'sum(ambient_verdicts_total{status="expired"}) > 0',
    'sum(ambient_unverified_total{reason="trap"}) > 0',
    "sum(ambient_tasks_refused_total) > 0",
    "sum(ambient_dissents_total) > 0",
    'sum(ambient_node_losses_total{state="left"}) > 0',
    'max(ambient_leadership_epoch{service="coordinator"}) > 1',
    "sum(ambient_sandbox_fuel_total) > 0",
    "sum(ambient_verified_energy_joules_total) > 0",
    "max(ambient_anchor_entries) > 0",
    "max(ambient_nats_up) == 1",
    'sum(ambient_supervised_restarts_total{role="coordinator"}) > 0',
)
"""Facts of the load and its faults that must show."""


class Asked(NamedTuple):
    """One expression and where it comes from."""

    of: str
    expr: str


def of_panels() -> list[Asked]:
    """Every query of every dashboard, as it is when all of job and instance are chosen."""
    asked = []
    for path in sorted((GRAFANA / "dashboards").glob("*.json")):
        board = json.loads(path.read_text())
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                expr = target["expr"].replace("$__rate_interval", "1m")
                expr = expr.replace("$job", "ambient-.+").replace("$instance", ".+")
                asked.append(Asked(f"{board['title'].removeprefix('Ambient: ')}: {panel['title']}", expr))
    return asked


def of_rules() -> list[Asked]:
    """Every rule; an alert's comparison is asked for its outcome, as it has no answer while all is well."""
    files = (yaml.safe_load(path.read_text()) for path in sorted((GRAFANA / "rules").glob("*.yaml")))
    rules = [rule for file in files for group in file["groups"] for rule in group["rules"]]
    return [
        Asked(rule.get("alert") or rule["record"], outcome(rule["expr"]) if "alert" in rule else rule["expr"])
        for rule in rules
    ]


def outcome(expr: str) -> str:
    """The expression with its outermost comparisons told as 0 or 1."""
    depth, told = 0, ""
    for part in re.split(r'("[^"]*"|[(){}\[\]]|\s(?:>=|<=|==|!=|>|<)\s)', expr):
        depth += {"(": 1, "{": 1, "[": 1, ")": -1, "}": -1, "]": -1}.get(part, 0)
        is_comparison = re.fullmatch(r"\s(>=|<=|==|!=|>|<)\s", part) is not None
        told += f"{part}bool " if is_comparison and depth == 0 else part
    return told


def test_an_alert_is_asked_for_its_outcome_and_no_more() -> None:
    """What is compared inside parentheses, in selectors or text stays as it is."""
    assert outcome('a{b="x > y"} / (c > 0) > 0.1') == 'a{b="x > y"} / (c > 0) > bool 0.1'
    assert outcome("a > 1\nand\nb < 2") == "a > bool 1\nand\nb < bool 2"


async def question(http: str) -> None:
    """Ask a gateway how it is."""
    at = urlsplit(http)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    try:
        writer.write(
            f"GET /api/v1/health/live HTTP/1.1\r\nHost: {at.netloc}\r\nConnection: close\r\n\r\n".encode()
        )
        await asyncio.wait_for(reader.read(), 60)
    finally:
        writer.close()


@asynccontextmanager
async def loaded(client: Client, http: str) -> AsyncIterator[None]:
    """Tasks without end, of all kinds, and questions to the gateway at `http`, until the context ends; what becomes of single ones is nobody's concern here."""

    async def on() -> None:
        number = 0
        while True:
            number += 1
            with contextlib.suppress(AmbientError):
                await asyncio.gather(
                    client.run(_ADD, number, 1, entry="add", verify="quorum:2/3", timeout_s=20),
                    client.run(_ADD, number, 2, entry="add", timeout_s=20),
                    client.run(_TRAP, check=False, timeout_s=20),
                )
            with contextlib.suppress(OSError, TimeoutError):
                await question(http)
            await asyncio.sleep(0.05)

    running = asyncio.create_task(on())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def leader(client: Client) -> ServiceHealth:
    """The coordinator that leads, as soon as one answers."""
    while True:
        with contextlib.suppress(BusError):
            return await client.bus.request(
                client.bus.subjects.service("coordinator", "health"), b"{}", ServiceHealth, timeout_s=1
            )
        await asyncio.sleep(0.05)


async def strike(cluster: Supervisor, client: Client) -> None:
    """The faults: a leader and a node that are killed, a node that leaves, a task that nobody can do in time, one that is none."""
    first = await leader(client)
    cluster.kill(first.name)
    async with asyncio.timeout(60):
        while (await leader(client)).epoch == first.epoch:
            await asyncio.sleep(0.05)
    cluster.kill("node-1")
    await cluster.remove("node-2")
    await client.bus.js.publish(client.bus.subjects.submit("t"), b'{"wrk":1}')
    in_vain = await client.run(
        *(_ADD, 1, 1), entry="add", place={"region": "nowhere"}, deadline=dt.timedelta(seconds=1), check=False
    )
    assert in_vain.status == "expired"


async def unanswered(server: Prometheus, asked: list[Asked]) -> list[Asked]:
    """Those of `asked` that have no number for an answer now."""
    return [each for each in asked if not await server.values(each.expr)]


@pytest.mark.skipif(
    PROMETHEUS is None, reason="Prometheus is not installed (Debian: apt-get install prometheus)"
)
@pytest.mark.long
async def test_every_query_of_every_panel_and_rule_has_an_answer(tmp_path: Path) -> None:
    """Of a cluster with two coordinators, a liar among its nodes, and faults; and what happened shows in it. The configuration that the cluster wrote for others is one, too."""
    plan = ClusterPlan(
        data=tmp_path / "cluster",
        cluster="sys",
        nodes=4,
        coordinators=2,
        anchors=1,
        gateways=1,
        slots=1,
        extra_nodes=("liar",),
        node_options={"liar": ("--fault", "lie")},
        service_options={"anchor": ("--anchor-every", "1")},
    )
    asked = [*of_panels(), *of_rules()]
    facts = [Asked("what happened", expr) for expr in _HAPPENED]
    async with (
        Supervisor(plan, metrics=True) as cluster,
        prometheus(tmp_path / "prometheus", plan.data / "targets.json", GRAFANA / "rules") as server,
        connect(cluster.nats, cluster="sys", client="t") as client,
        loaded(client, cluster.http),
    ):
        async with asyncio.timeout(90):
            await strike(cluster, client)
        left = [*asked, *facts]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(45):
                while left := await unanswered(server, left):
                    if {each.of for each in left} <= set(SENSORS):
                        break
                    await asyncio.sleep(0.5)
        rules = [rule for group in (await server.get("rules"))["groups"] for rule in group["rules"]]
        examples = await server.get(
            "query_exemplars",
            query="ambient_task_seconds_bucket",
            start=str(time.time() - 600),
            end=str(time.time() + 60),
        )
        jobs = await server.get("label/job/values", **{"match[]": "ambient_build_info"})

    assert [each for each in left if each.of not in SENSORS] == []
    assert {(rule["health"], rule.get("lastError", "")) for rule in rules} == {("ok", "")}
    assert len(rules) == len(of_rules())
    configured = await asyncio.create_subprocess_exec(
        "promtool", "check", "config", plan.data / "prometheus.yml", stdout=asyncio.subprocess.PIPE
    )
    told, _ = await configured.communicate()
    assert configured.returncode == 0
    # The very rules that were tried above are what a Prometheus of this configuration judges by.
    assert sum(map(int, re.findall(rb"(\d+) rules found", told))) == len(of_rules())
    named = [each["labels"] for found in examples for each in found["exemplars"]]
    assert {each["task"].partition(".")[0] for each in named} == {"t"}
    assert all(each["trace_id"] == trace_id(plan.cluster, each["task"]) for each in named)
    assert set(jobs) == {
        "ambient-coordinator",
        "ambient-verifier",
        "ambient-anchor",
        "ambient-gateway",
        "ambient-node",
        "ambient-up",
    }
