"""The engine's C functions, bound once with plain integers for pointers.

Why not the wheel's own classes: per task they cost more than the engine does (context managers, a type object per
call, a `Caller` per host call; measured three to five times). The bound signatures are those of the C API of
wasmtime 50 (`wasmtime/{store,linker,instance,func,memory,trap}.h`), which the `node` extra pins.

Rule: functions that can run guest code go through `CDLL`, which releases the interpreter's lock, so that the
watchdog's thread runs meanwhile. The others are short and go through `PyDLL`, which does not.
"""

import ctypes
from typing import Any

from wasmtime import _ffi as ffi

PTR = ctypes.c_void_p
SIZE = ctypes.c_size_t
U64 = ctypes.c_uint64

_short = ctypes.PyDLL(str(ffi.filename))
_long = ctypes.CDLL(str(ffi.filename))


def _bind(library: ctypes.CDLL, name: str, result: Any, *args: Any) -> Any:
    function = library[name]
    function.restype = result
    function.argtypes = args
    return function


HostCallback = ctypes.CFUNCTYPE(SIZE, PTR, PTR, ctypes.POINTER(ctypes.c_uint32), SIZE)
"""(environment, caller, 16-byte cells with arguments and room for results, their number) → trap or 0."""
Finalizer = ctypes.CFUNCTYPE(None, PTR)

store_new = _bind(_short, "wasmtime_store_new", PTR, PTR, PTR, PTR)
store_context = _bind(_short, "wasmtime_store_context", PTR, PTR)
store_limiter = _bind(_short, "wasmtime_store_limiter", None, PTR, *[ctypes.c_int64] * 5)
store_delete = _bind(_short, "wasmtime_store_delete", None, PTR)
set_fuel = _bind(_short, "wasmtime_context_set_fuel", PTR, PTR, U64)
get_fuel = _bind(_short, "wasmtime_context_get_fuel", PTR, PTR, PTR)
set_epoch_deadline = _bind(_short, "wasmtime_context_set_epoch_deadline", None, PTR, U64)
increment_epoch = _bind(_short, "wasmtime_engine_increment_epoch", None, PTR)
export_get = _bind(
    _short, "wasmtime_instance_export_get", ctypes.c_bool, PTR, PTR, ctypes.c_char_p, SIZE, PTR
)
caller_export_get = _bind(
    _short, "wasmtime_caller_export_get", ctypes.c_bool, PTR, ctypes.c_char_p, SIZE, PTR
)
memory_data = _bind(_short, "wasmtime_memory_data", PTR, PTR, PTR)
memory_size = _bind(_short, "wasmtime_memory_data_size", SIZE, PTR, PTR)
trap_new = _bind(_short, "wasmtime_trap_new", PTR, ctypes.c_char_p, SIZE)
trap_code = _bind(_short, "wasmtime_trap_code", ctypes.c_bool, PTR, PTR)
trap_delete = _bind(_short, "wasm_trap_delete", None, PTR)
trap_message = _bind(_short, "wasm_trap_message", None, PTR, PTR)
error_message = _bind(_short, "wasmtime_error_message", None, PTR, PTR)
error_delete = _bind(_short, "wasmtime_error_delete", None, PTR)
linker_define_func = _bind(
    _short, "wasmtime_linker_define_func_unchecked",
    PTR, PTR, ctypes.c_char_p, SIZE, ctypes.c_char_p, SIZE, PTR, HostCallback, PTR, PTR,
)  # fmt: skip
instance_pre_delete = _bind(_short, "wasmtime_instance_pre_delete", None, PTR)
linker_instantiate_pre = _bind(_short, "wasmtime_linker_instantiate_pre", PTR, PTR, PTR, PTR)

instance_pre_instantiate = _bind(_long, "wasmtime_instance_pre_instantiate", PTR, PTR, PTR, PTR, PTR)
func_call = _bind(_long, "wasmtime_func_call_unchecked", PTR, PTR, PTR, PTR, SIZE, PTR)


def address(pointer: Any) -> int:
    """The integer behind one of the wheel's pointer objects."""
    return ctypes.cast(pointer, PTR).value or 0


class Slot(ctypes.Structure):
    """Where the engine writes what one run needs; allocated once and reused by every run."""

    _fields_ = (
        ("instance", U64 * 2),
        ("extern", ffi.wasmtime_extern_t),
        ("memory", ffi.wasmtime_extern_t),
        ("trap", PTR),
        ("fuel", U64),
        ("code", ctypes.c_uint8),
    )


OFFSET_OF_ITEM: int = ffi.wasmtime_extern_t.of.offset
"""Where within an extern its function or memory begins."""


def take_error(pointer: int) -> str:
    """The message of an error that the engine returned, which is freed."""
    return _take(pointer, error_message, error_delete)


def take_trap(pointer: int) -> tuple[int, str]:
    """A trap's code (-1 if it was made by the host) and message; the trap is freed."""
    code = ctypes.c_uint8(0)
    known = trap_code(pointer, ctypes.addressof(code))
    return (code.value if known else -1), _take(pointer, trap_message, trap_delete)


def _take(pointer: int, read: Any, delete: Any) -> str:
    vector = ffi.wasm_byte_vec_t()
    read(pointer, ctypes.addressof(vector))
    text = ctypes.string_at(vector.data, vector.size).rstrip(b"\0").decode("utf-8", "replace")
    ffi.wasm_byte_vec_delete(ctypes.byref(vector))
    delete(pointer)
    return text
