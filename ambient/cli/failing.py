"""What a command says when it has no answer: one sentence on stderr, an exit code, and with `--json` the same as a document on stdout.

Guarantees that every error ends in one place, as one shape: `ambient.cli.told.Failed`.
"""

import msgspec
import structlog
from cyclopts import CycloptsError
from rich.markup import escape

from ambient.cli.exits import INTERRUPTED, Exit
from ambient.cli.output import err, print_json
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
from anchor.errors import AnchorError
from bus.errors import BusError, Malformed
from gateway.errors import GatewayError
from metrics.errors import MetricsError
from tracing.errors import TracingError

__all__ = ["explain", "interrupted", "misused"]

_CODES: tuple[tuple[type[Exception], Exit], ...] = (
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
"""The first that fits counts."""


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no answer: printed instead of one by whichever command ends with an error."""

    error: str
    """What is wrong and what to do next, in one sentence: the one that is also on standard error."""
    code: int
    """The exit code."""
    reason: str
    """The exit code's name, as `ambient --help` has it: `usage`, `unavailable`, `full` …"""
    field: str = ""
    """The option, argument or field of the task that is at fault; empty where none is."""
    limit: str = ""
    """What is allowed there; empty where no field is at fault."""


def explain(error: Exception, *, as_json: bool) -> Exit:
    """Say what is wrong."""
    code = next((code for kind, code in _CODES if isinstance(error, kind)), Exit.INTERNAL)
    if code is Exit.INTERNAL:
        structlog.get_logger("ambient").exception("a fault of ours: please report it")
    sentence = _sentence(error)
    if as_json:
        at_fault = {name: getattr(error, name, "") for name in ("field", "limit")}
        print_json(Failed(error=sentence, code=code, reason=code.word, **at_fault))
    err.print(f"[bold red]error:[/] {escape(sentence)}")
    return code


def misused(error: CycloptsError, *, as_json: bool) -> Exit:
    """The command line is not right: cyclopts has already told people so."""
    if as_json:
        named = "" if error.argument is None else error.argument.name
        print_json(
            Failed(error=" ".join(str(error).split()), code=Exit.USAGE, reason=Exit.USAGE.word, field=named)
        )
    return Exit.USAGE


def interrupted(*, as_json: bool) -> int:
    """By ctrl-C; whoever pressed it needs no sentence."""
    if as_json:
        print_json(Failed(error="interrupted by ctrl-C", code=INTERRUPTED, reason="interrupted"))
    return INTERRUPTED


def _sentence(error: Exception) -> str:
    """The error's own words, but advice for the command line instead of for a program."""
    if isinstance(error, StillOpen):
        return f"{error.within}: `ambient result {error.task}` waits again, `ambient why {error.task}` says what for"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__
