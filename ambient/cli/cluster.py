"""`up` and `demo`: a whole cluster on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, validators

from ambient.cli.exits import Exit
from ambient.cli.options import AT_LEAST_ONE, PORT, Connection
from ambient.cli.output import err, print_json
from ambient.cli.serving import LogTasks
from ambient.cli.starting import Starting, where_lines
from ambient.extras import needs
from ambient.settings import default_data, read_cluster_file
from bus.terms import stop_signals

if TYPE_CHECKING:
    from ambient.cluster import ClusterPlan

__all__ = ["demo", "up"]

_NONE_OR_MORE = validators.Number(gte=0)


async def up(
    *,
    nodes: Annotated[int, Parameter(validator=_NONE_OR_MORE, help="How many nodes.")] = 3,
    data: Annotated[
        Path | None, Parameter(help="Folder of the cluster; it holds cluster.json and the logs.")
    ] = None,
    servers: Annotated[
        Literal[1, 3, 5], Parameter(help="How many NATS servers: three bear the loss of one, five of two.")
    ] = 1,
    port: Annotated[
        int,
        Parameter(
            validator=PORT,
            help="NATS port on loopback, of several servers the first one's; 0 picks free ones.",
        ),
    ] = 4222,
    strategy: Annotated[
        Literal["weighted", "round-robin", "least-loaded", "latency-aware"],
        Parameter(help="How nodes are chosen."),
    ] = "weighted",
    coordinators: Annotated[
        int, Parameter(validator=AT_LEAST_ONE, help="How many coordinators; one leads.")
    ] = 1,
    verifiers: Annotated[int, Parameter(validator=AT_LEAST_ONE, help="How many verifiers; one leads.")] = 1,
    anchors: Annotated[
        int,
        Parameter(
            validator=_NONE_OR_MORE, help="How many anchors; one leads. Without one there are no receipts."
        ),
    ] = 1,
    gateways: Annotated[
        int,
        Parameter(validator=_NONE_OR_MORE, help="How many gateways; without one there is no REST API."),
    ] = 1,
    http_port: Annotated[
        int, Parameter(validator=PORT, help="Port of the REST API on loopback; 0 picks a free one.")
    ] = 3000,
    anchor_every: Annotated[
        float,
        Parameter(
            validator=validators.Number(gt=0),
            help="Seconds between two publications on the chain of the anchor, at least.",
        ),
    ] = 5.0,
    slots: Annotated[
        int | None,
        Parameter(validator=AT_LEAST_ONE, help="Guests at a time on each node. Default: the cores."),
    ] = None,
    metrics: Annotated[
        bool, Parameter(help="Let every process serve metrics on loopback, at ports named in cluster.json.")
    ] = True,
    log_tasks: LogTasks = False,
    connection: Connection = Connection(),
) -> Exit:
    """Start a local cluster and keep it running: what dies is started again; ctrl-C drains and stops it."""
    with needs("all"):
        from ambient.cluster import ClusterPlan, Supervisor  # noqa: PLC0415 -- an extra

    name = connection.settings.cluster
    plan = ClusterPlan(
        data=data or default_data(name),
        cluster=name,
        nodes=nodes,
        coordinators=coordinators,
        verifiers=verifiers,
        anchors=anchors,
        gateways=gateways,
        http_ports=(http_port,),
        client=connection.settings.client,
        servers=servers,
        port=port,
        strategy=strategy,
        slots=slots,
        service_options={"anchor": ("--anchor-every", str(anchor_every))},
        log_tasks=log_tasks,
    )
    stop = stop_signals()
    starting = Starting(_steps(plan))
    with starting.shown():
        async with Supervisor(plan, on_event=starting.event, metrics=metrics):
            starting.end()
            described = read_cluster_file(plan.data)
            if connection.json:
                print_json(described)
            for line in where_lines(described, nodes=nodes):
                err.print(line)
            await stop.wait()
            err.print("draining …")
    return Exit.OK


def _steps(plan: "ClusterPlan") -> int:
    """How many things happen until a cluster is up: every process starts, one of each service leads, gateways serve, nodes are healthy."""
    leaders = sum(1 for count in (plan.coordinators, plan.verifiers, plan.anchors) if count)
    return plan.servers + len(plan.services("")) + leaders + plan.gateways + len(plan.node_names())


async def demo(
    *,
    tasks: Annotated[int, Parameter(validator=AT_LEAST_ONE, help="Size of the burst.")] = 5000,
    nodes: Annotated[int, Parameter(validator=AT_LEAST_ONE, help="How many honest nodes.")] = 3,
    keep: Annotated[
        bool, Parameter(negative="", help="Say where everything is and let the cluster run on, until ctrl-C.")
    ] = False,
    connection: Connection = Connection(),
) -> Exit:
    """Show everything with real parts: guests, failures, a liar outvoted, a burst, and kills under load.

    It ends by itself, exits 0 only if all of it was true, and leaves no process or file behind.
    """
    with needs("all"):
        from ambient.demo import run_demo  # noqa: PLC0415 -- an extra

    async def until_told(data: Path) -> None:
        stop = stop_signals()
        for line in where_lines(read_cluster_file(data), nodes=nodes + 1):
            err.print(line)
        await stop.wait()

    shown = await run_demo(
        tasks=tasks, nodes=nodes, silent=connection.json, keep=until_told if keep else None
    )
    if connection.json:
        print_json(shown)
    return Exit.OK if shown.ok else Exit.NOT_VERIFIED
