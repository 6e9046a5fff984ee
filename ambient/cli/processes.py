"""`coordinator`, `verifier`, `server`: the processes, one each, as containers and init systems run them; others have modules of their own."""

import logging
import secrets
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Annotated, Any, Literal

import structlog
from cyclopts import Parameter, validators

from ambient.cli.exits import Exit
from ambient.cli.options import AT_LEAST_ONE, PORT, Connection
from ambient.cli.output import PLAIN_RENDERER, err, print_json
from ambient.cli.told import Server
from ambient.extras import needs
from ambient.settings import default_data
from bus.terms import stop_signals
from bus.trace import trace_id

__all__ = [
    "SOME_TIME",
    "CheckpointS",
    "Data",
    "LogLevel",
    "Metrics",
    "MetricsHost",
    "coordinator",
    "log_to_stderr",
    "server",
    "verifier",
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
    checkpoint_s: CheckpointS = 10.0,
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
    connection: Connection = Connection(),
) -> Exit:
    """Decide which node runs what. Any number may run; one leads, the others stand by."""
    log_to_stderr(log_level, connection.settings.cluster)
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
    checkpoint_s: CheckpointS = 10.0,
    data: Data = None,
    metrics: Metrics = 0,
    metrics_host: MetricsHost = "127.0.0.1",
    log_level: LogLevel = "info",
    connection: Connection = Connection(),
) -> Exit:
    """Accept or refuse what nodes claim. Any number may run; one leads, the others stand by."""
    log_to_stderr(log_level, connection.settings.cluster)
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
    stop = stop_signals()
    async with NatsServer((data or default_data(name)) / "nats", port=port) as running:
        async with await Bus.connect(running.url, cluster=name) as bus:
            await ensure_streams(bus)
        if connection.json:
            print_json(Server(running.url, running.monitor_url, name))
        err.print(f"nats-server listens at {running.url}, cluster {name}; ctrl-C ends it")
        await stop.wait()
    return Exit.OK


def log_to_stderr(level: str, cluster: str = "") -> None:
    """Readable on a terminal, JSON lines in a log file, in which a line about a task has the id of its trace in `cluster`."""
    terminal = sys.stderr.isatty()

    def traced(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        task = event.get("task")
        if cluster and isinstance(task, str):
            event["trace_id"] = trace_id(cluster, task)
        return event

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            traced,
            structlog.processors.format_exc_info
            if not terminal
            else structlog.processors.StackInfoRenderer(),
            PLAIN_RENDERER if terminal else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
