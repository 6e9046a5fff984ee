"""Options that all processes have, and where they log to."""

import logging
import sys
from pathlib import Path
from typing import Annotated, Literal

import structlog
from cyclopts import Parameter, validators

from ambient.cli.options import PORT
from ambient.cli.output import PLAIN_RENDERER
from bus.steps import STEPS, named

__all__ = [
    "SOME_TIME",
    "CheckpointS",
    "Data",
    "LogLevel",
    "LogTasks",
    "Metrics",
    "MetricsHost",
    "log_to_stderr",
]

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
