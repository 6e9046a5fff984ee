"""The order of the demo, and that it cleans up behind itself."""

import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from ambient import connect
from ambient.cluster import ClusterPlan, Supervisor
from ambient.demo import parts
from ambient.demo.stage import Demonstrated, Stage

__all__ = ["run_demo"]


async def run_demo(
    *,
    tasks: int = 5000,
    nodes: int = 3,
    silent: bool = False,
    keep: Callable[[Path], Awaitable[None]] | None = None,
) -> Demonstrated:
    """Run every part and tell what was shown, to people on stderr only if `silent`.

    With `keep` the cluster has a gateway and metrics, and when all was shown runs on until `keep`, which is given its folder, returns.
    """
    stage = Stage(silent=silent)
    folder = Path(tempfile.mkdtemp(prefix="ambient-demo-"))
    begun = time.perf_counter()
    try:
        await _play(stage, folder, tasks, nodes, keep)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    stage.heading("All of it was true." if stage.ok else "Something was not true: see the crosses above.")
    stage.say(
        f"{len(stage.facts)} facts in {time.perf_counter() - begun:.0f} s; no process or file is left behind"
    )
    return stage.told()


async def _play(
    stage: Stage, folder: Path, tasks: int, nodes: int, keep: Callable[[Path], Awaitable[None]] | None
) -> None:
    plan = ClusterPlan(
        data=folder,
        cluster="demo",
        nodes=nodes,
        anchors=1,
        gateways=1 if keep else 0,
        client="demo",
        extra_nodes=(parts.LIAR,),
        slots=1,
        node_options={parts.LIAR: ("--fault", "lie")},
        service_options={"anchor": ("--anchor-every", "1")},
    )
    stage.heading("A cluster of real processes: nats-server, coordinator, verifier, anchor, nodes")
    async with (
        Supervisor(plan, metrics=keep is not None) as cluster,
        connect(cluster.nats, cluster="demo", client="demo") as client,
    ):
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
        if keep is not None:
            stage.heading("It runs on, until ctrl-C")
            await keep(folder)
        stage.heading("Drain and stop")
    stage.fact("every process ended when told", holds=all(r.pid is None for r in cluster.running.values()))
