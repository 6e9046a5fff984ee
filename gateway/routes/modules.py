"""`/api/v1/modules`: upload, list, and what a look at a module's sections tells."""

import asyncio
from collections import Counter
from typing import Annotated

from litestar import get, post
from litestar.params import PathParameter

from bus.blobs import MAX_BLOB_BYTES, Blobs
from bus.wire import sha256_hex
from gateway.asking import answered
from gateway.errors import Refused
from gateway.parts import ApiRequest, caller_of, need, parts_of
from gateway.resources.modules import (
    ModuleFunction,
    ModuleImport,
    ModulePage,
    ModuleReport,
    ModuleSummary,
)
from gateway.routes.answers import problems
from gateway.routes.bodies import WasmOperation, file_of
from sandbox.errors import UnfitModule
from sandbox.module import admit_module, inspect

__all__ = ["list_modules", "report", "upload"]

_DIGEST = r"^sha256:[0-9a-f]{64}(?!\n)$"


@post(
    "/api/v1/modules",
    tags=["modules"],
    summary="Upload a module",
    operation_class=WasmOperation,
    status_code=201,
    responses=problems(400, 403, 413, 503),
)
async def upload(request: ApiRequest) -> ModuleReport:
    """Stored once this answers, and named by its SHA-256; storing it again is harmless. One that no node would take is refused."""
    parts, caller = parts_of(request), caller_of(request)
    need(caller, "client")
    wasm = await file_of(request, MAX_BLOB_BYTES)
    said = await asyncio.to_thread(_report, wasm)
    if not said.fit:
        raise Refused(f"{said.field}: {said.problem}", field=said.field, limit=said.problem)
    await parts.submitting.upload(caller.client, wasm, "module")
    return said


@get(
    "/api/v1/modules",
    tags=["modules"],
    summary="Modules that tasks used lately",
    responses=problems(),
    sync_to_thread=False,
)
def list_modules(request: ApiRequest) -> ModulePage:
    """Those of the tasks that this gateway remembers, most used first."""
    uses: Counter[str] = Counter()
    newest: dict[str, int] = {}
    for record in parts_of(request).view.book.records.values():
        if record.module:
            uses[record.module] += 1
            newest[record.module] = max(newest.get(record.module, 0), record.asked_ms)
    return ModulePage(
        modules=[
            ModuleSummary(digest=digest, tasks=tasks, last_ms=newest[digest])
            for digest, tasks in uses.most_common()
        ]
    )


@get(
    "/api/v1/modules/{digest:str}",
    tags=["modules"],
    summary="What a module is",
    responses=problems(400, 404, 503),
)
async def report(
    request: ApiRequest, digest: Annotated[str, PathParameter(pattern=_DIGEST, description="`sha256:…`")]
) -> ModuleReport:
    """Read from its sections: what it imports and exports, and whether nodes take it. `ambient check` also runs it."""
    with answered():
        wasm = await Blobs(parts_of(request).bus, "gateway").get(digest.removeprefix("sha256:"))
    return await asyncio.to_thread(_report, wasm)


def _report(wasm: bytes) -> ModuleReport:
    digest = f"sha256:{sha256_hex(wasm)}"
    try:
        found = inspect(wasm)
    except UnfitModule as error:
        return ModuleReport(
            digest=digest, size=len(wasm), fit=False, field=error.field, problem=error.message
        )
    field = problem = ""
    try:
        admit_module(found)
    except UnfitModule as error:
        field, problem = error.field, error.message
    return ModuleReport(
        digest=digest,
        size=found.size,
        fit=not problem,
        kind=found.kind,
        imports=[ModuleImport(module=each.module, name=each.name, kind=each.kind) for each in found.imports],
        functions=[ModuleFunction(name=name, type=str(kind)) for name, kind in found.functions.items()],
        memory_pages=found.memory.minimum if found.memory is not None else 0,
        features=found.features,
        field=field,
        problem=problem,
    )
