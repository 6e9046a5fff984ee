"""`nodes`, `top` and `watch`: who is in the mesh, and what goes on."""

import sys
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter, validators
from rich.console import Group

from ambient.cli.exits import Exit
from ambient.cli.looks import Look, looks
from ambient.cli.options import Connection
from ambient.cli.output import out, print_json
from ambient.cli.tasks import open_client
from ambient.cli.views import BY, dashboard, nodes_table, top_table
from ambient.questions import ClusterHealth
from ambient.rates import NodeRate
from bus.messages import NodeView, TaskView

__all__ = ["nodes", "top", "watch"]

_TASKS = 5
"""The newest ones say what is going on; `ambient tasks` lists more."""

_Every = Annotated[
    float, Parameter(name="--every", validator=validators.Number(gt=0), help="Seconds between two looks.")
]
_Times = Annotated[int | None, Parameter(validator=validators.Number(gte=1), help="End after so many looks.")]


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """One look."""

    health: ClusterHealth
    """The services."""
    nodes: list[NodeView]
    """The nodes that are there."""
    tasks: list[TaskView]
    """The newest tasks."""
    verdicts_per_s: float | None
    """Verdicts per second since the look before; null in the first."""
    watts: float | None
    """Power of all nodes together, in watts; null where none is known, as in the first look."""


class Topped(msgspec.Struct, frozen=True):
    """One node with what it does per second."""

    rate: NodeRate
    """What it did since the look before."""
    node: NodeView
    """How it is."""


async def nodes(
    *,
    all_: Annotated[
        bool, Parameter(name="--all", help="Also nodes that have left or died.", negative="")
    ] = False,
    connection: Connection = Connection(),
) -> Exit:
    """List the nodes with their health scores, the terms of the score and their reputation."""
    async with open_client(connection) as client:
        found = [node for node in await client.nodes() if all_ or node.state not in ("dead", "left")]
    print_json(found) if connection.json else out.print(nodes_table(found))
    return Exit.OK


async def top(
    *,
    sort: Annotated[
        Literal["rate", "load", "watts", "score", "ping", "name"],
        Parameter(help="What the first row has most of; of ping and name, least."),
    ] = "rate",
    limit: Annotated[
        int | None,
        Parameter(validator=validators.Number(gte=1), help="Rows. Default: what the terminal has room for."),
    ] = None,
    every_s: _Every = 1.0,
    times: _Times = None,
    connection: Connection = Connection(),
) -> Exit:
    """Show the nodes that do most, live: results per second, slots, processor, memory, watts. With `--json` one line a look."""

    def drawn(look: Look) -> Group:
        return top_table(look.nodes, look.rates, sort=BY[sort], limit=limit or _rows())

    def told(look: Look) -> Any:
        ordered = sorted(look.nodes, key=lambda node: BY[sort](node, look.rates.nodes[node.node]))
        return [Topped(look.rates.nodes[node.node], node) for node in ordered[: limit or len(ordered)]]

    async with open_client(connection) as client:
        await _show(looks(client, every_s, times), drawn, told, connection)
    return Exit.OK


async def watch(
    *, every_s: _Every = 1.0, times: _Times = None, connection: Connection = Connection()
) -> Exit:
    """Show verdicts per second, services, the newest tasks and nodes, live; with `--json` one line a look."""

    def drawn(look: Look) -> Group:
        return dashboard(look.health, look.nodes, look.tasks, look.rates, rows=_rows(look))

    def told(look: Look) -> Any:
        return Watched(
            health=look.health,
            nodes=look.nodes,
            tasks=look.tasks,
            verdicts_per_s=look.rates.verdicts_per_s,
            watts=look.rates.watts,
        )

    async with open_client(connection) as client:
        await _show(looks(client, every_s, times, tasks=_TASKS), drawn, told, connection)
    return Exit.OK


async def _show(
    seen: AsyncIterator[Look],
    drawn: Callable[[Look], Group],
    told: Callable[[Look], Any],
    connection: Connection,
) -> None:
    """Live on a terminal, one after the other in a pipe, as lines of JSON where that is wanted."""
    if connection.json:
        async for look in seen:
            print_json(told(look))
    elif not out.is_terminal:
        async for look in seen:
            out.print(drawn(look), "")
            sys.stdout.flush()
    else:
        from rich.live import Live  # noqa: PLC0415 -- for terminals only

        with Live(console=out, auto_refresh=False, vertical_overflow="crop") as live:
            async for look in seen:
                live.update(drawn(look), refresh=True)


_HEAD = 4
"""Lines above and below the rows of a table: its header, the notes, and the prompt."""


def _rows(look: Look | None = None) -> int | None:
    """How many nodes a terminal has room for, below what else is shown; None (all) for a pipe."""
    if not out.is_terminal:
        return None
    above = 0 if look is None else 8 + len(look.health.standbys) + len(look.tasks)
    return max(3, out.height - _HEAD - above)
