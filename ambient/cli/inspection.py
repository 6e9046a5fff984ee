"""`health` and `doctor`: is the cluster well, and if not, what is the cure."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ambient.cli.exits import Exit
from ambient.cli.options import Connection
from ambient.cli.output import err, out, print_json
from ambient.cli.tasks import open_client
from ambient.cli.views import service_lines
from ambient.doctor import examine

__all__ = ["doctor", "health"]


async def health(*, connection: Connection = Connection()) -> Exit:
    """Who leads, how far each service has read, and how much is open."""
    async with open_client(connection) as client:
        found = await client.health()
    if connection.json:
        print_json(found)
        return Exit.OK if found.ok else Exit.NOT_VERIFIED
    for line in service_lines(found):
        out.print(line)
    err.print(
        f"{found.round_trip_ms:.1f} ms to the server"
        + ("" if found.ok else "; not well: try `ambient doctor`")
    )
    return Exit.OK if found.ok else Exit.NOT_VERIFIED


async def doctor(
    *,
    data: Annotated[
        Path | None,
        Parameter(
            env_var="AMBIENT_DATA", help="Data folder on this machine. Default: where `ambient up` keeps it."
        ),
    ] = None,
    connection: Connection = Connection(),
) -> Exit:
    """Look for what is wrong, from this machine and the server to the nodes, each finding with its cure."""
    findings = await examine(connection.settings, data)
    if connection.json:
        print_json(findings)
    else:
        for finding in findings:
            mark = "[green]✓[/]" if finding.ok else "[bold red]✗[/]"
            out.print(f"{mark} [bold]{finding.subject}[/]: {finding.detail}")
            if finding.cure:
                out.print(f"    → {finding.cure}")
    return Exit.OK if all(finding.ok for finding in findings) else Exit.NOT_VERIFIED
