"""The order of the demo, and that it cleans up behind itself."""

import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import msgspec

from ambient import connect
from ambient.cluster import ClusterPlan, Supervisor
from ambient.demo import parts
from ambient.demo.stage import Stage

__all__ = ["run_demo"]


async def run_demo(*, tasks: int = 5000, nodes: int = 3, as_json: bool = False) -> bool:
    """Run every part; True only if all that was shown was true."""
    stage = Stage(silent=as_json)
    folder = Path(tempfile.mkdtemp(prefix="ambient-demo-"))
    begun = time.perf_counter()
    try:
        await _play(stage, folder, tasks, nodes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    stage.heading("All of it was true." if stage.ok else "Something was not true: see the crosses above.")
    stage.say(
        f"{len(stage.facts)} facts in {time.perf_counter() - begun:.0f} s; no process or file is left behind"
    )
    if as_json:
        sys.stdout.write(msgspec.json.encode({"ok": stage.ok, "facts": stage.facts}).decode() + "\n")
    return stage.ok


async def _play(stage: Stage, folder: Path, tasks: int, nodes: int) -> None:
    plan = ClusterPlan(
        data=folder,
        cluster="demo",
        nodes=nodes,
        anchors=1,
        extra_nodes=(parts.LIAR,),
        slots=1,
        node_options={parts.LIAR: ("--fault", "lie")},
        service_options={"anchor": ("--anchor-every", "1")},
    )
    stage.heading("A cluster of real processes: nats-server, coordinator, verifier, anchor, nodes")
    async with Supervisor(plan) as cluster, connect(cluster.nats, cluster="demo", client="demo") as client:
        started = {running.plan.name: running.pid for running in cluster.running.values()}
        listed = ", ".join(f"{name} ({pid})" for name, pid in started.items())
        stage.fact(f"started {listed}", holds=all(started.values()))
        for part in (
            parts.useful_work,
            parts.failures,
            parts.liar,
            partial(parts.burst, tasks=tasks),
            parts.kills,
            parts.receipts,
        ):
            await part(client, cluster, stage)
        stage.heading("Drain and stop")
    stage.fact("every process ended when told", holds=all(r.pid is None for r in cluster.running.values()))
