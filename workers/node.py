"""One node from its start to its end: wires the parts together, and ends in order.

Guarantees: `run_node` returns an exit code of `workers.errors` and leaves no process behind. The first signal drains: what is not begun is handed back, what runs finishes, every claim gets into RESULTS. So does the
coordinator's word, after which the node stays without work where it says so (`workers.rest`).
The same signal again, or the time-out, ends at once; claims that are not durable then wait in the outbox.
"""

import asyncio
import contextlib
import fcntl
import os
import signal
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

import structlog

from bus.connection import Bus
from bus.errors import BadSignature, Malformed
from bus.messages import Drain
from bus.signing import Identity
from bus.terms import patient_collector
from metrics.errors import AddressTaken
from metrics.page import exposed
from metrics.process import process
from sandbox.errors import PoolBroken, UnsafeStore
from sandbox.pool import Pool
from sandbox.store import ModuleStore
from workers.core import NodeCore
from workers.energy import EnergyMeter, find_source
from workers.enrolment import Enrolment
from workers.errors import (
    EXIT_CUT_SHORT,
    EXIT_DRAINED,
    BadSettings,
    DataInUse,
    NodeError,
    SandboxUnfit,
)
from workers.executor import Executor
from workers.heartbeat import Heartbeat, measure_bandwidth_mbps
from workers.metrics import Parts
from workers.metrics import node as metrics
from workers.outbox import Outbox
from workers.rest import Rest
from workers.settings import NodeSettings, Resolved
from workers.status import Status, starting, told

__all__ = ["StopSwitch", "run_node"]

_log = structlog.get_logger("workers.node")


class StopSwitch:
    """Asks a node to end: `drain` is set first, `now` when that is not to be waited for."""

    def __init__(self) -> None:
        self.drain = asyncio.Event()
        self.now = asyncio.Event()
        self._heard: set[int] = set()

    def pull(self, source: int = 0) -> None:
        """Drain; the second pull from the same source ends at once.

        Two sources count as one request: a terminal's ctrl-C reaches a whole process group, whose parent then sends
        SIGTERM as well, and nobody meant to interrupt the drain.
        """
        if source in self._heard:
            self.now.set()
        self._heard.add(source)
        self.drain.set()


async def run_node(settings: NodeSettings, *, stop: StopSwitch | None = None) -> int:
    """Run a node until it is asked to end; returns its exit code (see `workers.errors`).

    Without `stop`, SIGTERM and SIGINT are its switch.
    """
    try:
        with contextlib.ExitStack() as resources:
            switch = stop or resources.enter_context(_signals())
            resources.enter_context(_data_folder(settings.data))
            resources.enter_context(patient_collector())
            return await _run(settings, switch)
    except NodeError as error:
        _log.error("the node ends", reason=str(error), exit_code=error.exit_code)
        return error.exit_code


@contextlib.contextmanager
def _signals() -> Iterator[StopSwitch]:
    switch = StopSwitch()
    loop = asyncio.get_running_loop()
    caught = (signal.SIGTERM, signal.SIGINT)
    for each in caught:
        loop.add_signal_handler(each, switch.pull, each)
    try:
        yield switch
    finally:
        for each in caught:
            loop.remove_signal_handler(each)


@contextlib.contextmanager
def _data_folder(data: Path) -> Iterator[None]:
    """Make the folder and hold it: two processes would answer in one name and share one outbox."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BadSettings(
            "data", f"{data} cannot be used ({error.strerror}): choose a folder of your own"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise DataInUse(
            f"another node runs in {data}: stop it, or give this one a data folder of its own"
        ) from None
    try:
        yield
    finally:
        os.close(lock)


async def _run(settings: NodeSettings, switch: StopSwitch) -> int:
    try:
        identity = Identity.load(settings.data / "identity")
    except (BadSignature, OSError) as error:
        raise BadSettings("data", str(error)) from None
    resolved = Resolved.of(settings, identity.key)
    _log.info("node starts", node=resolved.node, key=identity.key[:16], slots=resolved.capabilities.slots)
    if resolved.fault:
        _log.warning("FAULT SWITCH IS ON: this node misbehaves on purpose", fault=str(resolved.fault))
    node: Node | None = None

    def status() -> Status:
        return starting(resolved.node, resolved.capabilities.slots) if node is None else node.status()

    async with told(settings.data, status):
        bus = await _unless(switch.drain, _connect(settings, resolved.node, identity))
        if bus is None:
            return EXIT_DRAINED
        async with bus, _pool(settings.data / "modules", resolved.capabilities.slots) as (pool, store):
            outbox = Outbox(settings.data / "outbox")
            try:
                node = Node(resolved, identity, bus, pool=pool, store=store, outbox=outbox)
                return await node.run(switch)
            finally:
                outbox.close()


async def _connect(settings: NodeSettings, node: str, identity: Identity) -> Bus:
    """Where servers know their users by keys, the node's own is its user's, too."""
    try:
        return await Bus.connect(
            settings.url, cluster=settings.cluster, name=f"node {node}", timeout_s=None, identity=identity
        )
    except Malformed as error:
        raise BadSettings(error.field, error.limit) from None


@contextlib.asynccontextmanager
async def _pool(modules: Path, slots: int) -> AsyncIterator[tuple[Pool, ModuleStore]]:
    try:
        store = ModuleStore(modules)
        pool = Pool(store, slots)
        await pool.start()
    except (PoolBroken, UnsafeStore, OSError) as error:
        raise SandboxUnfit(f"guests cannot be run here: {error}") from None
    try:
        yield pool, store
    finally:
        await pool.close()


async def _unless[T](event: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of `work`, or None (and `work` cancelled) if `event` is set first."""
    doing = asyncio.create_task(work)
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait((doing, waiting), return_when=asyncio.FIRST_COMPLETED)
        return doing.result() if doing.done() else None
    finally:
        for each in (doing, waiting):
            each.cancel()
        await asyncio.gather(doing, waiting, return_exceptions=True)


class Node:
    """The parts of a node whose bus, pool and outbox are there."""

    def __init__(
        self,
        resolved: Resolved,
        identity: Identity,
        bus: Bus,
        *,
        pool: Pool,
        store: ModuleStore,
        outbox: Outbox,
    ) -> None:
        given, capabilities = resolved.given, resolved.capabilities
        self._settings = given
        self._node = resolved.node
        self._bus = bus
        self._is_enrolled = False
        self._asked_to_drain = asyncio.Event()
        self._core = NodeCore(slots=capabilities.slots, memory_mb=capabilities.memory_mb)
        meter = EnergyMeter(find_source(given.idle_watts, given.max_watts), time.monotonic())
        self._meter, self._pool, self._slots = meter, pool, capabilities.slots
        self._enrolment = Enrolment(bus, identity, resolved.node, capabilities, on_enrolled=self._on_enrolled)
        self._executor = Executor(
            bus=bus,
            node=resolved.node,
            identity=identity,
            core=self._core,
            pool=pool,
            store=store,
            outbox=outbox,
            meter=meter,
            fault_switch=resolved.fault,
            on_enrol=self._enrolment.again,
            on_drain=self._on_drain,
            on_undrain=self._on_undrain,
        )
        self._rest = Rest(give_up=self._give_up, default_s=given.drain_s)
        self._heartbeat = Heartbeat(
            bus=bus,
            node=resolved.node,
            identity=identity,
            core=self._core,
            meter=meter,
            bandwidth_mbps=given.bandwidth_mbps or 0.0,
            interval_s=given.telemetry_s,
            before=self._executor.heal,
        )

    async def run(self, switch: StopSwitch) -> int:
        """Work until asked to end."""
        given = self._settings
        sources = process("node", given.data), metrics(self._parts)
        try:
            async with exposed(given.metrics_port, *sources, host=given.metrics_host):
                return await self._work(switch)
        except AddressTaken as error:
            raise BadSettings("metrics", str(error)) from None

    async def _work(self, switch: StopSwitch) -> int:
        self._executor.start()
        subscription = await self._bus.subscribe(
            self._bus.subjects.assign(self._node), self._executor.on_message
        )
        if self._settings.bandwidth_mbps is None:
            self._heartbeat.bandwidth_mbps = await measure_bandwidth_mbps(self._bus)
        services = [
            asyncio.create_task(self._enrolment.run(), name="enrolment"),
            asyncio.create_task(self._heartbeat.run(), name="heartbeat"),
            asyncio.create_task(self._executor.writer.ended(), name="results"),
        ]
        try:
            await self._until_asked(switch, services)
            return await self._drain(switch)
        finally:
            for service in services:
                service.cancel()
            await asyncio.gather(*services, return_exceptions=True)
            await self._executor.close()
            if self._bus.is_connected:
                await subscription.unsubscribe()

    def status(self) -> Status:
        """How the node is at this moment."""
        core = self._core
        return starting(self._node, self._slots) | {
            "connected": self._bus.is_connected,
            "enrolled": self._is_enrolled,
            "state": "draining" if core.draining else "safe" if core.breakers.reason else "works",
            "reason": core.breakers.reason,
            "open": core.open_count,
            "beat_age_s": self._heartbeat.age_s,
        }

    @property
    def _parts(self) -> Parts:
        return Parts(
            core=self._core,
            figures=self._executor.figures,
            meter=self._meter,
            slots=self._slots,
            backlog=lambda: self._executor.writer.backlog,
            spent=self._pool.work,
            vitals=lambda: self._heartbeat.newest,
        )

    def _on_enrolled(self) -> None:
        self._is_enrolled = True
        self._heartbeat.soon()

    def _on_drain(self, word: Drain) -> None:
        """The operator wants the node to take no more work: to end, or to stay without any."""
        if not word.stay:
            self._asked_to_drain.set()
            return
        if self._core.leaving:
            return
        if self._rest.begin(word.finish_ms):
            _log.info("draining, and staying", node=self._node, open=self._core.open_count)
            self._executor.drain(leaving=False)
            self._heartbeat.soon()

    def _on_undrain(self) -> None:
        self._rest.end()
        self._core.undrain()
        self._heartbeat.soon()
        _log.info("taking work again", node=self._node)

    def _give_up(self) -> None:
        if not self._core.is_idle:
            _log.warning("handing back what did not finish in time", attempts=self._core.open_count)
            self._executor.hand_back_all()
            self._heartbeat.soon()

    async def _until_asked(self, switch: StopSwitch, services: list[asyncio.Task[None]]) -> None:
        asked = [asyncio.create_task(event.wait()) for event in (switch.drain, self._asked_to_drain)]
        try:
            await asyncio.wait([*asked, *services], return_when=asyncio.FIRST_COMPLETED)
            for service in services:
                if service.done():
                    service.result()  # raises what ended it
        finally:
            for each in asked:
                each.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    async def _drain(self, switch: StopSwitch) -> int:
        _log.info("draining", node=self._node, open=self._core.open_count)
        self._rest.end()
        self._executor.drain(leaving=True)
        self._heartbeat.soon()
        if not await _unless(switch.now, self._finish()):
            _log.warning("cut short", open=self._core.open_count, unsent=self._executor.writer.backlog)
            await self._leave()
            return EXIT_CUT_SHORT
        await self._leave()
        _log.info("drained", node=self._node)
        return EXIT_DRAINED

    async def _leave(self) -> None:
        """Say goodbye: what is still open here is assigned to others at once, and not only once the silence is noticed."""
        if self._bus.is_connected:
            await self._heartbeat.goodbye()

    async def _finish(self) -> bool:
        try:
            async with asyncio.timeout(self._settings.drain_s):
                await self._executor.quiet()
        except TimeoutError:
            return False
        return True
