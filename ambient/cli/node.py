"""`node`: the process itself; the words behind it (`drain`, `undrain`, `status`) are said to one that runs, by its name."""

from typing import Annotated

from cyclopts import App, Parameter

from ambient.cli.exits import NODE
from ambient.cli.options import AT_LEAST_ONE, Connection
from ambient.cli.serving import Data, LogLevel, LogTasks, Metrics, MetricsHost, log_to_stderr
from ambient.extras import needs
from ambient.settings import default_data
from bus.join import JoinToken

__all__ = ["node"]

node = App(
    name="node",
    result_action="return_value",
    help_epilogue="Exit codes of the node: "
    + "; ".join(f"{code} {meant}" for code, meant in NODE.items())
    + ".",
)
node.command("ambient.cli.drains:drain", name="drain")
node.command("ambient.cli.drains:undrain", name="undrain")
node.command("ambient.cli.status:status", name="status")


@node.default
async def run(
    *,
    id_: Annotated[
        str | None, Parameter(name="--id", help="Name in the mesh; from the host's name if not given.")
    ] = None,
    region: Annotated[str | None, Parameter(help="Where it stands.")] = None,
    node_type: Annotated[str | None, Parameter(help="What it is: phone, laptop, server, edge …")] = None,
    label: Annotated[dict[str, str] | None, Parameter(help="`--label.gpu yes`, several if need be.")] = None,
    slots: Annotated[
        int | None, Parameter(validator=AT_LEAST_ONE, help="Guests at a time. Default: the cores.")
    ] = None,
    memory_mb: Annotated[
        int | None, Parameter(help="Memory offered to guests. Default: what is free.")
    ] = None,
    bandwidth_mbps: Annotated[float | None, Parameter(help="Default: measured at the start.")] = None,
    idle_watts: Annotated[
        float | None, Parameter(help="For the energy model where RAPL cannot be read.")
    ] = None,
    max_watts: Annotated[
        float | None, Parameter(help="For the energy model where RAPL cannot be read.")
    ] = None,
    drain_s: Annotated[
        float, Parameter(help="How long running guests may take to finish when told to end.")
    ] = 30.0,
    fault: Annotated[
        str | None,
        Parameter(help="Misbehave on purpose, for demos and tests: lie, silent, slow:MS, crash:N."),
    ] = None,
    join: Annotated[
        str | None,
        Parameter(
            help="The token that registering this node gave: address, cluster, name and key in one word."
        ),
    ] = None,
    data: Data = None,
    metrics: Metrics = 0,
    metrics_host: MetricsHost = "127.0.0.1",
    log_level: LogLevel = "info",
    log_tasks: LogTasks = False,
    connection: Connection = Connection(),
) -> int:
    """Offer this machine to the mesh. SIGTERM drains: running guests finish, the rest is handed back."""
    log_to_stderr(log_level, connection.settings.cluster, steps=log_tasks)
    with needs("node"):
        from workers.node import run_node  # noqa: PLC0415 -- an extra
        from workers.settings import NodeSettings  # noqa: PLC0415 -- an extra
    watts = {"idle_watts": idle_watts, "max_watts": max_watts}
    url, cluster = connection.settings.nats, connection.settings.cluster
    if join is not None:
        token = JoinToken.read(join)
        url, cluster, id_ = connection.nats or token.nats, token.cluster, token.node
    folder = data or default_data(cluster) / "node"
    if join is not None:
        token.keep(folder / "identity")
    settings = NodeSettings(
        data=folder,
        url=url,
        cluster=cluster,
        id=id_,
        region=region,
        node_type=node_type,
        labels=label or {},
        slots=slots,
        memory_mb=memory_mb,
        bandwidth_mbps=bandwidth_mbps,
        fault=fault or "",
        drain_s=drain_s,
        metrics_port=metrics,
        metrics_host=metrics_host,
        **{name: value for name, value in watts.items() if value is not None},
    )
    return await run_node(settings)
