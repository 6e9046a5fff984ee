"""`node status`: how the node on this machine is, asked of itself."""

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from ambient.cli.exits import Exit
from ambient.cli.options import Connection
from ambient.cli.output import out, print_json
from ambient.errors import BusUnavailable
from ambient.extras import needs
from ambient.settings import default_data

__all__ = ["status"]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What the node on this machine says of itself."""

    node: str
    """Its name."""
    pid: int
    """Its process id."""
    connected: bool
    """Whether it has the bus."""
    enrolled: bool
    """Whether the coordinator knows it under its key."""
    state: str
    """`starts`, `works`, `safe` or `draining`."""
    reason: str
    """Why it is in safe mode; empty where it is not."""
    open: int
    """Attempts that it holds."""
    slots: int
    """Guests at a time."""
    beat_age_s: float | None
    """Seconds since its last heartbeat; null before the first."""
    wrong: str
    """What is wrong with it, the reason for exit code 1; empty where nothing is."""


async def status(
    *,
    data: Annotated[
        Path | None,
        Parameter(env_var="AMBIENT_DATA", help="The node's data folder. Default: as of `ambient node`."),
    ] = None,
    alive: Annotated[
        bool, Parameter(negative="", help="Ask only whether it works; a bus that is away is no fault of it.")
    ] = False,
    connection: Connection = Connection(),
) -> Exit:
    """Say how the node on this machine is: it is asked itself, through its data folder, not the cluster.

    Exits 0 where it is well, 1 where it is not, 4 where no node answers. Health checks of small devices call
    `python -m workers.status`, which says the same and starts in a tenth of the time.
    """
    with needs("node"):
        from workers.status import ask, verdict  # noqa: PLC0415 -- an extra
    folder = data or default_data(connection.settings.cluster) / "node"
    try:
        found = await asyncio.to_thread(ask, folder)
    except (OSError, ValueError) as error:
        raise BusUnavailable(
            f"no node answers in {folder} ({error}): start it with `ambient node`, or give its `--data`"
        ) from None
    wrong = verdict(found, alive=alive)
    if connection.json:
        print_json(Status(**found, wrong=wrong))
    else:
        safe = f": {found['reason']}" if found["reason"] else ""
        out.print(f"{found['node']} {wrong or found['state'] + safe}, {found['open']} open, {found['slots']} slots")  # fmt: skip
    return Exit.NOT_VERIFIED if wrong else Exit.OK
