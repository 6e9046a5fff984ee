"""Looks at the backlog of a leader, once a moment, and has the gate before TASKS shut or opened accordingly.

Guarantees that the gate is brought to where it should be whatever an earlier leader left or a stale one did, and that a gate which
cannot be moved (a user who may not change streams) costs no more than a complaint: then the full log itself refuses in the end.
A term that ends leaves the gate as it is: while nobody works, a cluster that was full stays full.
"""

import asyncio
from collections.abc import Callable

import structlog

from bus.connection import Bus
from bus.errors import BusError
from bus.gate import open_gate, shut_gate, survey
from coordinator.core import Core
from coordinator.load import Held, Load

__all__ = ["Gatekeeper"]

_log = structlog.get_logger("coordinator.gate")


class Gatekeeper:
    """Run it beside a leadership; `clock` gives milliseconds."""

    def __init__(self, bus: Bus, core: Core, load: Load, clock: Callable[[], int], every_s: float) -> None:
        self._bus = bus
        self._core = core
        self._load = load
        self._clock = clock
        self._every_s = every_s
        self._shut = False
        self._complaint = ""

    async def run(self) -> None:
        """Keep the gate, for ever."""
        while True:
            try:
                await self._look()
                self._complaint = ""
            except BusError as error:
                if str(error) != self._complaint:
                    _log.warning("the gate before TASKS cannot be kept", reason=str(error))
                self._complaint = str(error)
            await asyncio.sleep(self._every_s)

    async def _look(self) -> None:
        log = await survey(self._bus)
        core, load = self._core, self._load
        held = Held(len(core.ledger.open), core.ledger.bytes_open, core.queue.hopeless)
        load.look(self._clock(), log, core.positions["tasks"], held)
        if load.is_over and (log.is_open or not self._shut):
            await shut_gate(self._bus)
            self._shut = True
            _log.warning(
                "full: no new tasks are taken", reason=load.full, retry_after_s=round(load.retry_after_s, 1)
            )
        elif not load.is_over and not log.is_open:
            await open_gate(self._bus)
            self._shut = False
            _log.info("new tasks are taken again", backlog=load.backlog)
