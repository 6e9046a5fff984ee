"""`nodes` and `watch`: who is in the mesh, and what goes on."""

import asyncio
from typing import Annotated

from cyclopts import Parameter
from rich.live import Live
from rich.table import Table

from ambient import ClusterHealth
from ambient.cli.exits import Exit
from ambient.cli.options import Connection
from ambient.cli.output import out, print_json, table
from ambient.cli.tasks import open_client
from bus.messages import NodeView

__all__ = ["commands"]

_STYLE = {
    "healthy": "green",
    "safe": "yellow",
    "draining": "yellow",
    "suspect": "red",
    "dead": "red",
    "left": "dim",
}


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
    print_json(found) if connection.json else out.print(_nodes_table(found))
    return Exit.OK


async def watch(
    *,
    every_s: Annotated[float, Parameter(name="--every", help="Seconds between two looks.")] = 1.0,
    times: Annotated[int | None, Parameter(help="End after so many looks.")] = None,
    connection: Connection = Connection(),
) -> Exit:
    """Show nodes and queues, live; with `--json` one line a look."""
    async with open_client(connection) as client:
        with Live(console=out, auto_refresh=False, screen=False, transient=True) as live:
            looks = 0
            while times is None or looks < times:
                health, found = await asyncio.gather(client.health(), client.nodes())
                if connection.json:
                    print_json({"health": health, "nodes": found})
                else:
                    live.update(_dashboard(health, found), refresh=True)
                looks += 1
                if looks != times:
                    await asyncio.sleep(every_s)
            if not connection.json:
                live.transient = False
    return Exit.OK


commands = (nodes, watch)


def _nodes_table(found: list[NodeView]) -> Table:
    columns = (
        "node",
        "state",
        "score ",
        "slots ",
        "cpu free ",
        "latency ",
        "agreed ",
        "dissented ",
        "faulted ",
        "energy ",
        "how",
    )
    rows = [
        (
            n.node,
            f"[{_STYLE[n.state]}]{n.state}[/]" + (f" ({n.safe_mode})" if n.safe_mode else ""),
            f"{n.score:.3f}",
            f"{n.open}/{n.capabilities.slots}",
            f"{n.cpu_free:.0%}",
            f"{n.latency_ms:.1f} ms",
            str(n.agreed),
            f"[red]{n.dissented}[/]" if n.dissented else "0",
            str(n.faulted),
            f"{n.energy_j:.1f} J",
            n.energy_method,
        )
        for n in sorted(found, key=lambda n: n.node)
    ]
    return table(columns, rows)


def _dashboard(health: ClusterHealth, found: list[NodeView]) -> Table:
    grid = Table.grid(padding=(0, 0))
    for service in filter(None, (health.coordinator, health.verifier)):
        role = "leads" if service.leading else "stands by"
        folded = "  ".join(f"{log} {sequence}" for log, sequence in service.folded.items())
        grid.add_row(f"[bold]{service.service}[/] {service.name} {role}, epoch {service.epoch}   {folded}")
        if service.service == "coordinator":
            grid.add_row(
                f"  {service.open} open, {service.waiting} waiting, {service.nodes} nodes, {service.strategy}"
            )
    grid.add_row("")
    grid.add_row(_nodes_table(found))
    return grid
