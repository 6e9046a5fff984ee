"""Looking up for the core what is in the blob store (a module's report, or whether an input exists), and whether a purse is all that it is.

Guarantees that every question is answered once, however the blob store fails meanwhile, and that only so many are asked at a time.
Reading a module's sections is work of milliseconds, so it is done in a thread.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from bus.blobs import Blobs
from bus.connection import Bus
from bus.errors import BlobCorrupt, BlobMissing, BusUnavailable, Malformed
from coordinator.admission import Question
from coordinator.core import Core
from sandbox.errors import UnfitModule
from sandbox.module import inspect

__all__ = ["MAX_MODULE_BYTES", "Lookups"]

_log = structlog.get_logger("coordinator.lookups")

MAX_MODULE_BYTES = 64 * 1024 * 1024
_AT_A_TIME = 16
_RETRY_S = 0.5


class Lookups:
    """Answers `Question`s into `core` and calls `answered` after each. `caught_up` waits until all that fills purses is folded."""

    def __init__(
        self, bus: Bus, core: Core, answered: Callable[[], None], caught_up: Callable[[], Awaitable[None]]
    ) -> None:
        self._blobs = Blobs(bus, "coordinator")
        self._core = core
        self._answered = answered
        self._caught_up = caught_up
        self._gate = asyncio.Semaphore(_AT_A_TIME)
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        """How many questions are open."""
        return f"Lookups(open={len(self._tasks)})"

    def ask(self, question: Question) -> None:
        """Look it up in the background."""
        task = asyncio.create_task(self._look_up(question), name=f"look up {question.digest[:12]}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Look up no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _look_up(self, question: Question) -> None:
        async with self._gate:
            while True:
                try:
                    await self._answer(question)
                except BusUnavailable as error:
                    _log.warning("a look-up has no answer: asking again", reason=str(error))
                    await asyncio.sleep(_RETRY_S)
                else:
                    break
        self._answered()

    async def _answer(self, question: Question) -> None:
        core, digest = self._core, question.digest
        if question.what == "purse":
            asked = core.purse_waiting(question)
            await self._caught_up()
            core.purse_known(question, asked)
            return
        try:
            if question.what == "input":
                if await self._blobs.has(digest):
                    core.blob_found(question)
                else:
                    core.blob_missing(question, f"no blob sha256:{digest} is stored: upload it first")
                return
            wasm = await self._blobs.get(digest, max_bytes=MAX_MODULE_BYTES)
            core.blob_found(question, await asyncio.to_thread(inspect, wasm))
        except (BlobMissing, BlobCorrupt) as error:
            core.blob_missing(question, str(error))
        except UnfitModule as error:
            core.module_unfit(question, f"work.{error.field}", error.message)
        except Malformed as error:
            core.module_unfit(question, "work.module", error.limit)
