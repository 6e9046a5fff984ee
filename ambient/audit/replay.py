"""Reading a cluster's logs into an audit, without disturbing it: nothing is written, no service is asked.

Guarantees no false alarm on a cluster at work. What the logs held when the audit began is read, and no more. Their ends are asked for
against the stream of causes: VERDICTS first, then RESULTS, ASSIGNMENTS and TASKS, so that whatever a line that is read rests on is
read, too. What is newer than a verdict that is read is at worst an open task.
"""

import time

from ambient.audit.core import RETENTION_MS, Audit
from ambient.audit.findings import Report
from bus.connection import Bus
from bus.reader import Entry, LogReader
from bus.streams import bounds
from bus.subjects import LOGS

__all__ = ["audit"]


async def audit(bus: Bus, *, retention_ms: int = RETENTION_MS) -> Report:
    """Audit the cluster of `bus`. Raises `StreamMissing` where there is none, `BusUnavailable` if it cannot be read."""
    found = Audit(retention_ms=retention_ms)
    ends = {log: await bounds(bus, log) for log in reversed(LOGS)}
    for log in LOGS:
        first, last = ends[log]
        await _read(bus, found, log, first, last)
    for log in LOGS:  # what was trimmed while it was read is neither missing nor a hole
        found.trimmed(log, (await bounds(bus, log))[0])
    return found.report(now_ms=int(time.time() * 1000))


async def _read(bus: Bus, found: Audit, log: str, first: int, last: int) -> None:
    def fold(entry: Entry) -> None:
        if entry.sequence <= last:
            found.fold(log, entry)

    found.trimmed(log, first)
    reader = LogReader(bus, log, fold, start=first)
    reader.start()
    try:
        await reader.reached(last)
    finally:
        await reader.stop()
