"""Every engine setting that results depend on, in one place, with its hash; the engine itself is not loaded here.

Guarantees: two engines of the same `CONFIGURATION` compute the same bytes and the same fuel for the same module, on
any machine. NaNs are canonical; threads, relaxed SIMD and everything not yet needed are off. Fuel is counted and
epochs can interrupt.

One thing is not independent of the processor: how deep a guest can recurse before `stack`, because compiled frames
differ in size between architectures. Nodes that judge each other's stack overflows must share an architecture.
"""

import hashlib
import importlib.metadata
import platform
from typing import Final

from sandbox.job import MIB

STACK_BYTES: Final = 1 * MIB
"""Stack of compiled code; the process's own stack is at least 8 MiB, so the guest's limit is hit first."""

SETTINGS: Final[dict[str, bool | int | str]] = {
    "consume_fuel": True,
    "epoch_interruption": True,
    "cranelift_nan_canonicalization": True,
    "cranelift_opt_level": "speed",
    "max_wasm_stack": STACK_BYTES,
    "wasm_threads": False,
    "shared_memory": False,
    "wasm_relaxed_simd": False,
    "wasm_relaxed_simd_deterministic": True,
    "wasm_simd": True,
    "wasm_bulk_memory": True,
    "wasm_multi_value": True,
    "wasm_reference_types": True,
    "wasm_tail_call": True,
    "wasm_multi_memory": False,
    "wasm_memory64": False,
    "wasm_gc": False,
    "wasm_function_references": False,
    "wasm_exceptions": False,
    "wasm_stack_switching": False,
    "wasm_wide_arithmetic": False,
    "wasm_custom_page_sizes": False,
    "wasm_component_model": False,
    "gc_support": False,
}

ENGINE_VERSION: Final = importlib.metadata.version("wasmtime")

CONFIGURATION: Final = hashlib.sha256(
    repr((ENGINE_VERSION, platform.machine(), platform.system(), sorted(SETTINGS.items()))).encode()
).hexdigest()[:16]
"""Names the compiled form: an artefact of another configuration is another file."""
