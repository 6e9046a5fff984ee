"""The WebAssembly sandbox: guests run alike everywhere, within limits, apart from the process that asked for it.

What a caller needs:

- `Job`, `JobLimits`, `Outcome` (`sandbox.job`): what is asked and what came of it.
- `inspect`, `admit`, `to_wasm`, `ModuleReport` (`sandbox.module`): what a module is and whether it can run here. No
  engine is loaded for this.
- `ModuleStore` (`sandbox.store`): modules and compiled forms on disk, by digest.
- `Pool` (`sandbox.pool`): slots, the only supported way to run a guest.
- `check` (`sandbox.report`): a module's imports, cost and determinism, measured.
- the exceptions (`sandbox.errors`).

`HOST.md` describes the interface for guests' authors. `Pool` and `check` are imported from their modules, so that a
slot's process, and a service that only admits modules, load neither asyncio nor an engine.
"""

from sandbox.errors import (
    CompilerFailed,
    DigestMismatch,
    MalformedModule,
    PoolBroken,
    SandboxError,
    UnfitModule,
    UnknownModule,
    UnsafeArtefact,
    UnsafeStore,
)
from sandbox.job import COMMAND_ENTRY, Job, JobLimits, Outcome
from sandbox.module import ModuleReport, admit, inspect, to_wasm
from sandbox.store import ModuleStore

__all__ = [
    "COMMAND_ENTRY",
    "CompilerFailed",
    "DigestMismatch",
    "Job",
    "JobLimits",
    "MalformedModule",
    "ModuleReport",
    "ModuleStore",
    "Outcome",
    "PoolBroken",
    "SandboxError",
    "UnfitModule",
    "UnknownModule",
    "UnsafeArtefact",
    "UnsafeStore",
    "admit",
    "inspect",
    "to_wasm",
]
