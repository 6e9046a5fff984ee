"""The compiler's process comes and goes; modules get compiled all the same."""

import os
import signal

import pytest

from sandbox import ModuleStore, compilation, inspect, to_wasm
from sandbox.artefact import write_artefact
from sandbox.compilation import Compilation
from sandbox.configuration import CONFIGURATION


def module(store: ModuleStore, number: int) -> str:
    return store.add(to_wasm(f'(module (func (export "f") (result i32) i32.const {number}))'.encode()))


@pytest.fixture
def store(tmp_path):
    return ModuleStore(tmp_path / "store")


async def test_a_module_is_compiled_once(store):
    """The second request finds the artefact, also from another compiler."""
    one, two = (Compilation(store, timeout_s=20, memory_mb=2048) for _ in range(2))
    digest = module(store, 1)
    times = [await each.compile(digest) for each in (one, one, two)]
    await one.close()
    await two.close()

    assert times[0] > 0 == times[1] == times[2]
    assert store.has_artefact(digest, CONFIGURATION)
    assert one.cpu_seconds > 0


async def test_an_idle_compiler_leaves_and_comes_back(store, monkeypatch):
    """It gives its memory back when idle, and is started again when needed."""
    monkeypatch.setattr(compilation, "IDLE_S", 0.01)
    compiler = Compilation(store, timeout_s=20, memory_mb=2048)
    await compiler.compile(module(store, 1))
    first = compiler._process
    await first.wait()

    assert await compiler.compile(module(store, 2)) > 0
    assert compiler._process is not first
    await compiler.close()


async def test_a_compiler_killed_while_idle_is_replaced(store):
    """Its death between two modules costs nothing."""
    compiler = Compilation(store, timeout_s=20, memory_mb=2048)
    await compiler.compile(module(store, 1))
    os.kill(compiler._process.pid, signal.SIGKILL)
    await compiler._process.wait()

    assert await compiler.compile(module(store, 2)) > 0
    await compiler.close()


async def test_an_artefact_of_another_processor_is_made_again(store):
    """A genuine artefact that does not load here (a folder moved between machines) is compiled anew."""
    digest = module(store, 1)
    write_artefact(store, inspect(store.read(digest)), b"code of another processor")
    compiler = Compilation(store, timeout_s=20, memory_mb=2048)

    assert await compiler.compile(digest) > 0
    await compiler.close()
