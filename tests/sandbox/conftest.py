"""Guests in text and a runner in this process, for tests of what a guest sees."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import Job, JobLimits, ModuleStore, Outcome, to_wasm
from sandbox.compiler import Compiler
from sandbox.errors import UnfitModule
from sandbox.runner import Runner
from sandbox.trace import refusal

WASI_IMPORTS = {
    "args_get": "i32 i32",
    "args_sizes_get": "i32 i32",
    "environ_sizes_get": "i32 i32",
    "clock_time_get": "i32 i64 i32",
    "fd_close": "i32",
    "fd_fdstat_get": "i32 i32",
    "fd_prestat_get": "i32 i32",
    "fd_read": "i32 i32 i32 i32",
    "fd_seek": "i32 i64 i32 i32",
    "fd_write": "i32 i32 i32 i32",
    "path_open": "i32 i32 i32 i32 i32 i64 i64 i32 i32",
    "poll_oneoff": "i32 i32 i32 i32",
    "random_get": "i32 i32",
    "sched_yield": "",
}


def command_text(body: str, extra: str = "", memory: str = "1") -> str:
    """A WASI command whose `_start` is `body`; `$say(at, size)` writes to standard output."""
    imports = "\n".join(
        f'(import "wasi_snapshot_preview1" "{name}" (func ${name} (param {params}) (result i32)))'
        for name, params in WASI_IMPORTS.items()
    )
    crypto = "\n".join(
        f'(import "ambient_crypto" "{name}" (func ${name} (param {params}) (result i32)))'
        for name, params in {
            "sha256": "i32 i32 i32",
            "sha512": "i32 i32 i32",
            "hmac_sha256": "i32 i32 i32 i32 i32",
            "ed25519_verify": "i32 i32 i32 i32",
        }.items()
    )
    return f"""(module
      {imports}
      {crypto}
      (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
      (memory (export "memory") {memory})
      {extra}
      (func $say (param $at i32) (param $size i32)
        (i32.store (i32.const 60000) (local.get $at))
        (i32.store (i32.const 60004) (local.get $size))
        (drop (call $fd_write (i32.const 1) (i32.const 60000) (i32.const 1) (i32.const 60008))))
      (func $say_number (param i32)
        (i32.store (i32.const 60016) (local.get 0))
        (call $say (i32.const 60016) (i32.const 4)))
      (func (export "_start") {body}))"""


class Guests:
    """Compiles and runs guests without a slot around them."""

    def __init__(self, path: Path) -> None:
        self.store = ModuleStore(path)
        self.compiler = Compiler(self.store)
        self.runner = Runner(self.store)

    def add(self, wat: str | bytes) -> str:
        """Store and compile a guest; its digest."""
        digest = self.store.add(to_wasm(wat.encode() if isinstance(wat, str) else wat))
        self.compiler.compile(digest)
        return digest

    def run(self, wat: str | bytes, entry: str = "_start", **job: object) -> Outcome:
        """Run a guest given as text, or say how it was refused."""
        limits = JobLimits(**{k: job.pop(k) for k in JobLimits.__struct_fields__ if k in job})
        try:
            digest = self.add(wat)
        except UnfitModule as error:
            return refusal(Job(module="0" * 64), error)
        return self.runner.run(Job(module=digest, entry=entry, limits=limits, **job))

    def command(self, body: str, extra: str = "", memory: str = "1", **job: object) -> Outcome:
        """Run a WASI command whose `_start` is `body`."""
        return self.run(command_text(body, extra, memory), **job)

    @staticmethod
    def text(body: str, extra: str = "", memory: str = "1") -> str:
        """The text of such a command."""
        return command_text(body, extra, memory)


@pytest.fixture(scope="session")
def guests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guests]:
    return Guests(tmp_path_factory.mktemp("guests") / "store")
