"""Who leads, as a hint: a key with a short life in a key-value bucket.

It makes a takeover quick and keeps twins from fighting; no correctness rests on it or on any clock. Whoever wrongly
believes that it leads is refused by the log (`bus.writer.FencedWriter`).

The key says who holds it and the mark of its pulse, `svc.<role>.pulse.<mark>`, to which the holder is subscribed. A standby asks there:
"no responders" means that the holder's connection is gone, and the key is taken over at its revision, so that of several
standbys one wins. A holder that hangs keeps its subscription; then the lease's time runs out, as it does where no mark is told.
When a standby may take it is `bus.vigil`'s; the server drops a key that has run out, too, but takes up to half a second for it.

A holder that gets no answer goes on: while the servers elect a leader of the bucket nobody can have the lease, and one that let go would
fold what it has folded anew. A restarted server forgets leases; then the one who had it takes it again, unless somebody was quicker.
In a cluster the bucket has as many replicas as the logs: on one server alone it would be away for as long as that server is.
"""

import asyncio
import secrets

import nats.errors
import nats.js.errors
import structlog
from nats.aio.subscription import Subscription
from nats.js.api import StorageType
from nats.js.kv import KeyValue

from bus.connection import Bus, Received
from bus.errors import BusUnavailable, NoResponder, reason
from bus.streams import NAME_IN_USE, replicas
from bus.vigil import Pulse, Vigil

__all__ = ["LEASE_TTL_S", "Lease"]

_log = structlog.get_logger("bus.lease")

LEASE_TTL_S = 2.0
_RENEW_S = LEASE_TTL_S / 4
_PULSE_S = 0.25
_TRY_S = 1.0
_PATIENCE_S = 20.0
"""How long a holder goes on without an answer: servers that have lost one of them elect a leader in 4 to 9 s, and once more if they do not agree."""


class Lease:
    """The lease `role` (`coordinator`, `verifier`) for `holder`. `lost` is set once it is no longer held.

    `taken_from_the_dead` says whether the last `acquire` took it over before it had run out or been given up.
    """

    def __init__(self, bus: Bus, role: str, holder: str) -> None:
        self._bus = bus
        self._role = role
        self._holder = holder
        # Of this object, not of the name: a process that starts again under its old name is not the one that held the lease.
        self._mark = secrets.token_hex(8)
        self._pulse: Subscription | None = None
        self._proven = False
        self._told = b""
        self._bucket: KeyValue | None = None
        self._revision = 0
        self._renewing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.taken_from_the_dead = False
        self.lost = asyncio.Event()

    async def acquire(self) -> None:
        """Wait until the lease is ours, then renew it in the background until `lost` or `release`."""
        vigil, loop = Vigil(LEASE_TTL_S), asyncio.get_running_loop()

        def returned() -> None:
            vigil.reconnected(loop.time())

        self._bus.on_reconnect(returned)
        try:
            while not await self._try_take(vigil):  # noqa: ASYNC110 -- nobody is told that a holder is gone, or a key has run out
                await asyncio.sleep(vigil.pause_s)
        finally:
            self._bus.forget_reconnect(returned)
        self.lost.clear()
        self._task = asyncio.create_task(self._renew(), name=f"lease {self._role}")

    async def release(self) -> None:
        """Give the lease up at once, so that a standby need not wait for it to run out; harmless if it is not held."""
        if self._task is not None:
            # Cut off in the middle, a renewal would leave us without the revision to delete.
            async with self._renewing:
                self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            await self._delete()
        pulse, self._pulse = self._pulse, None
        if pulse is not None and not self._bus.client.is_closed:
            await pulse.unsubscribe()

    async def _delete(self) -> None:
        if self._bucket is None or self.lost.is_set():
            return
        try:
            await self._bucket.delete(self._role, last=self._revision)
        except (TimeoutError, nats.errors.Error) as error:
            _log.debug("lease runs out by itself", role=self._role, reason=reason(error))

    async def _try_take(self, vigil: Vigil) -> bool:
        """Take the lease if it is free, its time is over or its holder is gone."""
        try:
            async with asyncio.timeout(_TRY_S):
                return await self._look(vigil)
        except (TimeoutError, nats.errors.Error, BusUnavailable) as error:
            _log.debug("lease not to be had", role=self._role, reason=reason(error))
            self._bucket = None
        # Whoever held it when the bucket went away asks again within less.
        await asyncio.sleep(LEASE_TTL_S)
        return False

    async def _look(self, vigil: Vigil) -> bool:
        bucket = await self._open()
        await self._prove()
        held = await _held(bucket, self._role)
        if held is None:
            self.taken_from_the_dead = False
            return await self._take()
        revision, mark = held
        pulse = await self._ask_pulse(mark) if mark else "silent"
        now_s = asyncio.get_running_loop().time()
        vigil.sees(revision, pulse, now_s)
        gone = vigil.is_gone(now_s)
        if not gone and not vigil.is_over(now_s):
            return False
        try:
            self._told = self._value
            self._revision = await bucket.update(self._role, self._told, last=revision)
        except nats.js.errors.KeyWrongLastSequenceError:
            return False
        self.taken_from_the_dead = gone
        _log.debug("lease taken over", role=self._role, from_the_dead=gone)
        return True

    async def _take(self) -> bool:
        """Whether the key was free and is ours now."""
        bucket = await self._open()
        try:
            self._told = self._value
            self._revision = await bucket.create(self._role, self._told)
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

    @property
    def _value(self) -> bytes:
        """`<holder> <mark>`; without a mark where the pulse is not to be felt."""
        return (f"{self._holder} {self._mark}" if self._proven else self._holder).encode()

    async def _prove(self) -> None:
        """Have a pulse, and feel it: a server that forbids the subject would show every standby a holder that is gone."""
        if self._pulse is None:
            self._pulse = await self._bus.subscribe(
                self._bus.subjects.service(self._role, f"pulse.{self._mark}"), self._on_pulse
            )
        if not self._proven:
            self._proven = await self._ask_pulse(self._mark) == "alive"

    async def _on_pulse(self, message: Received) -> None:
        if message.reply:
            await self._bus.publish(message.reply, b"")

    async def _ask_pulse(self, mark: str) -> Pulse:
        subject = self._bus.subjects.service(self._role, f"pulse.{mark}")
        try:
            await self._bus.request_bytes(subject, b"", _PULSE_S)
        except NoResponder:
            return "absent"
        except BusUnavailable:
            return "silent"
        return "alive"

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
        told, self._told = self._told, self._value
        try:
            self._revision = await bucket.update(self._role, self._told, last=self._revision)
        except nats.js.errors.KeyWrongLastSequenceError:
            return await self._is_ours({told, self._told}) or await self._take()
        except nats.js.errors.NoStreamResponseError:
            self._bucket = None  # a server that was alone has restarted and forgotten the bucket; or it is electing its leader
            raise
        return True

    async def _is_ours(self, told: set[bytes]) -> bool:
        """Whether the key is what we wrote last: then the answer to an earlier renewal was lost."""
        bucket = await self._open()
        try:
            entry = await bucket.get(self._role)
        except nats.js.errors.KeyNotFoundError:
            return False
        if entry.value not in told or entry.revision is None:
            return False
        self._revision = entry.revision
        return True


async def _held(bucket: KeyValue, role: str) -> tuple[int, str] | None:
    """The lease's revision and its holder's mark (empty where none is told); None where it is free."""
    try:
        entry = await bucket.get(role)
    except nats.js.errors.KeyNotFoundError:
        return None
    mark = (entry.value or b"").decode(errors="replace").partition(" ")[2]
    # It becomes part of a subject, and whoever may write to the bucket has chosen it.
    return entry.revision or 0, mark if mark.isalnum() and mark.isascii() else ""
