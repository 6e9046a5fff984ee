"""Fetching what attempts need: modules into the store, inputs into memory.

Guarantees: each blob that was asked for is reported once, as here or as not to be had; no more than a few are
fetched at a time. While the bus is away it waits; a blob that is missing or does not hash to its name is given up at once.
"""

import asyncio
import random
from collections.abc import Callable

import structlog

from bus.blobs import Blobs
from bus.connection import Bus
from bus.errors import BusError, BusUnavailable
from sandbox.errors import SandboxError
from sandbox.store import ModuleStore
from workers.attempt import Need

__all__ = ["Materials"]

_log = structlog.get_logger("workers.materials")

PARALLEL = 8
TRIES = 30
"""Of a blob store that does not answer though the bus is there: some 15 s, as behind a leaf server only its uplink is away."""
RETRY_S = 0.5


class Materials:
    """Fetches in the background; `on_here` and `on_lost` are called from the event loop."""

    def __init__(
        self,
        bus: Bus,
        blobs: Blobs,
        store: ModuleStore,
        *,
        on_here: Callable[[Need, bytes], None],
        on_lost: Callable[[Need, str], None],
    ) -> None:
        self._bus = bus
        self._blobs = blobs
        self._store = store
        self._on_here = on_here
        self._on_lost = on_lost
        self._gate = asyncio.Semaphore(PARALLEL)
        self._tasks: set[asyncio.Task[None]] = set()

    def fetch(self, need: Need) -> None:
        """Begin to fetch; the caller asks once for each need until it has been reported."""
        task = asyncio.get_running_loop().create_task(self._report(need), name=f"fetch {need.digest[:16]}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up what is under way; it is not reported."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _report(self, need: Need) -> None:
        try:
            async with self._gate:
                data = await self._get(need)
        except (BusError, SandboxError, OSError) as error:
            _log.warning("cannot be fetched", kind=need.kind, digest=need.digest, reason=str(error))
            self._on_lost(need, f"{need.kind} cannot be fetched: {error}")
        else:
            self._on_here(need, data)

    async def _get(self, need: Need) -> bytes:
        if need.kind == "input":
            return await self._download(need.digest)
        if not self._store.has(need.digest):
            wasm = await self._download(need.digest)
            await asyncio.to_thread(self._store.add, wasm, need.digest)
        return b""

    async def _download(self, digest: str) -> bytes:
        tries = 0
        while True:
            try:
                return await self._blobs.get(digest)
            except BusUnavailable:
                tries += self._bus.is_connected
                if tries >= TRIES:
                    raise
            await asyncio.sleep(RETRY_S * random.uniform(0.5, 1.5))  # noqa: S311 -- jitter
