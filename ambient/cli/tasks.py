"""`run`, `submit`, `result`, `cancel`, `why`, `tasks`: what a user does with tasks."""

import asyncio
import datetime as dt
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter, validators
from rich.markup import escape

from ambient.cli.exits import Exit
from ambient.cli.files import read_file
from ambient.cli.options import Connection, Submission
from ambient.cli.output import complete, err, out, print_bytes, print_json
from ambient.cli.views import reasons_table, tasks_table
from ambient.client import Client
from ambient.errors import BusUnavailable
from ambient.verdict import TaskVerdict
from bus.errors import Malformed
from bus.messages import Limits, Place, TaskState, WhyReply

__all__ = ["cancel", "open_client", "result", "run", "submit", "tasks", "why"]

_OVER = ("verified", "failed", "cancelled", "expired", "refused")
_CONNECT_S = 2.0
"""A person at a prompt waits less gladly than a service."""

_Arguments = Annotated[
    str, Parameter(help="Arguments of the guest; `--` before those that begin with a dash.")
]
_Task = Annotated[str, Parameter(help="Task: `<client>.<id>`, or `<id>` of our own.")]
_Timeout = Annotated[
    float | None,
    Parameter(validator=validators.Number(gt=0), help="Seconds to wait; the task itself goes on."),
]
_NOTE_AFTER_S = 2.0
"""Who waits longer is told what for."""
_NOTE_EVERY_S = 5.0


class Submitted(msgspec.Struct, frozen=True):
    """The name by which the task is asked for."""

    task: str
    """`<client>.<id>`."""


class Cancelled(msgspec.Struct, frozen=True):
    """What came of it."""

    task: str
    """`<client>.<id>`."""
    asked: bool
    """Whether it was asked to be cancelled; false where it was over already."""
    state: str
    """The state before; `unknown` where no coordinator answers, or it knows no such task."""


def open_client(connection: Connection) -> Client:
    """The SDK with the settings of this command."""
    settings = connection.settings
    return Client(
        settings.nats, cluster=settings.cluster, client=settings.client, timeout_s=_CONNECT_S, path="cli"
    )


async def run(
    module: Annotated[str, Parameter(help="Module: a .wasm or .wat file, or sha256:…")],
    /,
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
        return _answer(
            await _verdict(client, handle.name, handle.result(timeout_s=timeout, check=False)), connection
        )


async def submit(
    module: Annotated[str, Parameter(help="Module: a .wasm or .wat file, or sha256:…")],
    /,
    *args: _Arguments,
    task: Submission = Submission(),
    connection: Connection = Connection(),
) -> Exit:
    """Submit a task, print its name and return once it is durable: from then on it ends in exactly one verdict."""
    async with open_client(connection) as client:
        handle = await client.submit(module, *_arguments(args, task), **_submission(task))
        print_json(Submitted(handle.name)) if connection.json else out.print(handle.name)
    return Exit.OK


async def result(task: _Task, /, *, timeout: _Timeout = None, connection: Connection = Connection()) -> Exit:
    """Wait for a task's verdict and answer like `run`."""
    async with open_client(connection) as client:
        name = _full_name(task, connection)
        verdict = await _verdict(client, name, client.result(name, timeout_s=timeout, check=False))
        return _answer(verdict, connection)


async def cancel(task: _Task, /, *, connection: Connection = Connection()) -> Exit:
    """Withdraw one of our own tasks, also a running one; its verdict is then `cancelled`."""
    async with open_client(connection) as client:
        name = _full_name(task, connection)
        standing = await _standing(client, name)
        state = "unknown" if standing is None else standing.state
        over = state in _OVER
        if not over:
            await client.cancel(name)
    if connection.json:
        print_json(Cancelled(name, asked=not over, state=state))
    elif over:
        err.print(f"{name} is {state} already")
    else:
        err.print(f"asked to cancel {name}" + (", which is not known so far" if state == "unknown" else ""))
    return Exit.NOT_VERIFIED if over and state != "cancelled" else Exit.OK


async def why(task: _Task, /, *, connection: Connection = Connection()) -> Exit:
    """Say where a task stands and the reason for it, node by node."""
    async with open_client(connection) as client:
        reply: WhyReply = await client.why(_full_name(task, connection))
    code = Exit.USAGE if reply.state == "unknown" else Exit.OK
    if connection.json:
        print_json(reply)
        return code
    out.print(f"[bold]{reply.task}[/] is [bold]{reply.state}[/]: {escape(reply.detail)}")
    if reply.nodes:
        out.print(reasons_table(reply.nodes))
    return code


async def tasks(
    *,
    state: Annotated[TaskState | None, Parameter(help="Only tasks in this state.")] = None,
    mine: Annotated[bool, Parameter(help="Only our own.", negative="")] = False,
    limit: Annotated[
        int, Parameter(validator=validators.Number(gte=1, lte=1000), help="At most so many.")
    ] = 50,
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
    out.print(tasks_table(found))
    return Exit.OK


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
        raise Malformed("ARGS", f"an exported function takes numbers, not {text!r}") from None


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
        "reward": task.reward,
        "price": task.price,
    }


def _read(source: str | None) -> bytes:
    if source is None:
        return b""
    return sys.stdin.buffer.read() if source == "-" else read_file("--input", Path(source))


def _full_name(task: str, connection: Connection) -> str:
    return task if "." in task else f"{connection.settings.client}.{task}"


async def _verdict(client: Client, name: str, result: Awaitable[TaskVerdict]) -> TaskVerdict:
    """Wait for the result; say on stderr what the task waits for, and on ctrl-C that it goes on."""
    notes = asyncio.create_task(_note_waiting(client, name))
    try:
        return await result
    except asyncio.CancelledError:
        err.print(
            f"{name} goes on: `ambient result {name}` waits for it, `ambient cancel {name}` withdraws it"
        )
        raise
    finally:
        notes.cancel()


async def _note_waiting(client: Client, name: str) -> None:
    said = ""
    await asyncio.sleep(_NOTE_AFTER_S)
    while True:
        reply = await _standing(client, name)
        if reply is not None and reply.state == "waiting" and reply.detail != said:
            said = reply.detail
            err.print(f"{name}: {escape(said)}; `ambient why {name}` says more")
        await asyncio.sleep(_NOTE_EVERY_S)


async def _standing(client: Client, name: str) -> WhyReply | None:
    """Where a task stands; nothing where no coordinator answers, which is no reason to fail."""
    try:
        return await client.why(name)
    except BusUnavailable:
        return None


def _answer(verdict: TaskVerdict, connection: Connection) -> Exit:
    """Output to stdout, who says so to stderr."""
    if connection.json:
        print_json(complete(verdict.wire) | {"output": verdict.output})
    elif verdict.verified:
        print_bytes(verdict.output)
        if err.is_terminal:
            err.print(
                f"[green]verified[/] by {', '.join(verdict.nodes)}; {verdict.fuel:,} fuel, {verdict.wall_ms:.1f} ms"
            )
    else:
        reason = f" ({verdict.reason})" if verdict.reason not in ("", verdict.status) else ""
        err.print(f"[bold red]{verdict.status}[/]{reason}: {escape(verdict.detail or 'no more is known')}")
        if verdict.stderr:
            err.print(verdict.stderr.decode(errors="replace").rstrip("\n"), markup=False)
    return Exit.OK if verdict.verified else Exit.NOT_VERIFIED
