"""`node`, `coordinator`, `verifier`, `server`: the processes, one each, as containers and init systems run them; `anchor` is `ambient.cli.anchors`."""

import logging
import secrets
import sys
from pathlib import Path
from typing import Annotated, Literal

import structlog
from cyclopts import Parameter, validators

from ambient.cli.exits import Exit
from ambient.cli.options import AT_LEAST_ONE, PORT, Connection
from ambient.cli.output import PLAIN_RENDERER, err, print_json
from ambient.extras import needs
from ambient.settings import default_data
from bus.join import JoinToken
from bus.steps import STEPS, named
from bus.terms import stop_signals

__all__ = [
    "SOME_TIME",
    "CheckpointS",
    "Data",
    "LogLevel",
    "LogTasks",
    "Metrics",
    "MetricsHost",
    "commands",
    "log_to_stderr",
    "node",
]

Strategy = Literal["weighted", "round-robin", "least-loaded", "latency-aware"]
Data = Annotated[
    Path | None,
    Parameter(
        env_var="AMBIENT_DATA", help="Folder that this process may write. Default: below the user's data."
    ),
]
SOME_TIME = validators.Number(gt=0)
CheckpointS = Annotated[
    float, Parameter(validator=SOME_TIME, help="Seconds between two checkpoints, at least.")
]
Metrics = Annotated[
    int, Parameter(validator=PORT, help="Serve Prometheus metrics on this port of loopback; 0 serves none.")
]
MetricsHost = Annotated[str, Parameter(help="Serve them at another address, for others to see.")]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"], Parameter(help="What is logged to stderr.")
]
LogTasks = Annotated[
    bool,
    Parameter(
        negative="",
        env_var="AMBIENT_LOG_TASKS",
        help="Log a line for each step of each task, too (at level info): whose it is, how it came in, its trace.",
    ),
]


async def node(
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


async def coordinator(
    *,
    name: Annotated[str | None, Parameter(help="Name of this instance; random if not given.")] = None,
    strategy: Annotated[Strategy, Parameter(help="How nodes are chosen.")] = "weighted",
    keep_hours: Annotated[
        float,
        Parameter(
            validator=SOME_TIME,
            help="How long an id stands for its verdict, and logs are kept. The same for all coordinators.",
        ),
    ] = 24.0,
    checkpoint_s: CheckpointS = 5.0,
    data: Data = None,
    metrics: Metrics = 0,
    metrics_host: MetricsHost = "127.0.0.1",
    monitor: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            show_default=False,
            help="Monitor of a NATS server (`http://host:8222`), whose figures are served with the metrics.",
        ),
    ] = (),
    full_tasks: Annotated[
        int,
        Parameter(validator=AT_LEAST_ONE, help="Tasks without a verdict beyond which no new ones are taken."),
    ] = 150_000,
    full_wait_s: Annotated[
        float,
        Parameter(
            validator=validators.Number(gt=0), help="Seconds of work beyond which no new tasks are taken."
        ),
    ] = 3600.0,
    log_level: LogLevel = "info",
    log_tasks: LogTasks = False,
    connection: Connection = Connection(),
) -> Exit:
    """Decide which node runs what. Any number may run; one leads, the others stand by."""
    log_to_stderr(log_level, connection.settings.cluster, steps=log_tasks)
    with needs("services"):
        from coordinator.service import run  # noqa: PLC0415 -- an extra
        from coordinator.settings import Settings, Timing  # noqa: PLC0415 -- an extra
    where = connection.settings
    instance = name or f"coordinator-{secrets.token_hex(4)}"
    settings = Settings(
        data=data or default_data(where.cluster) / "coordinator",
        url=where.nats,
        cluster=where.cluster,
        strategy=strategy,
        name=instance,
        checkpoint_s=checkpoint_s,
        timing=Timing(keep_ms=int(keep_hours * 3_600_000)),
        metrics_port=metrics,
        metrics_host=metrics_host,
        monitors=monitor,
        full_tasks=full_tasks,
        full_wait_s=full_wait_s,
    )
    await run(settings)
    return Exit.OK


async def verifier(
    *,
    name: Annotated[str | None, Parameter(help="Name of this instance; random if not given.")] = None,
    checkpoint_s: CheckpointS = 5.0,
    data: Data = None,
    metrics: Metrics = 0,
    metrics_host: MetricsHost = "127.0.0.1",
    log_level: LogLevel = "info",
    log_tasks: LogTasks = False,
    connection: Connection = Connection(),
) -> Exit:
    """Accept or refuse what nodes claim. Any number may run; one leads, the others stand by."""
    log_to_stderr(log_level, connection.settings.cluster, steps=log_tasks)
    with needs("services"):
        from verifier.service import run  # noqa: PLC0415 -- an extra
        from verifier.settings import VerifierSettings  # noqa: PLC0415 -- an extra
    where = connection.settings
    folder = data or default_data(where.cluster) / "verifier"
    instance = name or f"verifier-{secrets.token_hex(4)}"
    settings = VerifierSettings(
        url=where.nats,
        cluster=where.cluster,
        data=folder,
        name=instance,
        checkpoint_s=checkpoint_s,
        metrics_port=metrics,
        metrics_host=metrics_host,
    )
    await run(settings)
    return Exit.OK


async def server(
    *,
    port: Annotated[int, Parameter(validator=PORT, help="TCP port on loopback; 0 picks a free one.")] = 4222,
    data: Data = None,
    connection: Connection = Connection(),
) -> Exit:
    """Run a nats-server on loopback that writes to disk before it answers, and set the cluster up on it."""
    from bus.connection import Bus  # noqa: PLC0415 -- only this command needs it
    from bus.server import NatsServer  # noqa: PLC0415
    from bus.streams import ensure_streams  # noqa: PLC0415

    name = connection.settings.cluster
    async with NatsServer((data or default_data(name)) / "nats", port=port) as running:
        async with await Bus.connect(running.url, cluster=name) as bus:
            await ensure_streams(bus)
        if connection.json:
            print_json({"nats": running.url, "monitor": running.monitor_url, "cluster": name})
        err.print(f"nats-server listens at {running.url}, cluster {name}; ctrl-C ends it")
        await stop_signals().wait()
    return Exit.OK


commands = (coordinator, verifier, server)


def log_to_stderr(level: str, cluster: str, *, steps: bool = False) -> None:
    """Readable on a terminal, JSON lines in a log file, in which a line about a task of `cluster` (if it is known) names its submitter and trace.

    With `steps` there is a line for each step that this process takes with a task.
    """
    terminal = sys.stderr.isatty()
    STEPS.on = steps
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([named(cluster)] if cluster else []),
            structlog.processors.format_exc_info
            if not terminal
            else structlog.processors.StackInfoRenderer(),
            PLAIN_RENDERER if terminal else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
