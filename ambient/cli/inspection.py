"""`check`, `health`, `doctor`: is this module fit, is the cluster well, and if not, what is the cure."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ambient.cli.exits import Exit
from ambient.cli.files import read_file
from ambient.cli.options import Connection
from ambient.cli.output import complete, err, out, print_json
from ambient.cli.tasks import open_client
from ambient.cli.told import Checked, Run
from ambient.cli.views import service_lines
from ambient.doctor import examine
from ambient.extras import needs

if TYPE_CHECKING:
    from sandbox.report import Report

__all__ = ["check", "doctor", "health"]


async def check(
    module: Annotated[Path, Parameter(help="A .wasm or .wat file.")],
    /,
    *args: Annotated[
        str, Parameter(help="Arguments for the trial runs; `--` before those that begin with a dash.")
    ],
    entry: Annotated[
        str | None, Parameter(help="Exported function; a command's `_start` if not given.")
    ] = None,
    input_: Annotated[
        Path | None, Parameter(name="--input", help="File that becomes the guest's stdin.")
    ] = None,
    connection: Connection = Connection(),
) -> Exit:
    """Say what a module imports and uses, whether it runs twice the same, and what it costs. Needs no cluster."""
    with needs("node"):
        from sandbox.report import check as check_module  # noqa: PLC0415 -- an extra

    stdin = b"" if input_ is None else read_file("--input", input_)
    report = await check_module(
        read_file("MODULE", module), entry=entry or "_start", args=list(args), input=stdin
    )
    if connection.json:
        print_json(_checked(report))
        return Exit.OK if report.fit else Exit.NOT_VERIFIED
    for label, text in report.lines():
        out.print(f"[bold]{label:<14}[/] {text}", markup=True)
    return Exit.OK if report.fit else Exit.NOT_VERIFIED


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


def _checked(report: "Report") -> Checked:
    """The report for scripts; its runs, which travel between processes as arrays, by the names of their fields."""
    runs = [Run(**complete(run)) for run in report.runs]
    return Checked(
        fit=report.fit,
        module=report.module,
        entry=report.entry,
        problem=report.problem,
        compile_ms=report.compile_ms,
        compiled_bytes=report.compiled_bytes,
        runs=runs,
        differs=report.differs,
    )
