"""`check`: is this module fit to run? Needs no cluster."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from ambient.cli.exits import Exit
from ambient.cli.files import read_file
from ambient.cli.options import Connection
from ambient.cli.output import complete, out, print_json
from ambient.extras import needs
from sandbox.module import ModuleReport

if TYPE_CHECKING:
    from sandbox.report import Report

__all__ = ["Checked", "Run", "check"]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a module that was checked."""

    status: str
    """`ok`, `failed` (by the guest itself) or `fault` (of this machine)."""
    reason: str
    """Why it did not end well, in one word; empty where it did."""
    detail: str
    """The same for people; may differ between machines."""
    exit_code: int
    """The guest's exit status; 0 of a function."""
    output: bytes
    """Standard output, or a function's results as text."""
    stderr: bytes
    """Standard error."""
    fuel: int
    """Instructions, about."""
    peak_memory_bytes: int
    """The most linear memory that it had, in bytes."""
    wall_ms: float
    """Time that passed, in milliseconds."""
    cpu_ms: float
    """Time on the processor, in milliseconds."""
    trace: str
    """SHA-256 in hex over what went in, each host call, what came out and the fuel; empty for a fault."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out about a module."""

    fit: bool
    """Whether it can run here and, as far as two runs tell, anywhere alike."""
    module: ModuleReport | None
    """What its bytes say; null where they are no module."""
    entry: str
    """The exported function that was run."""
    problem: str
    """Why it cannot run here, naming the field at fault; then nothing below was tried. Empty if it can."""
    compile_ms: float
    """Time of its compilation, in milliseconds."""
    compiled_bytes: int
    """Size of its machine code, in bytes."""
    runs: list[Run]
    """Of the same job in two separate processes."""
    differs: list[str]
    """Fields in which the runs differ; empty if the module is deterministic as far as this can tell."""


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
