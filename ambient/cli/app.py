"""The command's root: registers the commands, maps errors to exit codes, runs the event loop."""

import asyncio
import logging
import sys
from collections.abc import Coroutine
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import structlog
from cyclopts import App, CycloptsError
from rich.markup import escape

from ambient.cli import (
    anchors,
    audit,
    backups,
    cluster,
    drains,
    gateway,
    inspection,
    ledger,
    nodes,
    processes,
    receipts,
    status,
    tasks,
    tracing,
    users,
)
from ambient.cli.exits import INTERRUPTED, NODE, Exit, in_short
from ambient.cli.output import PLAIN_RENDERER, err
from ambient.cli.processes import log_to_stderr
from ambient.errors import (
    AmbientError,
    BusUnavailable,
    LogFull,
    OutputUnavailable,
    ReceiptPending,
    ReceiptUnusable,
    StillOpen,
    TaskNotVerified,
    TaskRejected,
)
from ambient.logs import steps_wanted
from anchor.errors import AnchorError
from bus.errors import BusError, Malformed
from bus.steps import STEPS
from gateway.errors import GatewayError
from metrics.errors import MetricsError
from tracing.errors import TracingError

__all__ = ["app", "main"]


def _version() -> str:
    try:
        return version("ambient-vcp")
    except PackageNotFoundError:
        return "unknown (not installed)"


app = App(
    name="ambient",
    help="Run WebAssembly on machines that are not yours, and get results that are verified.",
    version=_version,
    result_action="return_value",
    help_epilogue=f"{in_short()}; `ambient node` has its own from 3 on: see `ambient node --help`.",
)
app.register_install_completion_command()

for commands in (
    tasks.commands,
    nodes.commands,
    inspection.commands,
    ledger.commands,
    audit.commands,
    backups.commands,
    receipts.commands,
    cluster.commands,
    processes.commands,
    anchors.commands,
    tracing.commands,
):
    for command in commands:
        app.command(command, name=command.__name__.rstrip("_"))

# `ambient node` is the process itself; the words behind it are said to one that runs, by its name.
_node = App(
    name="node",
    result_action="return_value",
    help_epilogue="Exit codes of the node: "
    + "; ".join(f"{code} {meant}" for code, meant in NODE.items())
    + ".",
)
_node.default(processes.node)
for command in (*drains.commands, *status.commands):
    _node.command(command)
app.command(_node)
app.command(gateway.gateway)
app.command(gateway.token)
app.command(users.user)


def main() -> None:
    """Parse the command line, run it and exit with a code of `Exit`."""
    _quiet_logs()
    try:
        command, bound, _ = app.parse_args(exit_on_error=False)
        answer = command(*bound.args, **bound.kwargs)
        code = _run(answer) if asyncio.iscoroutine(answer) else answer
    except CycloptsError:
        code = Exit.USAGE  # cyclopts has printed what is wrong
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        code = 0  # the reader of our output (head, less) has seen enough
    except Exception as error:  # noqa: BLE001 -- the outermost edge: every known error becomes a sentence and a code
        code = _explain(error)
    sys.exit(int(code or 0))


def _run(command: Coroutine[Any, Any, Any]) -> Any:
    """Run on uvloop where it is installed: it halves what a message costs."""
    try:
        import uvloop  # noqa: PLC0415 -- optional
    except ImportError:
        return asyncio.run(command)
    return uvloop.run(command)


def _explain(error: Exception) -> Exit:
    code = _exit_code(error)
    if code is Exit.INTERNAL:
        structlog.get_logger("ambient").exception("a fault of ours: please report it")
    err.print(f"[bold red]error:[/] {escape(_sentence(error))}")
    return code


def _sentence(error: Exception) -> str:
    """The error's own words, but advice for the command line instead of for a program."""
    if isinstance(error, StillOpen):
        return f"{error.within}: `ambient result {error.task}` waits again, `ambient why {error.task}` says what for"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _exit_code(error: Exception) -> Exit:
    known: tuple[tuple[type[Exception], Exit], ...] = (
        (TaskNotVerified, Exit.NOT_VERIFIED),
        (TaskRejected, Exit.REFUSED),
        (StillOpen, Exit.TIMEOUT),
        (ReceiptPending, Exit.TIMEOUT),
        (ReceiptUnusable, Exit.UNAVAILABLE),
        (LogFull, Exit.FULL),
        (BusUnavailable, Exit.UNAVAILABLE),
        (OutputUnavailable, Exit.UNAVAILABLE),
        (Malformed, Exit.USAGE),
        (BusError, Exit.UNAVAILABLE),
        (AmbientError, Exit.USAGE),
        (MetricsError, Exit.USAGE),
        (TracingError, Exit.USAGE),
        (AnchorError, Exit.USAGE),
        (GatewayError, Exit.USAGE),
        (OSError, Exit.USAGE),
    )
    return next((code for kind, code in known if isinstance(error, kind)), Exit.INTERNAL)


def _quiet_logs() -> None:
    """Commands speak to people: warnings go to stderr, the rest is for the processes' own logs; and steps of tasks where they are asked for."""
    STEPS.on = steps_wanted()
    if STEPS.on and not sys.stderr.isatty():
        log_to_stderr("info", "", steps=True)  # to be read with the lines of the processes
        return
    structlog.configure(
        processors=[structlog.processors.add_log_level, PLAIN_RENDERER],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO if STEPS.on else logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
