"""Runs one job after another in this process and says what came of each.

Guarantees: `run` never raises; a guest's failure, a limit or a bad module is an `Outcome`. A `failed` outcome is the
same on every honest machine. What it cannot contain is native trouble (a crash or a hang of the engine itself): that
is why it runs in a slot (`sandbox.slot`), with a watchdog beside it that calls `interrupt`.
"""

import ctypes
import math
import struct
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec
from wasmtime import Linker

from sandbox import crypto, native, wasi
from sandbox.artefact import read_artefact
from sandbox.endings import INTERRUPT_TRAP, GuestStop, judge, memory_allowed, of_trap
from sandbox.engine import load_module, make_engine
from sandbox.errors import UnfitModule, UnsafeArtefact
from sandbox.expose import EXPOSED_MEMORY
from sandbox.host import MEMORY_EXPORT, Host
from sandbox.job import COMMAND_ENTRY, LIMIT_RANGES, MIB, Job, JobLimits, Outcome, fault
from sandbox.module import (
    INPUT_BYTES_MAX,
    PAGE_BYTES,
    TABLE_ELEMENTS_MAX,
    TABLES_MAX,
    ModuleReport,
    admit_call,
    check_command_args,
)
from sandbox.numbers import Number, cells, parse_arguments, render_results
from sandbox.reader import VALUES_MAX
from sandbox.store import ModuleStore
from sandbox.trace import refusal

MODULES_KEPT = 64
"""Loaded modules per slot; the least recently used is dropped."""
INITIALISE = "_initialize"
"""WASI reactors export it: to be called once before any other function."""


class _Entry(msgspec.Struct):
    """One entry point of a loaded module, bound."""

    name: bytes
    params: tuple[str, ...]
    results: tuple[str, ...]
    into: struct.Struct
    out: struct.Struct
    count: int


class _Loaded(msgspec.Struct):
    """A module ready to be instantiated."""

    module: Any
    pre: int
    report: ModuleReport
    memory_name: bytes
    entries: dict[str, _Entry]


class _Interrupted(Exception):
    """The engine was interrupted; whether rightly is for the caller to say."""


class _EngineTrouble(Exception):
    """The engine could not do what is always possible on a machine in order."""


class Runner:
    """An engine, its host functions and the modules loaded so far."""

    def __init__(self, store: ModuleStore) -> None:
        self._store = store
        self._engine = make_engine()
        self._engine_at = native.address(self._engine.ptr())
        self._linker = Linker(self._engine)
        self._linker_at = native.address(self._linker.ptr())
        self._host = Host(self._engine_at, self._linker)
        wasi.define(self._host)
        crypto.define(self._host)
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()
        self._cells = ctypes.create_string_buffer(16 * VALUES_MAX)
        self._cells_at = ctypes.addressof(self._cells)
        self.deadline = math.inf
        """Monotonic time at which the running guest is to be interrupted; read by the watchdog."""
        self.is_cancelled: Callable[[], bool] = lambda: False
        """Asked after an interrupt that came before the deadline."""

    def interrupt(self) -> None:
        """End the guest that is running now, from another thread. Needs no lock."""
        native.increment_epoch(self._engine_at)

    def run(self, job: Job) -> Outcome:
        """Run a job to its end."""
        begun, cpu_begun = time.perf_counter(), time.thread_time()
        self.deadline = time.monotonic() + job.limits.wall_ms / 1000
        try:
            outcome = self._run(job)
        except UnfitModule as error:
            outcome = refusal(job, error)
        except _EngineTrouble as error:
            outcome = fault("crash", f"the engine failed: {error}")
        except UnsafeArtefact as error:
            outcome = fault("unavailable", str(error))
        except Exception as error:  # noqa: BLE001 - `run` promises an outcome
            outcome = fault("crash", f"the sandbox failed: {type(error).__name__}: {error}")
        self.deadline = math.inf
        wall_ms = (time.perf_counter() - begun) * 1000
        cpu_ms = (time.thread_time() - cpu_begun) * 1000
        # `replace` would copy; an outcome made here is nobody else's yet.
        msgspec.structs.force_setattr(outcome, "wall_ms", round(wall_ms, 3))
        msgspec.structs.force_setattr(outcome, "cpu_ms", round(cpu_ms, 3))
        return outcome

    def _run(self, job: Job) -> Outcome:
        _check_job(job)
        loaded = self._load(job.module)
        entry = loaded.entries.get(job.entry) or self._bind(loaded, job)
        argv: list[bytes] = []
        numbers: list[Number] = []
        if job.entry == COMMAND_ENTRY:
            argv = [wasi.PROGRAM_NAME, *check_command_args(job.args, job.env)]
        else:
            numbers = parse_arguments(entry.params, job.args)
        _check_declared(loaded.report, job)
        while True:
            try:
                return self._attempt(loaded, entry, job, argv, numbers)
            except _Interrupted:
                if self.is_cancelled():
                    return fault("wall", "cancelled")
                if time.monotonic() >= self.deadline:
                    return fault("wall", f"ran longer than the {job.limits.wall_ms} ms that wall_ms allows")
                # An interrupt that was meant for the job before: a run has no effects, so it is simply run again.

    def _load(self, digest: str) -> _Loaded:
        loaded = self._loaded.get(digest)
        if loaded is not None:
            self._loaded.move_to_end(digest)
            return loaded
        report, code = read_artefact(self._store, digest)
        module = load_module(self._engine, code)
        pre = ctypes.c_void_p()
        error_at = native.linker_instantiate_pre(
            self._linker_at, native.address(module.ptr()), ctypes.addressof(pre)
        )
        if error_at:
            raise UnfitModule("module", f"cannot be linked: {native.take_error(error_at)}")
        memory_name = MEMORY_EXPORT if report.memory_exported else EXPOSED_MEMORY
        loaded = _Loaded(
            module=module, pre=pre.value or 0, report=report, memory_name=memory_name, entries={}
        )
        self._loaded[digest] = loaded
        if len(self._loaded) > MODULES_KEPT:
            _, dropped = self._loaded.popitem(last=False)
            native.instance_pre_delete(dropped.pre)
        return loaded

    def _bind(self, loaded: _Loaded, job: Job) -> _Entry:
        admit_call(loaded.report, job.entry, job.args)
        kind = loaded.report.functions[job.entry]
        entry = _Entry(
            name=job.entry.encode(),
            params=kind.params,
            results=kind.results,
            into=cells(kind.params),
            out=cells(kind.results),
            count=max(len(kind.params), len(kind.results)),
        )
        loaded.entries[job.entry] = entry
        return entry

    def _attempt(
        self, loaded: _Loaded, entry: _Entry, job: Job, argv: list[bytes], numbers: list[Number]
    ) -> Outcome:
        limits = job.limits
        host = self._host
        store = native.store_new(self._engine_at, None, None)
        try:
            context = native.store_context(store)
            native.store_limiter(store, memory_allowed(limits), TABLE_ELEMENTS_MAX, 1, TABLES_MAX, 1)
            native.set_fuel(context, limits.fuel)
            native.set_epoch_deadline(context, 1)
            host.begin(job, context, argv)
            ended = self._call(context, loaded, entry, numbers)
            output = bytes(host.stdout) if job.entry == COMMAND_ENTRY or ended else self._results(entry)
            native.get_fuel(context, host.fuel_at)
            fuel = limits.fuel - host.slot.fuel + host.owed
            return self._outcome(limits, ended, output, fuel)
        finally:
            host.base = 0
            native.store_delete(store)

    def _call(self, context: int, loaded: _Loaded, entry: _Entry, numbers: list[Number]) -> GuestStop | None:
        """Instantiate and call; None for an ordinary return."""
        host = self._host
        host.slot.trap = 0
        error = native.instance_pre_instantiate(loaded.pre, context, host.instance_at, host.trap_at)
        if error or host.slot.trap:
            return self._ended(error)
        if loaded.report.memory is not None and not host.base:
            name = loaded.memory_name
            if native.export_get(context, host.instance_at, name, len(name), host.memory_extern_at):
                host.locate_memory()
        if entry.name != COMMAND_ENTRY.encode() and INITIALISE in loaded.report.functions:
            ended = self._enter(context, INITIALISE.encode(), 0)
            if ended is not None:
                return ended
        entry.into.pack_into(self._cells, 0, *numbers)
        return self._enter(context, entry.name, entry.count)

    def _enter(self, context: int, name: bytes, count: int) -> GuestStop | None:
        host = self._host
        if not native.export_get(context, host.instance_at, name, len(name), host.extern_at):
            raise UnfitModule("entry", f"the module exports no function {name.decode()!r}")
        error = native.func_call(context, host.item_at, self._cells_at, count, host.trap_at)
        if error or host.slot.trap:
            return self._ended(error)
        return None

    def _ended(self, error: int | None) -> GuestStop | None:
        host = self._host
        code, message = (-1, native.take_error(error)) if error else native.take_trap(host.slot.trap)
        host.slot.trap = 0
        if host.error is not None:
            raise host.error
        if host.stop is not None:
            return host.stop
        if error:
            # What a guest can cause comes as a trap; an error is the engine's own, such as memory it could not map.
            raise _EngineTrouble(message.split("\n")[0][:300])
        if code == INTERRUPT_TRAP:
            raise _Interrupted
        return of_trap(code, message)

    def _results(self, entry: _Entry) -> bytes:
        return render_results(entry.results, entry.out.unpack_from(self._cells))

    def _outcome(self, limits: JobLimits, ended: GuestStop | None, output: bytes, fuel: int) -> Outcome:
        host = self._host
        memory = host.refresh_size()
        end = judge(limits, ended, output=len(output), fuel=fuel, memory=memory)
        if end is not None and ended is None:
            output = b""  # results of a function that is judged to have failed
        outcome = Outcome(
            status="failed" if end else "ok",
            reason=end.reason if end else "",
            detail=end.detail if end else "",
            exit_code=end.exit_code if end else 0,
            output=output,
            stderr=bytes(host.stderr),
            fuel=min(fuel, limits.fuel),
            peak_memory_bytes=memory,
        )
        return host.trace.close(outcome)


def _check_job(job: Job) -> None:
    limits = job.limits
    for name, (least, most) in LIMIT_RANGES.items():
        if not least <= getattr(limits, name) <= most:
            raise UnfitModule(f"limits.{name}", f"is {getattr(limits, name)}, must be {least} to {most}")
    if len(job.input) > INPUT_BYTES_MAX:
        raise UnfitModule("input", f"has {len(job.input)} bytes, at most {INPUT_BYTES_MAX} are accepted")


def _check_declared(report: ModuleReport, job: Job) -> None:
    memory = report.memory
    if memory is not None and memory.minimum * PAGE_BYTES > job.limits.memory_mb * MIB:
        need = memory.minimum * PAGE_BYTES / MIB
        message = f"starts with {need:.1f} MB of memory, memory_mb allows {job.limits.memory_mb}"
        raise UnfitModule("module", message, "memory")
