"""Engines of `sandbox.configuration`, and compilation with them.

Memory comes from a pool with fixed addresses, which halves the cost of a short task and keeps pointers into a
guest's memory valid while it grows (`sandbox.host` relies on that).
"""

from typing import Final

from wasmtime import Config, Engine, Module, WasmtimeError
from wasmtime import _bindings as bindings

from sandbox.configuration import SETTINGS
from sandbox.errors import UnfitModule, UnsafeArtefact
from sandbox.job import MEMORY_MB_MAX, MIB
from sandbox.module import TABLE_ELEMENTS_MAX, TABLES_MAX

POOLED_MEMORIES: Final = 16
"""Warm memories kept mapped, so that some modules in turn do not evict each other; one is in use at a time."""
MEMORY_KEEP_RESIDENT: Final = 512 * 1024
"""Bytes of a memory that are cleared by writing rather than by giving the pages back; cheaper for small guests."""
INSTANCE_BYTES_MAX: Final = 8 * MIB
"""The engine's own record of an instance: functions, globals, tables' definitions."""


def make_engine() -> Engine:
    """An engine of `CONFIGURATION`, reserving (not using) 4 GiB of address space per pooled memory."""
    config = Config()
    for name, value in SETTINGS.items():
        setattr(config, name, value)
    pool = bindings.wasmtime_pooling_allocation_config_new()
    settings = {
        "total_memories": POOLED_MEMORIES,
        "total_core_instances": POOLED_MEMORIES,
        "total_tables": POOLED_MEMORIES * TABLES_MAX,
        "total_gc_heaps": 0,
        "total_stacks": 0,
        "max_core_instance_size": INSTANCE_BYTES_MAX,
        "max_memories_per_module": 1,
        "max_memory_size": MEMORY_MB_MAX * MIB,
        "max_tables_per_module": TABLES_MAX,
        "table_elements": TABLE_ELEMENTS_MAX,
        "table_keep_resident": 64 * 1024,
        "linear_memory_keep_resident": MEMORY_KEEP_RESIDENT,
        "max_unused_warm_slots": POOLED_MEMORIES,
    }
    for name, value in settings.items():
        getattr(bindings, f"wasmtime_pooling_allocation_config_{name}_set")(pool, value)
    bindings.wasmtime_pooling_allocation_strategy_set(config.ptr(), pool)
    bindings.wasmtime_pooling_allocation_config_delete(pool)
    return Engine(config)


def compile_module(engine: Engine, wasm: bytes) -> bytes:
    """Compile to the engine's own format. May take seconds and much memory: run it where that is bounded.

    Raises:
        UnfitModule: the code is not valid, or uses a proposal that is switched off.
    """
    try:
        return bytes(Module(engine, wasm).serialize())
    except WasmtimeError as error:
        first = str(error).strip().replace("\n", "; ")[:500]
        raise UnfitModule("module", f"the engine refuses it: {first}") from None


def load_module(engine: Engine, code: bytes) -> Module:
    """Load what `compile_module` made. The engine believes the code: only bytes that the store vouches for may come here.

    Raises:
        UnsafeArtefact: it was made for another processor or another build of the engine.
    """
    try:
        return Module.deserialize(engine, code)
    except WasmtimeError as error:
        raise UnsafeArtefact(
            f"the compiled form does not load here: {error}; it must be compiled again"
        ) from None
