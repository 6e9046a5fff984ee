"""`trace`: the process that tells a collector of OpenTelemetry what every task's way was."""

from typing import Annotated

from cyclopts import Parameter, validators

from ambient.cli.exits import Exit
from ambient.cli.options import Connection
from ambient.cli.serving import LogLevel, LogTasks, log_to_stderr
from ambient.extras import needs

__all__ = ["trace"]


async def trace(
    *,
    to: Annotated[str, Parameter(help="Collector that takes OTLP over HTTP.")] = "http://localhost:4318",
    share: Annotated[
        float,
        Parameter(
            validator=validators.Number(gt=0, lte=1), help="Share of all tasks, the same ones everywhere."
        ),
    ] = 1.0,
    log_level: LogLevel = "info",
    log_tasks: LogTasks = False,
    connection: Connection = Connection(),
) -> Exit:
    """Send a trace of each task that ends from now on, read from the logs: who had it, from when to when."""
    where = connection.settings
    log_to_stderr(log_level, where.cluster, steps=log_tasks)
    with needs("tracing"):
        from tracing.service import run  # noqa: PLC0415 -- an extra
        from tracing.settings import TracingSettings  # noqa: PLC0415 -- an extra
    await run(TracingSettings(to=to, share=share, url=where.nats, cluster=where.cluster))
    return Exit.OK
