"""Telemetry: every 2 s the node says, signed, how it is and what it holds. Also the clock of its breakers.

Guarantees: a beat never waits for another; what cannot be measured just now (a bus that is away) is left at its last
value. The first beat follows the first hello at once, so that a new node can be chosen, the next after a random part of
the interval, so that nodes that started together do not beat together; nor do those that lost one server together, and came back. What
would be said while the bus is away is not said: it would be old by the time that it came, and all nodes would send it at once.
"""

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Callable

import structlog

from bus.connection import Bus, Received
from bus.errors import BusError
from bus.messages import Goodbye, Telemetry
from bus.messages.node import SAFE_MODE_MAX
from bus.signing import GOODBYE, TELEMETRY, Identity
from bus.wire import encode
from workers.core import NodeCore
from workers.energy import EnergyMeter
from workers.vitals import Vitals, read_vitals

__all__ = ["Heartbeat", "measure_bandwidth_mbps"]

_log = structlog.get_logger("workers.heartbeat")

PINGS = 3
PING_BEATS = 5
"""The quickest ping of so many beats counts: under load a pong waits in the node's own queues, which is not the network's
latency, and a node must not go into safe mode because it is given work. A link that is slow is slow for every ping."""
HELD_MAX = 4096
"""The contract's limit on attempts listed."""
PROBE_BYTES = 64 * 1024
PROBES = 4
PROBE_TIMEOUT_S = 5.0


class Heartbeat:
    """The telemetry of one node; `before` is called ahead of each beat, `vitals` says how the machine is."""

    def __init__(
        self,
        *,
        bus: Bus,
        node: str,
        identity: Identity,
        core: NodeCore,
        meter: EnergyMeter,
        bandwidth_mbps: float,
        interval_s: float,
        before: Callable[[], None],
        vitals: Callable[[], Vitals] = read_vitals,
    ) -> None:
        self._bus = bus
        self._node = node
        self._identity = identity
        self._core = core
        self._meter = meter
        self.bandwidth_mbps = bandwidth_mbps
        self._interval_s = interval_s
        self._before = before
        self._vitals = vitals
        self._started_ms = time.time_ns() // 1_000_000
        self._begun_s = time.monotonic()
        self._safe_mode = ""
        self._beaten_s: float | None = None
        self._subject = bus.subjects.telemetry(node)
        self._now = asyncio.Event()
        self.newest: Vitals | None = None
        """What the last beat found of the machine."""
        self._pings_ms: deque[float] = deque(maxlen=PING_BEATS)
        vitals()  # the first reading of the processor's share has no interval behind it

    @property
    def age_s(self) -> float | None:
        """Seconds since the last beat, also of one that nobody could hear; None before the first."""
        return None if self._beaten_s is None else time.monotonic() - self._beaten_s

    def soon(self) -> None:
        """Beat at once; the next one follows after a random part of the interval."""
        self._now.set()

    async def run(self) -> None:
        """Beat for ever, beginning when `soon` is called for the first time."""
        await self._now.wait()
        while True:
            is_out_of_turn = self._now.is_set()
            self._now.clear()
            await self.beat()
            # Whoever was made to beat at once may not be the only one.
            share = random.random() if is_out_of_turn else 1.0  # noqa: S311 -- jitter
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval_s * share):
                    await self._now.wait()

    async def beat(self) -> None:
        """Measure, let the breakers decide, and publish."""
        self._before()
        vitals = self.newest = self._vitals()
        self._core.breakers.measured(
            time.monotonic(), latency_ms=await self._latency_ms(), temperature_c=vitals.temperature_c
        )
        self._tell_safe_mode()
        self._beaten_s = time.monotonic()
        await self._publish(self._identity.seal(TELEMETRY, [encode(self._telemetry(vitals))]))

    async def goodbye(self) -> None:
        """The last word of a node that leaves in order."""
        await self._publish(self._identity.seal(GOODBYE, [encode(Goodbye(node=self._node))]))

    async def _publish(self, body: bytes) -> None:
        if not self._bus.is_connected:
            return
        try:
            await self._bus.publish(self._subject, body)
        except BusError as error:
            _log.debug("nobody hears telemetry", reason=str(error))

    async def _latency_ms(self) -> float | None:
        if not self._bus.is_connected:
            return None
        try:
            self._pings_ms.append(min([await self._bus.round_trip_ms() for _ in range(PINGS)]))
        except BusError as error:
            _log.debug("latency not measured", reason=str(error))
            return None
        return min(self._pings_ms)

    def _tell_safe_mode(self) -> None:
        reason = self._core.breakers.reason
        if bool(reason) != bool(self._safe_mode):
            if reason:
                _log.warning("safe mode: no work is taken", reason=reason)
            else:
                _log.info("safe mode ended", was=self._safe_mode)
        self._safe_mode = reason

    def _telemetry(self, vitals: Vitals) -> Telemetry:
        core, meter = self._core, self._meter
        meter.update(time.monotonic())
        return Telemetry(
            node=self._node,
            at_ms=self._started_ms + int((time.monotonic() - self._begun_s) * 1000),
            cpu_free=vitals.cpu_free,
            memory_free=vitals.memory_free,
            latency_ms=round(core.breakers.latency_ms or 0.0, 3),
            bandwidth_mbps=self.bandwidth_mbps,
            temperature_c=vitals.temperature_c,
            battery=vitals.battery,
            open=core.held(HELD_MAX),
            energy_j=round(meter.total_j, 3),
            energy_method=meter.method,
            errors=core.breakers.errors,
            safe_mode=self._safe_mode[:SAFE_MODE_MAX],
            draining=core.draining,
            started_ms=self._started_ms,
        )


async def measure_bandwidth_mbps(bus: Bus) -> float:
    """How fast a few hundred KiB go through the bus and back to this node; 0 where that cannot be measured.

    The payload crosses the link once in each direction, so a link that is the same both ways is given half its rate.
    """
    arrived: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    count = 0

    async def on_probe(_: Received) -> None:
        nonlocal count
        count += 1
        if count == PROBES and not arrived.done():
            arrived.set_result(None)

    subject = bus.client.new_inbox()
    subscription = await bus.subscribe(subject, on_probe)
    try:
        await bus.round_trip_ms()  # the subscription is known to the server now
        begun = time.perf_counter()  # uvloop's own clock counts in whole milliseconds: none may have passed
        for _ in range(PROBES):
            await bus.publish(subject, bytes(PROBE_BYTES))
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            await arrived
        passed_s = time.perf_counter() - begun
    except (TimeoutError, BusError) as error:
        _log.warning("bandwidth not measured", reason=str(error) or "time-out", advice="set bandwidth_mbps")
        return 0.0
    finally:
        if bus.is_connected:
            await subscription.unsubscribe()
    return round(PROBES * PROBE_BYTES * 8 / 1_000_000 / passed_s, 1)
