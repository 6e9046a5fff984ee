"""The host's side of one run: the guest's memory, what it has read and written, what it owes, and the trace.

Guarantees: no pointer or length from a guest is used before it is checked against the memory's present size; no
Python exception crosses into compiled code; every host call, with its arguments, its result and the bytes it moved,
enters the trace; host work is charged as fuel. Nothing here reads a clock, a file or real randomness.

One `Host` serves one engine and one run at a time; `begin` clears what the last run left.
"""

import ctypes
import struct
from collections.abc import Callable
from typing import Any

from wasmtime import FuncType as EngineFuncType
from wasmtime import Linker, ValType

from sandbox import native
from sandbox.abi import BYTES_PER_FUEL, CALL_FUEL, EFAULT, HOST_FUNCTIONS
from sandbox.endings import GuestStop
from sandbox.job import Job
from sandbox.trace import Trace

Call = Callable[..., int | None]

SETTLE_FUEL = 1_000_000
"""Owed fuel is taken from the engine once it reaches this; until then a call costs no trip into it."""
STOPPED = 0xFFFF_FFFF
"""Recorded as the result of a call that ended the guest."""
SMALL = 65_536
"""Up to this many bytes are copied; more are hashed where they lie."""
MEMORY_EXPORT = b"memory"


class BadPointer(Exception):
    """A guest's pointer or length reaches outside its memory; the call answers EFAULT."""


class Host:
    """State of the run, and the callbacks that the engine calls."""

    def __init__(self, engine_address: int, linker: Linker) -> None:
        self._engine = engine_address
        self._linker = linker
        self._callbacks: list[Any] = []
        self.slot = native.Slot()
        slot = ctypes.addressof(self.slot)
        self.instance_at = slot + native.Slot.instance.offset
        self.extern_at = slot + native.Slot.extern.offset
        self.item_at = self.extern_at + native.OFFSET_OF_ITEM
        self.memory_extern_at = slot + native.Slot.memory.offset
        self.memory_at = self.memory_extern_at + native.OFFSET_OF_ITEM
        self.trap_at = slot + native.Slot.trap.offset
        self.fuel_at = slot + native.Slot.fuel.offset
        self.argv: list[bytes] = []
        self.environ: list[bytes] = []
        self.begin(Job(module=""), 0, [])

    def begin(self, job: Job, context: int, argv: list[bytes]) -> None:
        """Start a run of `job` in the store whose context this is."""
        limits = job.limits
        self.context = context
        self.base = 0
        self.size = 0
        self.input = job.input
        self.input_at = 0
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.output_max = limits.output_bytes
        self.stderr_max = limits.stderr_bytes
        self.argv = argv
        self.environ = [f"{key}={value}".encode() for key, value in sorted(job.env.items())]
        self.seed = job.seed
        self.random_blocks = 0
        self.clock_ns = 0
        self.closed: set[int] = set()
        self.owed = 0
        self.stop: GuestStop | None = None
        self.error: BaseException | None = None
        self.trace = Trace(job)
        self.note = self.trace.note

    # The guest's memory

    def find_memory(self, caller: int) -> None:
        """Learn where the caller's memory lies, for host calls made while the module is being instantiated."""
        if native.caller_export_get(caller, MEMORY_EXPORT, len(MEMORY_EXPORT), self.memory_extern_at):
            self.locate_memory()

    def locate_memory(self) -> None:
        """Take address and size of the memory in `memory_at`. The address stays: pooled memories do not move."""
        self.size = native.memory_size(self.context, self.memory_at)
        self.base = native.memory_data(self.context, self.memory_at) or 0

    def refresh_size(self) -> int:
        """The memory's present size in bytes; it only ever grows."""
        if self.base:
            self.size = native.memory_size(self.context, self.memory_at)
        return self.size

    def _check(self, pointer: int, size: int) -> None:
        # The cached size is a lower bound, so a new look is needed only when it seems too small.
        if pointer + size > self.size and pointer + size > self.refresh_size():
            raise BadPointer

    def read(self, pointer: int, size: int) -> bytes:
        """A copy of the guest's bytes."""
        self._check(pointer, size)
        return ctypes.string_at(self.base + pointer, size)

    def view(self, pointer: int, size: int) -> Any:
        """The guest's bytes for immediate use: a copy if few, else the memory itself."""
        self._check(pointer, size)
        if size <= SMALL:
            return ctypes.string_at(self.base + pointer, size)
        return (ctypes.c_char * size).from_address(self.base + pointer)

    def write(self, pointer: int, data: bytes) -> None:
        """Put bytes into the guest's memory."""
        size = len(data)
        self._check(pointer, size)
        ctypes.memmove(self.base + pointer, data, size)

    # What is recorded and charged

    def moved(self, data: Any) -> None:
        """Record and charge bytes that a call took from or gave to the guest."""
        size = len(data)
        self.note(size.to_bytes(4, "little"))
        self.note(data)
        self.owed += size // BYTES_PER_FUEL

    def settle(self) -> None:
        """Take what is owed from the engine's fuel.

        Raises:
            GuestStop: there is not enough of it.
        """
        native.get_fuel(self.context, self.fuel_at)
        left = self.slot.fuel
        if left < self.owed:
            raise GuestStop("fuel", "out of fuel, spent on host calls")
        native.set_fuel(self.context, left - self.owed)
        self.owed = 0

    # The way from compiled code to a host function

    def define(self, module: str, name: str, implementation: Call) -> None:
        """Offer a host function to every module of the engine's linker."""
        params, results = HOST_FUNCTIONS[module, name]
        code = list(HOST_FUNCTIONS).index((module, name))
        of_type = EngineFuncType([_VALUE_TYPES[p] for p in params], [_VALUE_TYPES[r] for r in results])
        callback = native.HostCallback(self._callback(code, params, implementation))
        self._callbacks.append(callback)
        module_name, function_name = module.encode(), name.encode()
        error = native.linker_define_func(
            native.address(self._linker.ptr()), module_name, len(module_name), function_name, len(function_name),
            native.address(of_type.ptr()), callback, None, None,
        )  # fmt: skip
        if error:
            raise RuntimeError(native.take_error(error))

    def _callback(self, code: int, params: tuple[str, ...], implementation: Call) -> Callable[..., int]:
        pack = struct.Struct("<H" + "".join("Q" if p == "i64" else "I" for p in params) + "I").pack
        wide = [place for place, p in enumerate(params) if p == "i64"]
        end = 4 * len(params)
        host = self

        def callback(_environment: int, caller: int, cells: Any, _count: int) -> int:
            args: list[int] = []
            try:
                # ctypes gives one element, not none, for an empty slice with a step.
                args = cells[0:end:4] if end else []
                for place in wide:
                    args[place] |= cells[4 * place + 1] << 32
                if not host.base:
                    host.find_memory(caller)
                try:
                    result = implementation(host, *args)
                except BadPointer:
                    result = EFAULT
                host.owed += CALL_FUEL
                if result is not None:
                    host.note(pack(code, *args, result))
                    cells[0] = result
                if host.owed >= SETTLE_FUEL:
                    host.settle()
            except GuestStop as stop:
                host.stop = stop
                host.note(pack(code, *args, STOPPED))
                return _stop_trap()
            except BaseException as error:  # noqa: BLE001 - nothing may pass into compiled code
                host.error = error
                return _stop_trap()
            return 0

        return callback


_VALUE_TYPES = {"i32": ValType.i32(), "i64": ValType.i64()}


def _stop_trap() -> int:
    return int(native.trap_new(b"stopped by the host", 19))
