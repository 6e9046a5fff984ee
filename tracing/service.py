"""The process that reads the logs from now on and sends the spans of what ends; it keeps nothing, and any number may run."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

import structlog

from bus.connection import Bus
from bus.errors import Trimmed
from bus.reader import Entry, LogReader
from bus.steps import STEPS
from bus.streams import last_sequences
from bus.subjects import LOGS
from bus.terms import first_of, until_told
from tracing.core import Core
from tracing.export import Exporter
from tracing.settings import TracingSettings
from tracing.steps import tell

__all__ = ["run"]

_log = structlog.get_logger("tracing")

_TAKE_EVERY_S = 0.25


async def run(settings: TracingSettings, *, stop: asyncio.Event | None = None) -> None:
    """Trace until `stop` is set, or a signal comes where no `stop` is given.

    Waits for ever for a bus that is away. Raises `CollectorUnusable` for an address that is none, `StreamMissing` where there is no cluster.
    """
    exporter = Exporter(settings.to, settings.cluster, most=settings.most_spans)
    try:
        await until_told(_serve(settings, exporter), stop)
    finally:
        await exporter.flush()
    _log.info("stopped", sent=exporter.sent, lost=exporter.lost)


async def _serve(settings: TracingSettings, exporter: Exporter) -> None:
    async with await Bus.connect(
        settings.url, cluster=settings.cluster, name="ambient trace", timeout_s=None
    ) as bus:
        while True:
            core = Core(settings.cluster, share=settings.share)
            try:
                await _follow(bus, core, exporter)
            except Trimmed as error:
                _log.warning(
                    "the logs were cut before they were read: going on with what comes", reason=str(error)
                )


async def _follow(bus: Bus, core: Core, exporter: Exporter) -> None:
    ends = await last_sequences(bus, LOGS)
    readers = {log: LogReader(bus, log, _fold(core, log), start=ends[log] + 1) for log in LOGS}
    async with AsyncExitStack() as stack:
        for reader in readers.values():
            stack.push_async_callback(reader.stop)
            reader.start()
        _log.info("tracing", behind=ends)
        await first_of(
            _take(core, exporter), exporter.run(), *(reader.ended() for reader in readers.values())
        )


def _fold(core: Core, log: str) -> Callable[[Entry], None]:
    def fold(entry: Entry) -> None:
        core.fold(log, entry, _now_ms())

    return fold


async def _take(core: Core, exporter: Exporter) -> None:
    while True:
        await asyncio.sleep(_TAKE_EVERY_S)
        spans = core.take(_now_ms())
        exporter.put(spans)
        if STEPS.on:
            for span in spans:
                tell(span)


def _now_ms() -> int:
    return int(time.monotonic() * 1000)
