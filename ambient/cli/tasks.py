"""`run`, `submit`, `result`, `cancel`, `why`, `tasks`: what a user does with tasks."""

import datetime as dt
import sys
from base64 import b64encode
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from msgspec import to_builtins

from ambient import connect
from ambient.cli.exits import Exit
from ambient.cli.options import Connection, Submission
from ambient.cli.output import err, out, print_bytes, print_json, table
from ambient.client import Client
from ambient.verdict import TaskVerdict
from bus.messages import Limits, Place, TaskState, WhyReply

__all__ = ["commands", "open_client"]

_CONNECT_S = 2.0
"""A person at a prompt waits less gladly than a service."""

_Arguments = Annotated[str, Parameter(allow_leading_hyphen=True, help="Arguments of the guest.")]
_Task = Annotated[str, Parameter(help="Task: `<client>.<id>`, or `<id>` of our own.")]
_Timeout = Annotated[float | None, Parameter(help="Seconds to wait; the task itself goes on.")]


def open_client(connection: Connection) -> Client:
    """The SDK with the settings of this command."""
    settings = connection.settings
    return connect(settings.nats, cluster=settings.cluster, client=settings.client, timeout_s=_CONNECT_S)


async def run(
    module: Annotated[str, Parameter(help="Module: a .wasm or .wat file, or sha256:…")],
    *args: _Arguments,
    task: Submission = Submission(),
    timeout: _Timeout = None,
    connection: Connection = Connection(),
) -> Exit:
    """Run a module and write its verified output, byte for byte, to stdout.

    Exits 0 only if the result is verified. With `--json` the verdict is printed instead of the output.
    """
    async with open_client(connection) as client:
        handle = await client.submit(module, *_arguments(args, task), **_submission(task))
        verdict = await client.result(handle, timeout_s=timeout, check=False)
        return await _answer(verdict, connection)


async def submit(
    module: Annotated[str, Parameter(help="Module: a .wasm or .wat file, or sha256:…")],
    *args: _Arguments,
    task: Submission = Submission(),
    connection: Connection = Connection(),
) -> Exit:
    """Submit a task, print its name and return once it is durable: from then on it ends in exactly one verdict."""
    async with open_client(connection) as client:
        handle = await client.submit(module, *_arguments(args, task), **_submission(task))
        print_json({"task": handle.name}) if connection.json else out.print(handle.name)
    return Exit.OK


async def result(task: _Task, *, timeout: _Timeout = None, connection: Connection = Connection()) -> Exit:
    """Wait for a task's verdict and answer like `run`."""
    async with open_client(connection) as client:
        verdict = await client.result(_full_name(task, connection), timeout_s=timeout, check=False)
        return await _answer(verdict, connection)


async def cancel(task: _Task, *, connection: Connection = Connection()) -> Exit:
    """Withdraw one of our own tasks, also a running one; its verdict is then `cancelled`."""
    async with open_client(connection) as client:
        name = _full_name(task, connection)
        await client.cancel(name)
        print_json({"task": name, "asked": True}) if connection.json else err.print(f"asked to cancel {name}")
    return Exit.OK


async def why(task: _Task, *, connection: Connection = Connection()) -> Exit:
    """Say where a task stands and the reason for it, node by node."""
    async with open_client(connection) as client:
        reply: WhyReply = await client.why(_full_name(task, connection))
    if connection.json:
        print_json(reply)
        return Exit.OK
    out.print(f"[bold]{reply.task}[/] is [bold]{reply.state}[/]: {reply.detail}")
    if reply.field or reply.limit:
        out.print(f"  {reply.field}: {reply.limit}")
    if reply.nodes:
        rows = [("✓" if n.chosen else "", n.node, f"{n.score:.3f}", n.reason) for n in reply.nodes]
        out.print(table(("", "node", "score ", "reason"), rows))
    return Exit.OK


async def tasks(
    *,
    state: Annotated[TaskState | None, Parameter(help="Only tasks in this state.")] = None,
    mine: Annotated[bool, Parameter(help="Only our own.", negative="")] = False,
    limit: Annotated[int, Parameter(help="At most so many.")] = 50,
    connection: Connection = Connection(),
) -> Exit:
    """List the newest tasks."""
    async with open_client(connection) as client:
        found = await client.tasks(
            state=state, client=connection.settings.client if mine else None, limit=limit
        )
    if connection.json:
        print_json(found)
        return Exit.OK
    rows = [(t.task, t.state, str(t.attempt or ""), str(t.priority), " ".join(t.nodes)) for t in found]
    out.print(table(("task", "state", "attempt ", "priority ", "nodes"), rows))
    return Exit.OK


commands = (run, submit, result, cancel, why, tasks)


def _arguments(args: tuple[str, ...], task: Submission) -> list[str | int | float]:
    """A command's arguments are text, a function's are numbers."""
    return list(args) if task.entry in (None, "_start") else [_number(arg) for arg in args]


def _number(text: str) -> int | float:
    try:
        return int(text, 0)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"an exported function takes numbers, not {text!r}") from None


def _submission(task: Submission) -> dict[str, Any]:
    """The keyword arguments of the SDK's `submit`."""
    limits = {
        name: value
        for name in ("memory_mb", "fuel", "wall_ms", "output_bytes")
        if (value := getattr(task, name)) is not None
    }
    place = Place(region=task.region, node_types=task.node_type, labels=task.label, node=task.on_node)
    return {
        "entry": task.entry or "_start",
        "input": _read(task.input),
        "verify": task.verify,
        "id": task.id,
        "env": task.env,
        "limits": Limits(**limits),
        "place": place,
        "priority": task.priority,
        "deadline": None if task.deadline_s is None else dt.timedelta(seconds=task.deadline_s),
        "max_attempts": task.max_attempts,
    }


def _read(source: str | None) -> bytes:
    if source is None:
        return b""
    return sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()


def _full_name(task: str, connection: Connection) -> str:
    return task if "." in task else f"{connection.settings.client}.{task}"


async def _answer(verdict: TaskVerdict, connection: Connection) -> Exit:
    """Output to stdout, who says so to stderr."""
    if connection.json:
        print_json({**to_builtins(verdict.wire), "output": b64encode(verdict.output).decode()})
    elif verdict.verified:
        print_bytes(verdict.output)
        if err.is_terminal:
            err.print(
                f"[green]verified[/] by {', '.join(verdict.nodes)}; {verdict.fuel:,} fuel, {verdict.wall_ms:.1f} ms"
            )
    else:
        err.print(f"[bold red]{verdict.status}[/]: {verdict.reason} {verdict.detail}".rstrip())
        if verdict.stderr:
            err.print(verdict.stderr.decode(errors="replace"), markup=False)
    return Exit.OK if verdict.verified else Exit.NOT_VERIFIED
