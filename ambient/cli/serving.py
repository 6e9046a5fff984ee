"""Options that all processes have, and where they log to."""

import logging
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Annotated, Any, Literal

import structlog
from cyclopts import Parameter, validators

from ambient.cli.options import PORT
from ambient.cli.output import PLAIN_RENDERER
from bus.trace import trace_id

__all__ = ["SOME_TIME", "CheckpointS", "Data", "LogLevel", "Metrics", "MetricsHost", "log_to_stderr"]

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
