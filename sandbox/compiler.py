"""The compiler: a child process that turns modules into artefacts (`python -m sandbox.compiler`).

Guarantees: no guest code runs here, only the engine's compiler; its memory is bounded, and the pool bounds its time
(a module made to be slow to compile costs this process, not a slot). It answers one line of JSON for each line that
names a digest.
"""

import resource
import sys
import time

import msgspec

from sandbox.artefact import read_artefact, write_artefact
from sandbox.confine import confine
from sandbox.engine import compile_module, load_module, make_engine
from sandbox.errors import SandboxError, UnfitModule, UnsafeArtefact
from sandbox.expose import expose_memory
from sandbox.module import admit_module, inspect
from sandbox.store import ModuleStore
from sandbox.wire import Answer


class Compiler:
    """An engine that compiles into one store."""

    def __init__(self, store: ModuleStore) -> None:
        self._store = store
        self._engine = make_engine()

    def compile(self, digest: str) -> float:
        """Make sure that a trustworthy artefact of the module is in the store.

        Returns:
            Milliseconds that compiling took; 0 if there was nothing to do.

        Raises:
            UnfitModule: the module can never run here.
            UnknownModule: its bytes are not in the store.
        """
        try:
            load_module(self._engine, read_artefact(self._store, digest)[1])
        except UnsafeArtefact:
            begun = time.perf_counter()
            wasm = self._store.read(digest)
            report = inspect(wasm)
            admit_module(report)
            code = compile_module(self._engine, expose_memory(wasm, report))
            write_artefact(self._store, report, code)
            return (time.perf_counter() - begun) * 1000
        return 0.0

    def answer(self, digest: str) -> Answer:
        """As `compile`, with every failure as data."""
        answer = Answer(digest=digest)
        try:
            answer.compile_ms = self.compile(digest)
        except UnfitModule as error:
            answer.field, answer.message, answer.reason = error.field, error.message, error.reason
        except (SandboxError, OSError, MemoryError) as error:
            answer.trouble = str(error) or type(error).__name__
        usage = resource.getrusage(resource.RUSAGE_SELF)
        answer.cpu_seconds = usage.ru_utime + usage.ru_stime
        return answer


def main() -> None:
    """Serve until standard input ends: `store memory-mb parent-pid`."""
    path, memory_mb, parent = sys.argv[1:4]
    confine(int(memory_mb), int(parent), may_write=True)
    compiler = Compiler(ModuleStore(path))
    for line in sys.stdin:
        sys.stdout.write(msgspec.json.encode(compiler.answer(line.strip())).decode() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
