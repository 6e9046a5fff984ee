"""Coordinators of one cluster that are set up differently where they must not be: found and said, by each of them.

For how long an id stands for its verdict (`--keep-hours`) decides what a submission means. Two coordinators that differ there
fold the same logs to different states, and an id is taken or free by who happens to lead. Nothing fails at that moment, so it must
be looked for. What is done about it is an operator's: it is logged once for each difference, and `ambient doctor` finds it.
"""

import asyncio
from collections.abc import Iterable

import structlog

from bus.connection import Bus
from bus.errors import BusError
from bus.messages import ServiceHealth

__all__ = ["Peers", "other_retentions"]

_log = structlog.get_logger("coordinator.peers")
_EVERY_S = 60.0


def other_retentions(instances: Iterable[ServiceHealth], keep_ms: int) -> dict[str, int]:
    """Whose ids stand for their verdicts for another time than `keep_ms`, and for how long; who does not say is left out."""
    return {each.name: each.keep_ms for each in instances if each.keep_ms not in (0, keep_ms)}


class Peers:
    """Looks at the others now and then, for one term."""

    def __init__(self, bus: Bus, keep_ms: int, every_s: float = _EVERY_S) -> None:
        self._bus = bus
        self._keep_ms = keep_ms
        self._every_s = every_s
        self._said: dict[str, int] = {}

    async def watch(self) -> None:
        """Look for ever; a bus that does not answer is asked again the next time."""
        while True:
            try:
                await self._look()
            except BusError as error:
                _log.debug("other coordinators were not asked", reason=str(error))
            await asyncio.sleep(self._every_s)

    async def _look(self) -> None:
        subject = self._bus.subjects.service("coordinator", "instances")
        others = other_retentions(await self._bus.request_each(subject, b"{}", ServiceHealth), self._keep_ms)
        if others and others != self._said:
            _log.warning(
                "coordinators keep verdicts for different times: start all with the same --keep-hours",
                keep_hours=self._keep_ms / 3_600_000,
                others={name: keep_ms / 3_600_000 for name, keep_ms in sorted(others.items())},
            )
        self._said = others
