"""`receipt`: the proof of one verdict as a file."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators
from rich.markup import escape

from ambient.cli.exits import Exit
from ambient.cli.options import Connection
from ambient.cli.output import err, print_json
from ambient.cli.shown import receipt_shown
from ambient.cli.tasks import open_client

__all__ = ["receipt"]

_SOME = validators.Number(gte=0)


async def receipt(
    task: Annotated[str, Parameter(help="Task: `<client>.<id>`, or `<id>` of our own.")],
    /,
    *,
    output: Annotated[Path, Parameter(help="File to write.")],
    wait: Annotated[
        bool,
        Parameter(
            negative="", help="Until it is published under enough blocks, where the cluster does that."
        ),
    ] = False,
    timeout: Annotated[
        float | None,
        Parameter(validator=validators.Number(gt=0), help="Seconds to wait, then take what there is."),
    ] = None,
    connection: Connection = Connection(),
) -> Exit:
    """Write the receipt of a task: one file that proves its verdict to anyone, offline (`ambient verify`)."""
    async with open_client(connection) as client:
        data, report = await client.receipt(task, wait=wait, timeout_s=timeout)
    output.write_bytes(data)
    if connection.json:
        print_json(receipt_shown(report, output, len(data)))
        return Exit.OK
    final = "final" if report.confirmed is not None else "not published on Bitcoin"
    err.print(
        f"{output}: {len(data):,} bytes, entry {report.leaf} of {escape(report.checkpoint.origin)}, "
        f"{len(report.nodes)} signed results, {final}; `ambient verify {output}` checks it"
    )
    return Exit.OK
