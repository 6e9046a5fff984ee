"""`nodes` and `watch`: who is in the mesh, and what goes on."""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Annotated

from cyclopts import Parameter, validators
from rich.live import Live

from ambient import ClusterHealth
from ambient.cli.exits import Exit
from ambient.cli.options import Connection
from ambient.cli.output import out, print_json
from ambient.cli.tasks import open_client
from ambient.cli.views import dashboard, nodes_table
from ambient.client import Client
from bus.messages import NodeView

__all__ = ["commands"]


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


async def watch(
    *,
    every_s: Annotated[
        float, Parameter(name="--every", validator=validators.Number(gt=0), help="Seconds between two looks.")
    ] = 1.0,
    times: Annotated[
        int | None, Parameter(validator=validators.Number(gte=1), help="End after so many looks.")
    ] = None,
    connection: Connection = Connection(),
) -> Exit:
    """Show nodes and queues, live; with `--json` one line a look."""
    async with open_client(connection) as client:
        if connection.json:
            async for health, found in _looks(client, every_s, times):
                print_json({"health": health, "nodes": found})
        elif not out.is_terminal:
            async for health, found in _looks(client, every_s, times):
                out.print(dashboard(health, found), "")
                sys.stdout.flush()
        else:
            with Live(console=out, auto_refresh=False) as live:
                async for health, found in _looks(client, every_s, times):
                    live.update(dashboard(health, found), refresh=True)
    return Exit.OK


commands = (nodes, watch)


async def _looks(
    client: Client, every_s: float, times: int | None
) -> AsyncIterator[tuple[ClusterHealth, list[NodeView]]]:
    looks = 0
    while True:
        yield await asyncio.gather(client.health(), client.nodes())
        looks += 1
        if looks == times:
            return
        await asyncio.sleep(every_s)
