"""Does to the processes what the plan says, and undoes it.

Guarantees that whatever was done is undone, also when the plan is cut short, and that what could not be done is counted as that.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import nats.errors
import psutil

from bus.connection import Bus
from bus.errors import BusError
from bus.messages import ServiceHealth
from tests.chaos.plan import EVERYBODY, LEADERS, Fault, Plan
from tests.chaos.world import CLUSTER, World
from tests.system.proxy import Proxy, Way

__all__ = ["Strike", "Striker"]

_TRY_AGAIN_S = 0.2
_GIVE_UP_S = 30.0
_LED_S = 10.0
_ROOM = 2_000
"""Bytes that a full log still takes."""
_SIGNALS = {
    "kill": signal.SIGKILL,
    "kill-all": signal.SIGKILL,
    "kill-leader": signal.SIGKILL,
    "terminate": signal.SIGTERM,
    "server-kill": signal.SIGKILL,
    "server-stop": signal.SIGTERM,
}
_HELD: dict[str, tuple[Way, ...]] = {"mute": ("there", "back"), "deaf": ("back",), "dumb": ("there",)}


@dataclass(slots=True)
class Strike:
    """A fault that struck, on the machine's monotonic clock, and whom it hit."""

    fault: Fault
    began_s: float
    ended_s: float
    victims: tuple[str, ...]


@dataclass(slots=True)
class Striker:
    """Plays a plan on a world; `say` is told as it happens."""

    world: World
    say: Callable[[str], None]
    strikes: list[Strike] = field(default_factory=list)
    missed: Counter[str] = field(default_factory=Counter)
    """Faults by kind that found nobody, or that this machine does not give."""
    _bus: Bus | None = None
    _begun_s: float = 0.0

    async def play(self, plan: Plan) -> None:
        """Until the plan's time is over and everything is undone."""
        self._begun_s = time.monotonic()
        async with (
            await Bus.connect(self.world.nats, cluster=CLUSTER, name="chaos", timeout_s=None) as self._bus,
            asyncio.TaskGroup() as group,
        ):
            for fault in plan.faults:
                await asyncio.sleep(max(0.0, self._begun_s + fault.at_s - time.monotonic()))
                group.create_task(self._strike(fault))
            await asyncio.sleep(max(0.0, self._begun_s + plan.seconds - time.monotonic()))

    async def _strike(self, fault: Fault) -> None:
        if fault.kind in self.world.unavailable:
            self.missed[fault.kind] += 1
            return
        began_s = time.monotonic()
        async with self._done(fault) as victims:
            if not victims:
                self.missed[fault.kind] += 1
                return
            named = "" if fault.target in victims else f" ({', '.join(victims)})"
            self.say(f"{began_s - self._begun_s:7.1f} s  {fault}{named}")
            await asyncio.sleep(fault.span_s)
        self.strikes.append(Strike(fault, began_s, time.monotonic(), victims))

    def _done(self, fault: Fault) -> contextlib.AbstractAsyncContextManager[tuple[str, ...]]:
        """Within it, it is done; it has whom it hit."""
        ways = {
            "pause": self._paused,
            "server-pause": self._paused,
            "kill-slot": self._slot,
            "twin": self._doubled,
            "server-part": self._parted,
            "full": self._full,
            "disk": self._disk,
            "clock": self._clock,
            **dict.fromkeys(("reset", "cut", "mute", "deaf", "dumb", "delay"), self._link),
        }
        return ways.get(fault.kind, self._signalled)(fault)

    @contextlib.asynccontextmanager
    async def _signalled(self, fault: Fault) -> AsyncIterator[tuple[str, ...]]:
        victims = [name for name in await self._victims(fault.target) if self._alive(name)]
        for name in victims:
            self.world.kill(name, _SIGNALS[fault.kind])
        yield tuple(victims)

    async def _victims(self, target: str) -> list[str]:
        if target == EVERYBODY:
            return [name for name, each in self.world.running.items() if each.plan.role != "server"]
        for role, leader in LEADERS.items():
            if target == leader:
                return [name for name in [await self._leader(role)] if name]
        return [target]

    async def _leader(self, role: str) -> str:
        """Who leads, as soon as somebody does; empty where nobody says so for a while."""
        assert self._bus is not None
        subject = self._bus.subjects.service(role, "health")
        until_s = time.monotonic() + _LED_S
        while time.monotonic() < until_s:
            with contextlib.suppress(BusError):
                for said in await self._bus.request_each(subject, b"{}", ServiceHealth):
                    if said.leading:
                        return said.name
            await asyncio.sleep(_TRY_AGAIN_S)
        return ""

    def _alive(self, name: str) -> bool:
        return name in self.world.running and self.world.running[name].pid is not None

    @contextlib.asynccontextmanager
    async def _paused(self, fault: Fault) -> AsyncIterator[tuple[str, ...]]:
        pid = self.world.running[fault.target].pid
        if pid is None:
            yield ()
            return
        os.kill(pid, signal.SIGSTOP)
        try:
            yield (fault.target,)
        finally:
            with contextlib.suppress(ProcessLookupError):  # it may have been killed meanwhile
                os.kill(pid, signal.SIGCONT)

    @contextlib.asynccontextmanager
    async def _slot(self, fault: Fault) -> AsyncIterator[tuple[str, ...]]:
        pid = self.world.running[fault.target].pid
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(pid).children() if pid is not None else ():
                child.kill()
                yield (fault.target,)
                return
        yield ()

    @contextlib.asynccontextmanager
    async def _doubled(self, fault: Fault) -> AsyncIterator[tuple[str, ...]]:
        twin = await self.world.twin(fault.target)
        try:
            yield (fault.target,)
        finally:
            if twin.returncode is None:
                twin.kill()
            await twin.wait()

    @contextlib.asynccontextmanager
    async def _link(self, fault: Fault) -> AsyncIterator[tuple[str, ...]]:
        for proxy in self.world.links[fault.target]:
            _disturb(proxy, fault)
        try:
            yield (fault.target,)
        finally:
            for proxy in self.world.links[fault.target]:
                _restore(proxy, fault)

    @contextlib.asynccontextmanager
    async def _parted(self, fault: Fault) -> AsyncIterator[tuple[str, ...]]:
        assert self.world.routes is not None
        self.world.routes.cut_off(fault.target)
        try:
            yield (fault.target,)
        finally:
            self.world.routes.mend()

    @contextlib.asynccontextmanager
    async def _full(self, fault: Fault) -> AsyncIterator[tuple[str, ...]]:
        before: list[int] = []

        def shut(config: Any, held: int) -> Any:
            before.append(config.max_bytes)
            return config.evolve(max_bytes=held + _ROOM)

        try:
            yield (fault.target,) if await self._configure(fault.target, shut) else ()
        finally:
            while before and not await self._configure(
                fault.target, lambda config, _: config.evolve(max_bytes=before[0])
            ):
                self.say(f"           {fault.target} cannot be given room yet")

    async def _configure(self, log: str, change: Callable[[Any, int], Any]) -> bool:
        """Change a stream's settings, as soon as a server answers; whether that was within half a minute."""
        assert self._bus is not None
        until_s = time.monotonic() + _GIVE_UP_S
        while time.monotonic() < until_s:
            try:
                info = await self._bus.js.stream_info(self.world.stream(log))
                await self._bus.js.update_stream(change(info.config, info.state.bytes))
            except (TimeoutError, nats.errors.Error):
                await asyncio.sleep(_TRY_AGAIN_S)
            else:
                return True
        return False

    @contextlib.asynccontextmanager
    async def _disk(self, fault: Fault) -> AsyncIterator[tuple[str, ...]]:
        disk = self.world.disks[fault.target]
        await asyncio.to_thread(disk.fill)
        try:
            yield (fault.target,)
        finally:
            disk.free()

    @contextlib.asynccontextmanager
    async def _clock(self, fault: Fault) -> AsyncIterator[tuple[str, ...]]:
        assert self.world.clocks is not None
        self.world.clocks.put(fault.target, fault.amount)
        try:
            yield (fault.target,)
        finally:
            self.world.clocks.put(fault.target, 0.0)


def _disturb(proxy: Proxy, fault: Fault) -> None:
    match fault.kind:
        case "reset":
            proxy.reset()
        case "cut":
            proxy.cut()
        case "delay":
            proxy.delay_s = fault.amount
        case kind:
            proxy.hold(*_HELD[kind])


def _restore(proxy: Proxy, fault: Fault) -> None:
    match fault.kind:
        case "reset":
            pass
        case "cut":
            proxy.mend()
        case "delay":
            proxy.delay_s = 0.0
        case kind:
            proxy.let_go(*_HELD[kind])
