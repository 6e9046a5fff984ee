"""`check`: all that can be told of a module before it is given to others.

What it imports and uses, whether it is fit, what compiling costs, whether two processes that know nothing of each
other come to the same outcome, and what a run costs. The result is plain data; printing it is the caller's.
"""

import tempfile
from pathlib import Path

import msgspec

from sandbox.compilation import Compilation
from sandbox.configuration import CONFIGURATION
from sandbox.errors import CompilerFailed, UnfitModule
from sandbox.job import COMMAND_ENTRY, Job, JobLimits, Outcome
from sandbox.module import ModuleReport, admit, inspect, to_wasm
from sandbox.pool import Pool
from sandbox.store import ModuleStore

COMPILE_S = 60.0
COMPILE_MB = 3_072
COMPARED = ("status", "reason", "exit_code", "output", "stderr", "fuel", "peak_memory_bytes", "trace")
"""Fields of an outcome in which two honest machines agree."""


class Report(msgspec.Struct, kw_only=True):
    """What was found. If `problem` is set, nothing after it was tried."""

    module: ModuleReport | None = None
    """Imports, exports, memory and features; None if the bytes are no module."""
    entry: str = COMMAND_ENTRY
    problem: str = ""
    """Why it cannot run here, naming the field at fault; empty if it can."""
    compile_ms: float = 0.0
    compiled_bytes: int = 0
    runs: list[Outcome] = []
    """Of the same job in two separate processes."""
    differs: list[str] = []
    """Fields in which the runs differ; empty if the module is deterministic as far as this can tell."""

    @property
    def deterministic(self) -> bool:
        """Whether it ran twice, the same both times."""
        return len(self.runs) > 1 and not self.differs and all(run.status != "fault" for run in self.runs)


async def check(
    data: bytes,
    *,
    entry: str = COMMAND_ENTRY,
    args: list[str | int | float] | None = None,
    env: dict[str, str] | None = None,
    input: bytes = b"",  # noqa: A002 - the name of the field in a job
    seed: bytes = b"ambient check",
    limits: JobLimits | None = None,
) -> Report:
    """Examine a module, given as binary or text, and run it twice.

    A module that exports one function and no `_start` may be checked without naming its entry.

    Raises:
        PoolBroken: this machine cannot run guests at all.
    """
    report = Report(entry=entry)
    try:
        wasm = to_wasm(data)
        report.module = inspect(wasm)
        report.entry = _entry(report.module, entry)
        admit(report.module, report.entry, args or [], len(input))
    except UnfitModule as error:
        report.problem = str(error)
        return report
    with tempfile.TemporaryDirectory(prefix="ambient-check-") as folder:
        store = ModuleStore(Path(folder) / "store")
        job = Job(
            module=store.add(wasm),
            entry=report.entry,
            args=args or [],
            env=env or {},
            input=input,
            seed=seed,
            limits=limits or JobLimits(),
        )
        await _compile(store, job.module, report)
        if not report.problem:
            report.runs = [await _run_apart(store, job) for _ in range(2)]
            report.differs = [
                name for name in COMPARED if len({getattr(run, name) for run in report.runs}) > 1
            ]
    return report


def _entry(module: ModuleReport, entry: str) -> str:
    if entry == COMMAND_ENTRY and entry not in module.functions and len(module.functions) == 1:
        return next(iter(module.functions))
    return entry


async def _compile(store: ModuleStore, digest: str, report: Report) -> None:
    compilation = Compilation(store, timeout_s=COMPILE_S, memory_mb=COMPILE_MB)
    try:
        report.compile_ms = await compilation.compile(digest)
        report.compiled_bytes = len(store.read_artefact(digest, CONFIGURATION))
    except (UnfitModule, CompilerFailed) as error:
        report.problem = str(error)
    finally:
        await compilation.close()


async def _run_apart(store: ModuleStore, job: Job) -> Outcome:
    """Run the job in a process of its own."""
    pool = Pool(store, 1)
    await pool.start()
    try:
        return await pool.run(job)
    finally:
        await pool.close()
