"""Runs a built guest on plain wasmtime with wasmtime's own WASI: a check of the guest that owes nothing to our host."""

import dataclasses
import functools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import wasmtime

from examples.guests import build

FUEL = 2_000_000_000
MEMORY_BYTES = 64 << 20


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a command left behind: exit status, or the trap's text, and both outputs."""

    stdout: bytes
    stderr: bytes
    exit_status: int
    trap: str


@functools.cache
def engine(*, canonical_nan: bool) -> wasmtime.Engine:
    config = wasmtime.Config()
    config.consume_fuel = True
    config.cranelift_nan_canonicalization = canonical_nan
    return wasmtime.Engine(config)


@functools.cache
def compiled(name: str, *, canonical_nan: bool) -> wasmtime.Module:
    return wasmtime.Module.from_file(engine(canonical_nan=canonical_nan), str(build.HERE / f"{name}.wasm"))


def new_store(fuel: int, *, canonical_nan: bool = True) -> wasmtime.Store:
    store = wasmtime.Store(engine(canonical_nan=canonical_nan))
    store.set_fuel(fuel)
    store.set_limits(memory_size=MEMORY_BYTES)
    return store


def call_function(name: str, function: str, *arguments: float, fuel: int = FUEL) -> object:
    """Call an exported function of a guest that imports nothing, or only WASI."""
    store = new_store(fuel)
    store.set_wasi(wasmtime.WasiConfig())
    linker = wasmtime.Linker(store.engine)
    linker.define_wasi()
    exports = linker.instantiate(store, compiled(name, canonical_nan=True)).exports(store)
    return exports[function](store, *arguments)


def run_module(
    module: wasmtime.Module,
    stdin: bytes = b"",
    arguments: Sequence[str] = (),
    *,
    fuel: int = FUEL,
    canonical_nan: bool = True,
    define: Callable[[wasmtime.Linker, wasmtime.Store], None] | None = None,
) -> Outcome:
    """Run a WASI command to its end, whichever that is; ``define`` may add host functions."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "stdin").write_bytes(stdin)
        wasi = wasmtime.WasiConfig()
        wasi.argv = ["guest", *arguments]
        wasi.stdin_file = folder / "stdin"
        wasi.stdout_file = str(folder / "stdout")
        wasi.stderr_file = str(folder / "stderr")
        store = new_store(fuel, canonical_nan=canonical_nan)
        store.set_wasi(wasi)
        linker = wasmtime.Linker(store.engine)
        linker.define_wasi()
        if define:
            define(linker, store)
        exit_status, trap = 0, ""
        try:
            instance = linker.instantiate(store, module)
            instance.exports(store)["_start"](store)
        except wasmtime.ExitTrap as exit_trap:
            exit_status = exit_trap.code
        except wasmtime.Trap as error:
            trap = error.message
        store.close()
        return Outcome((folder / "stdout").read_bytes(), (folder / "stderr").read_bytes(), exit_status, trap)


def run_command(
    name: str,
    stdin: bytes = b"",
    arguments: Sequence[str] = (),
    *,
    fuel: int = FUEL,
    canonical_nan: bool = True,
    define: Callable[[wasmtime.Linker, wasmtime.Store], None] | None = None,
) -> Outcome:
    """``run_module`` for a built guest, by its name."""
    module = compiled(name, canonical_nan=canonical_nan)
    return run_module(module, stdin, arguments, fuel=fuel, canonical_nan=canonical_nan, define=define)


@pytest.fixture(scope="session", autouse=True)
def _release_modules():
    """Let go of modules and engines while the interpreter still stands; wasmtime cannot free them later."""
    yield
    compiled.cache_clear()
    engine.cache_clear()


@pytest.fixture(scope="session")
def run():
    """``run(name, stdin, arguments)`` gives the Outcome of a guest's ``_start``."""
    return run_command


@pytest.fixture(scope="session")
def call():
    """``call(name, function, *arguments)`` gives what a guest's exported function returns."""
    return call_function


@pytest.fixture(scope="session")
def plain_engine():
    """The engine to compile further modules for ``run_compiled`` with."""
    return engine(canonical_nan=True)


@pytest.fixture(scope="session")
def run_compiled():
    """``run_compiled(module, stdin, arguments)`` is ``run`` for a module that is no file."""
    return run_module
