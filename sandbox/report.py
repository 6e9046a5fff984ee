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
from sandbox.job import COMMAND_ENTRY, MIB, Job, JobLimits, Outcome
from sandbox.module import PAGE_BYTES, ModuleReport, admit, inspect, to_wasm
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

    @property
    def fit(self) -> bool:
        """Whether it can run here and, as far as two runs tell, anywhere alike."""
        return not self.problem and self.deterministic

    def lines(self) -> list[tuple[str, str]]:
        """Label and text of each finding, for a person."""
        found = [] if self.module is None else _about(self.module)
        if self.problem:
            return [*found, ("problem", self.problem)]
        found.append(
            ("compiling", f"{self.compile_ms:.1f} ms, {self.compiled_bytes:,} bytes of machine code")
        )
        for number, run in enumerate(self.runs, 1):
            ending = run.status if run.status == "ok" else f"{run.status}: {run.reason} ({run.detail})"
            cost = (
                f"fuel {run.fuel:,}, {run.wall_ms:.2f} ms, peak memory {run.peak_memory_bytes / MIB:.2f} MB"
            )
            found.append((f"run {number}", f"{ending}; {cost}; {len(run.output):,} bytes out"))
        same = "output, fuel and trace are the same in two processes"
        verdict = (
            same
            if self.deterministic
            else f"NOT THE SAME TWICE: {', '.join(self.differs) or 'a run was a fault'}"
        )
        return [*found, ("determinism", verdict)]


def _about(module: ModuleReport) -> list[tuple[str, str]]:
    imports = ", ".join(f"{each.module}.{each.name}" for each in module.imports)
    exports = ", ".join(f"{name}{kind}" for name, kind in sorted(module.functions.items()))
    memory = module.memory
    return [
        ("module", f"{module.kind}, {module.size:,} bytes, sha256:{module.digest}"),
        ("imports", imports or "nothing"),
        ("functions", exports or "none"),
        ("memory", "none" if memory is None else f"{memory.minimum * PAGE_BYTES / MIB:.2f} MB at the start"),
        ("features", ", ".join(module.features) or "none beyond the first version of WebAssembly"),
    ]


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
