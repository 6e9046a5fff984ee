"""`coordinator`, `verifier`, `server`: the processes, one each, as containers and init systems run them; others have modules of their own."""

import secrets
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter, validators

from ambient.cli.exits import Exit
from ambient.cli.options import AT_LEAST_ONE, PORT, Connection
from ambient.cli.output import err, print_json
from ambient.cli.serving import (
    SOME_TIME,
    CheckpointS,
    Data,
    LogLevel,
    LogTasks,
    Metrics,
    MetricsHost,
    log_to_stderr,
)
from ambient.extras import needs
from ambient.settings import default_data
from bus.terms import stop_signals

__all__ = ["Server", "coordinator", "server", "verifier"]

Strategy = Literal["weighted", "round-robin", "least-loaded", "latency-aware"]


class Server(msgspec.Struct, frozen=True):
    """Where it listens."""

    nats: str
    """Address for clients."""
    monitor: str
    """Address of the server's own figures, over HTTP."""
    cluster: str
    """The cluster that was set up on it."""


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
    stop = stop_signals()
    async with NatsServer((data or default_data(name)) / "nats", port=port) as running:
        async with await Bus.connect(running.url, cluster=name) as bus:
            await ensure_streams(bus)
        if connection.json:
            print_json(Server(running.url, running.monitor_url, name))
        err.print(f"nats-server listens at {running.url}, cluster {name}; ctrl-C ends it")
        await stop.wait()
    return Exit.OK
