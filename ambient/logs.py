"""Where the SDK's own log lines go in a program that has not set structlog up: to the standard library's logging.

Guarantees that importing and using the SDK prints nothing on standard output: warnings go to standard error, the rest to nobody,
until the program says otherwise with `logging` (logger names `ambient…` and `bus…`) or with `structlog.configure`.
"""

import os

import structlog

from bus.steps import STEPS

__all__ = ["keep_quiet", "steps_wanted"]

_YES = frozenset({"1", "true", "yes"})


def steps_wanted() -> bool:
    """Whether `AMBIENT_LOG_TASKS` asks for a line for each step of each task."""
    return os.environ.get("AMBIENT_LOG_TASKS", "").lower() in _YES


def keep_quiet() -> None:
    """Send structlog's lines to `logging`, unless the program has configured structlog itself."""
    STEPS.on = STEPS.on or steps_wanted()
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
