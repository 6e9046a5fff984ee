"""Who leads, as a hint: a key with a short life in a key-value bucket.

It makes a takeover quick and keeps twins from fighting; no correctness rests on it or on any clock. Whoever wrongly
believes that it leads is refused by the log (`bus.writer.FencedWriter`).

So a holder that gets no answer goes on: while the servers elect a leader of the bucket nobody can have the lease, and one that let go
would fold all logs anew. A restarted server forgets leases; then the one who had it takes it again, unless somebody was quicker.
In a cluster the bucket has as many replicas as the logs: on one server alone it would be away for as long as that server is.
"""

import asyncio
import secrets

import nats.errors
import nats.js.errors
import structlog
from nats.js.api import StorageType
from nats.js.kv import KeyValue

from bus.connection import Bus
from bus.errors import BusUnavailable, reason
from bus.streams import NAME_IN_USE, replicas

__all__ = ["LEASE_TTL_S", "Lease"]

_log = structlog.get_logger("bus.lease")

LEASE_TTL_S = 2.0
_RENEW_S = LEASE_TTL_S / 4
_TRY_S = 1.0
_PATIENCE_S = 20.0
"""How long a holder goes on without an answer: servers that have lost one of them elect a leader in 4 to 9 s, and once more if they do not agree."""


class Lease:
    """The lease `role` (`coordinator`, `verifier`) for `holder`. `lost` is set once it is no longer held."""

    def __init__(self, bus: Bus, role: str, holder: str) -> None:
        self._bus = bus
        self._role = role
        # The mark tells twins of one name apart: a key with this value is ours, also where the answer to writing it was lost.
        self._value = f"{holder} {secrets.token_hex(8)}".encode()
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
            async with asyncio.timeout(_TRY_S):
                return await self._take()
        except (TimeoutError, nats.errors.Error, BusUnavailable) as error:
            _log.debug("lease not to be had", role=self._role, reason=reason(error))
            self._bucket = None
        # Whoever held it when the bucket went away asks again within less.
        await asyncio.sleep(LEASE_TTL_S)
        return False

    async def _take(self) -> bool:
        """Whether the key was free and is ours now."""
        bucket = await self._open()
        try:
            self._revision = await bucket.create(self._role, self._value)
        except nats.js.errors.KeyWrongLastSequenceError:
            return False
        return True

    async def _open(self) -> KeyValue:
        if self._bucket is None:
            bucket = self._bus.subjects.leases
            try:
                # In memory: a lease need not survive its servers, and must not cost a disk write twice a second.
                self._bucket = await self._bus.js.create_key_value(
                    bucket=bucket, ttl=LEASE_TTL_S, storage=StorageType.MEMORY, replicas=replicas(self._bus)
                )
            except nats.js.errors.APIError as error:
                if error.err_code != NAME_IN_USE:
                    raise
                self._bucket = await self._bus.js.key_value(bucket)  # as the operator set it
        return self._bucket

    async def _renew(self) -> None:
        loop = asyncio.get_running_loop()
        good_until = loop.time() + _PATIENCE_S
        while loop.time() < good_until and not self._bus.client.is_closed:
            await asyncio.sleep(_RENEW_S)
            try:
                async with self._renewing, asyncio.timeout(_TRY_S):
                    if not await self._hold():
                        break
                good_until = loop.time() + _PATIENCE_S
            except (TimeoutError, nats.errors.Error, BusUnavailable) as error:
                _log.debug("lease not renewed", role=self._role, reason=reason(error))
        _log.warning("lease lost", role=self._role)
        self.lost.set()

    async def _hold(self) -> bool:
        """Renew the lease, or take it again where nobody has it; False where somebody else does."""
        bucket = await self._open()
        try:
            self._revision = await bucket.update(self._role, self._value, last=self._revision)
        except nats.js.errors.KeyWrongLastSequenceError:
            return await self._is_ours() or await self._take()
        except nats.js.errors.NoStreamResponseError:
            self._bucket = None  # a server that was alone has restarted and forgotten the bucket; or it is electing its leader
            raise
        return True

    async def _is_ours(self) -> bool:
        """Whether the key is from us: then the answer to an earlier renewal was lost."""
        bucket = await self._open()
        try:
            entry = await bucket.get(self._role)
        except nats.js.errors.KeyNotFoundError:
            return False
        if entry.value != self._value or entry.revision is None:
            return False
        self._revision = entry.revision
        return True
