"""`ambient trace` beside a real cluster: a task's way is in a collector, under the id that the processes' own log lines give it."""

import asyncio
import json
import os

from ambient.client import Client
from ambient.cluster import Supervisor
from bus.trace import trace_id
from tests.command import started
from tests.system.logs import GUESTS
from tests.tracing.collector import Collector


async def test_a_task_of_a_real_cluster_is_traced(shared: Supervisor, client: Client) -> None:
    """Two nodes, decided once, judged once; the process ends in order, has sent everything, and its own line names the task, too."""
    where = {"NATS_URL": shared.nats, "AMBIENT_CLUSTER": "sys"}
    environment = {**os.environ, **where, "AMBIENT_LOG_TASKS": "1"}
    async with (
        Collector() as collector,
        started("trace", "--to", collector.url, environment=environment) as tracer,
    ):
        await tracer.says(tracer.error, b'"event": "tracing"')
        verdict = await client.run(GUESTS / "add.wasm", 1, 2, entry="add", id="traced", verify="quorum:2/2")
        await collector.wait_for(5)
        tracer.child.terminate()
        code = await asyncio.wait_for(tracer.child.wait(), 60)
        said = tracer.error.read_bytes()

    assert verdict.value == 3
    assert code == 0
    assert b'"sent": 5, "lost": 0' in said
    assert sorted(collector.names) == ["decide", "judge", "run", "run", "task"]
    [trace] = {
        span.trace_id.hex()
        for r in collector.requests
        for each in r.resource_spans
        for s in each.scope_spans
        for span in s.spans
    }
    assert trace == trace_id("sys", "tester.traced")
    (told,) = (line for each in said.splitlines() if (line := json.loads(each))["event"] == "traced")
    assert (told["task"], told["submitter"], told["path"]) == ("tester.traced", "tester", "sdk")
    assert told["trace_id"] == trace
