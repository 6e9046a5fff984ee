"""The pool's way to the compiler: one child process, started when needed, asked for one module at a time.

Guarantees: each module is compiled at most once at a time however many jobs wait for it; a compilation that takes
too long or too much memory ends with the compiler's process, and the next module gets a new one.
"""

import asyncio
import contextlib
import os
import sys

import msgspec

from sandbox.errors import CompilerFailed, UnfitModule
from sandbox.process import child_environment
from sandbox.store import ModuleStore
from sandbox.wire import Answer

IDLE_S = 30.0
"""The compiler's process holds some 50 MB: it is ended when nothing new came for so long."""


class Compilation:
    """Compiles modules of one store."""

    def __init__(self, store: ModuleStore, *, timeout_s: float, memory_mb: int) -> None:
        self._store = store
        self._timeout_s = timeout_s
        self._memory_mb = memory_mb
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._cpu_ended = 0.0
        self._cpu_now = 0.0

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all compilers so far."""
        return self._cpu_ended + self._cpu_now

    async def compile(self, digest: str) -> float:
        """Have a trustworthy artefact of the module made, if there is none.

        Returns:
            Milliseconds that compiling took; 0 if there was nothing to do.

        Raises:
            UnfitModule: it can never run here.
            CompilerFailed: this machine could not compile it in the time and memory allowed.
        """
        async with self._turn:
            self._stay()
            try:
                answer = await asyncio.wait_for(self._ask(digest), self._timeout_s)
            except TimeoutError:
                await self._end()
                raise CompilerFailed(
                    f"compiling {digest} took more than {self._timeout_s:g} s and was ended"
                ) from None
            except BaseException:
                await self._end()
                raise
            self._cpu_now = answer.cpu_seconds
            self._idle = asyncio.get_running_loop().call_later(IDLE_S, self._leave)
        if answer.field:
            raise UnfitModule(answer.field, answer.message, answer.reason)
        if answer.trouble:
            raise CompilerFailed(answer.trouble)
        return answer.compile_ms

    async def close(self) -> None:
        """End the compiler."""
        self._stay()
        async with self._turn:
            await self._end()

    async def _ask(self, digest: str) -> Answer:
        process = await self._running()
        stdin, stdout = process.stdin, process.stdout
        if stdin is None or stdout is None:
            raise CompilerFailed("the compiler has no channels")
        try:
            stdin.write(digest.encode() + b"\n")
            await stdin.drain()
            line = await stdout.readline()
        except OSError:
            line = b""
        if not line:
            raise CompilerFailed(
                f"the compiler died over {digest}, perhaps of the {self._memory_mb} MB it may use"
            )
        return msgspec.json.decode(line, type=Answer)

    async def _running(self) -> asyncio.subprocess.Process:
        """The compiler's process, a new one if it left or died since."""
        process = self._process
        if process is not None:
            leaving = process.stdin is None or process.stdin.is_closing()
            if process.returncode is None and not leaving:
                return process
            await self._end()
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sandbox.compiler", str(self._store.path.resolve()), str(self._memory_mb),
            str(os.getpid()), env=child_environment(), cwd="/", stdin=pipe, stdout=pipe, limit=1 << 20,
        )  # fmt: skip
        return self._process

    def _stay(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _leave(self) -> None:
        # End of input ends the child; it is waited for when the next one starts, or at the end.
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        self._cpu_ended += self._cpu_now
        self._cpu_now = 0.0
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.communicate()
