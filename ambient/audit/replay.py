"""Reading a cluster's logs into an audit, without disturbing it: nothing is written, no service is asked.

Guarantees no false alarm on a cluster at work. What the logs held when the audit began is read, and no more. Their ends are asked for
against the stream of causes: VERDICTS first, then RESULTS, ASSIGNMENTS and TASKS, so that whatever a line that is read rests on is
read, too. What is newer than a verdict that is read is at worst an open task.
"""

import asyncio
import time

import nats.errors
import nats.js.errors

from ambient.audit.core import Audit
from ambient.audit.findings import Report
from bus.connection import Bus
from bus.errors import BusUnavailable, Trimmed, reason
from bus.reader import Entry, LogReader
from bus.streams import KEEP_MS, extent
from bus.subjects import LOGS

__all__ = ["audit"]

_LOOK_AGAIN_S = 3.0
"""How long nothing comes before it is asked whether what is waited for was trimmed or deleted."""


async def audit(bus: Bus, *, retention_ms: int = KEEP_MS) -> Report:
    """Audit the cluster of `bus`. Raises `StreamMissing` where there is none, `BusUnavailable` if it cannot be read."""
    found = Audit(retention_ms=retention_ms)
    spans = {log: (await extent(bus, log))[:2] for log in reversed(LOGS)}
    for log in LOGS:
        first, last = spans[log]
        found.spans(log, first, last)
        await _read(bus, found, log, first, last)
    for log in LOGS:  # what was trimmed while it was read is neither missing nor a hole
        found.spans(log, (await extent(bus, log)).first, spans[log][1])
    return found.report(now_ms=int(time.time() * 1000))


async def _read(bus: Bus, found: Audit, log: str, first: int, last: int) -> None:
    def fold(entry: Entry) -> None:
        if entry.sequence <= last:
            found.fold(log, entry)

    while first <= last:
        reader = LogReader(bus, log, fold, start=first)
        reader.start()
        try:
            await _read_to(bus, reader, log, last)
            first = last + 1
        except Trimmed:  # meanwhile: go on with what is left
            first = max(reader.position + 1, (await extent(bus, log)).first)
        finally:
            await reader.stop()


async def _read_to(bus: Bus, reader: LogReader, log: str, last: int) -> None:
    while reader.position < last:
        position = reader.position
        try:
            async with asyncio.timeout(_LOOK_AGAIN_S):
                await reader.reached(last)
        except TimeoutError:
            if reader.position == position and not await _holds(bus, log, last):
                return  # nothing will come: the audit says whether it was trimmed, or is missing


async def _holds(bus: Bus, log: str, sequence: int) -> bool:
    """Whether the log still has that message."""
    stream = bus.subjects.stream(log)
    try:
        await bus.js.get_msg(stream, seq=sequence)
    except nats.js.errors.NotFoundError:
        return False
    except (TimeoutError, nats.errors.Error) as error:
        raise BusUnavailable(f"cannot read {stream}: try `ambient doctor` ({reason(error)})") from None
    return True
