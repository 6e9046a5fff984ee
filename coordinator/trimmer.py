"""Cutting the logs below what every fold has kept: done by the coordinator that leads, after each of its checkpoints.

Guarantees what `folds.trimming` does; here is only the asking and the cutting. A stale leader that cuts does no harm: what it asks of the
server is what the rules allow, whoever asks. Enrolments that would go are written anew first, and cut the next time.
"""

from collections.abc import Sequence

import nats.errors
import structlog

from bus.connection import Bus
from bus.errors import BusError, reason
from bus.streams import extent
from coordinator.core import Core
from folds.manifest import Manifest
from folds.store import folds_of, manifests_of
from folds.trimming import Mark, before, cuts, floors

__all__ = ["Trimmer", "forget"]

_log = structlog.get_logger("coordinator.trimmer")

_SLACK_MS = 3_600_000
"""What is finished stays known for so much longer than its id is taken, or twice as long where that is less: a submission may be read late."""


def forget(core: Core, marks: Sequence[Mark], now_ms: int, keep_ms: int) -> None:
    """Let go of what was finished so long before `now_ms` that its id has been free for a while; `marks` say what is how old."""
    core.ledger.finished.forget(before(marks, now_ms - keep_ms - min(_SLACK_MS, keep_ms), "verdicts"))


class Trimmer:
    """For one term. `keep_ms` is how long everything is kept."""

    def __init__(self, bus: Bus, core: Core, keep_ms: int) -> None:
        self._bus = bus
        self._core = core
        self._keep_ms = keep_ms

    async def trim(self, now_ms: int) -> dict[str, int]:
        """Cut what may be cut; the first sequence that each log was cut to. A bus that does not answer costs no more than the delay."""
        core = self._core
        forget(core, core.marks, now_ms, self._keep_ms)
        try:
            found = await self._cuts(now_ms)
            if core.enrol_again(found.get("assignments", 0)):
                found = {}  # what they were written behind is cut the next time, and nothing before it
            # VERDICTS last: until the others are cut, nothing that they say may be without its verdict.
            for log in sorted(found, key=lambda log: log == "verdicts"):
                await self._bus.js.purge_stream(self._bus.subjects.stream(log), seq=found[log])
            core.verdicts_from = max(core.verdicts_from, found.get("verdicts", 0))
        except (TimeoutError, nats.errors.Error, BusError) as error:
            _log.warning("the logs were not cut this time", reason=reason(error))
            return {}
        if found:
            _log.info("logs cut", first=found)
        return found

    async def _cuts(self, now_ms: int) -> dict[str, int]:
        core = self._core
        kept: dict[str, list[Manifest]] = {
            fold: [manifest for _, manifest in await manifests_of(self._bus, fold)]
            for fold in await folds_of(self._bus)
        }
        reached = floors(kept)
        if reached is None:
            return {}
        # Without a checkpoint of its own an anchor would not know any more what was signed: until there is one, nothing of ANCHORS goes.
        logs = [log for log in core.positions if log != "anchors" or "anchor" in kept]
        extents = {log: await extent(self._bus, log) for log in logs}
        core.verdicts_from = extents["verdicts"].first
        return cuts(
            core.marks,
            now_ms,
            self._keep_ms,
            extents=extents,
            floors=reached,
            oldest_open=min((task.source[0] for task in core.ledger.open.values()), default=0),
        )
