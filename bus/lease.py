"""Who leads, as a hint: a key with a short life in a key-value bucket.

It makes a takeover quick and keeps twins from fighting; no correctness rests on it or on any clock. Whoever wrongly
believes that it leads is refused by the log (`bus.writer.FencedWriter`).
"""

import asyncio

import nats.errors
import nats.js.errors
import structlog
from nats.js.api import StorageType
from nats.js.kv import KeyValue

from bus.connection import Bus
from bus.errors import BusUnavailable, reason

__all__ = ["LEASE_TTL_S", "Lease"]

_log = structlog.get_logger("bus.lease")

LEASE_TTL_S = 2.0
_RENEW_S = LEASE_TTL_S / 4


class Lease:
    """The lease `role` (`coordinator`, `verifier`) for `holder`. `lost` is set once it is no longer held."""

    def __init__(self, bus: Bus, role: str, holder: str) -> None:
        self._bus = bus
        self._role = role
        self._holder = holder.encode()
        self._bucket: KeyValue | None = None
        self._revision = 0
        self._renewing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.lost = asyncio.Event()

    async def acquire(self) -> None:
        """Wait until the lease is ours, then renew it in the background until `lost` or `release`."""
        while not await self._try_take():  # noqa: ASYNC110 -- the server tells nobody when a key runs out
            await asyncio.sleep(_RENEW_S)
        self.lost.clear()
        self._task = asyncio.create_task(self._renew(), name=f"lease {self._role}")

    async def release(self) -> None:
        """Give the lease up at once, so that a standby need not wait for it to run out; harmless if it is not held."""
        if self._task is None:
            return  # never held: the key that is there is somebody else's
        # Cut off in the middle, a renewal would leave us without the revision to delete.
        async with self._renewing:
            self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        if self._bucket is None or self.lost.is_set():
            return
        try:
            await self._bucket.delete(self._role, last=self._revision)
        except (TimeoutError, nats.errors.Error) as error:
            _log.debug("lease runs out by itself", role=self._role, reason=reason(error))

    async def _try_take(self) -> bool:
        try:
            bucket = await self._open()
            self._revision = await bucket.create(self._role, self._holder)
        except nats.js.errors.KeyWrongLastSequenceError:
            return False
        except (TimeoutError, nats.errors.Error, BusUnavailable) as error:
            _log.debug("lease not to be had", role=self._role, reason=reason(error))
            self._bucket = None
            return False
        return True

    async def _open(self) -> KeyValue:
        if self._bucket is None:
            # In memory: a lease need not survive its server, and must not cost a disk write twice a second.
            self._bucket = await self._bus.js.create_key_value(
                bucket=self._bus.subjects.leases, ttl=LEASE_TTL_S, storage=StorageType.MEMORY
            )
        return self._bucket

    async def _renew(self) -> None:
        loop = asyncio.get_running_loop()
        good_until = loop.time() + LEASE_TTL_S
        while loop.time() < good_until:
            await asyncio.sleep(_RENEW_S)
            begun = loop.time()
            try:
                assert self._bucket is not None  # noqa: S101 -- held means opened
                # No longer than the lease lasts: without a server the answer would be waited for beyond its end.
                async with self._renewing, asyncio.timeout_at(good_until):
                    self._revision = await self._bucket.update(self._role, self._holder, last=self._revision)
                good_until = begun + LEASE_TTL_S
            except nats.js.errors.KeyWrongLastSequenceError:
                break
            except (TimeoutError, nats.errors.Error) as error:
                _log.debug("lease not renewed", role=self._role, reason=reason(error))
        _log.warning("lease lost", role=self._role)
        self.lost.set()
