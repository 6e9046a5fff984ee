"""The command's root: where each command is found, and how a command line becomes an exit code.

A command's module is imported when the command is called and not before: what a client needs not, it does not wait for.
"""

import asyncio
import logging
import sys
from collections.abc import Coroutine, Sequence
from typing import Any

import structlog
from cyclopts import App, CycloptsError

from ambient.cli.exits import in_short
from ambient.cli.failing import explain, interrupted, misused
from ambient.cli.output import PLAIN_RENDERER
from ambient.cli.serving import log_to_stderr
from ambient.logs import steps_wanted
from bus.steps import STEPS

__all__ = ["app", "called", "main"]

_COMMANDS = {
    "tasks": ("run", "submit", "result", "cancel", "why", "tasks"),
    "nodes": ("nodes", "top", "watch"),
    "checking": ("check",),
    "inspection": ("health", "doctor"),
    "ledger": ("balance", "energy", "credit", "burn"),
    "audit": ("audit",),
    "backups": ("backup", "restore"),
    "receipts": ("receipt",),
    "verifying": ("verify",),
    "cluster": ("up", "demo"),
    "processes": ("coordinator", "verifier", "server"),
    "anchors": ("anchor",),
    "tracing": ("trace",),
    "node": ("node",),
    "gateway": ("gateway", "token"),
    "users": ("user",),
}
"""By module of `ambient.cli`; the functions, or groups of commands, have the commands' names."""


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 -- asked for seldom

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
for _module, _names in _COMMANDS.items():
    for _name in _names:
        app.command(f"ambient.cli.{_module}:{_name}", name=_name)


def main() -> None:
    """Parse the command line, run it and exit with a code of `Exit`."""
    _quiet_logs()
    sys.exit(called(sys.argv[1:]))


def called(tokens: Sequence[str]) -> int:
    """Run a command line in this process; its exit code."""
    as_json = "--json" in (tokens[: tokens.index("--")] if "--" in tokens else tokens)
    if not tokens or not set(app.help_flags).isdisjoint(tokens):
        _load_listed(tokens)
    try:
        command, bound, _ = app.parse_args(tokens, exit_on_error=False)
        answer = command(*bound.args, **bound.kwargs)
        code = _run(answer) if asyncio.iscoroutine(answer) else answer
    except CycloptsError as error:
        code = misused(error, as_json=as_json)
    except KeyboardInterrupt:
        code = interrupted(as_json=as_json)
    except BrokenPipeError:
        code = 0  # the reader of our output (head, less) has seen enough
    except Exception as error:  # noqa: BLE001 -- the outermost edge: every known error becomes a sentence and a code
        code = explain(error, as_json=as_json)
    return int(code or 0)


def _load_listed(tokens: Sequence[str]) -> None:
    """Import the commands that help will list: what is said of each stands in it."""
    listed = app
    for token in tokens:
        if token.startswith("-") or token not in listed:
            break
        listed = listed[token]
    for name in listed:
        listed[name]


def _run(command: Coroutine[Any, Any, Any]) -> Any:
    """Run on uvloop where it is installed: it halves what a message costs."""
    try:
        import uvloop  # noqa: PLC0415 -- optional
    except ImportError:
        return asyncio.run(command)
    return uvloop.run(command)


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
