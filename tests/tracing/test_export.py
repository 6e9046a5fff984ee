"""On the way to a collector: what OpenTelemetry's own protocol buffers read, and what becomes of a collector that is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.tracing.book import retried, told
from tests.tracing.collector import Collector
from tracing.errors import CollectorUnusable
from tracing.export import Exporter


@asynccontextmanager
async def sending(to: str, *, most: int = 1_000) -> AsyncIterator[Exporter]:
    exporter = Exporter(to, "c", most=most)
    running = asyncio.create_task(exporter.run())
    try:
        yield exporter
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_collector_reads_what_was_sent() -> None:
    """Each service has its own resource; ids, times in ns, parents and errors arrive as they are."""
    spans = told(retried(), [])
    async with Collector() as collector, sending(collector.url) as exporter:
        exporter.put(spans)
        await collector.wait_for(len(spans))

    got = {span.name + who: span for request in collector.requests for who, span in _spans(request)}
    assert set(got) == {"taskme", "decidec1", "runn1", "runn2", "runn3", "judgev1"}
    assert got["runn2"].trace_id.hex() == spans[0].trace
    assert got["taskme"].parent_span_id == b""
    assert got["judgev1"].parent_span_id == got["taskme"].span_id
    assert got["taskme"].end_time_unix_nano - got["taskme"].start_time_unix_nano == 200_000_000
    assert (got["runn1"].status.message, got["runn1"].status.code) == ("fault: engine", 2)
    assert exporter.lost == 0


def _spans(request: ExportTraceServiceRequest):
    for resource in request.resource_spans:
        names = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
        assert names["service.name"].startswith("ambient-")
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield names["service.instance.id"], span


async def test_a_collector_that_refuses_gets_it_later() -> None:
    """What failed is sent again, in order and once, when the collector takes it."""
    spans = told(retried(), [])
    async with Collector(refuse=1) as collector, sending(collector.url) as exporter:
        exporter.put(spans)
        async with asyncio.timeout(60):
            while exporter.sent < len(spans):
                await asyncio.sleep(0.02)

    assert collector.refused == 1
    assert len(collector.names) == len(spans)
    assert (exporter.sent, exporter.lost) == (len(spans), 0)


async def test_without_a_collector_the_oldest_are_lost_and_counted() -> None:
    """Up to a bound they wait; the end waits for nobody."""
    spans = told(retried(), [])
    exporter = Exporter("http://127.0.0.1:9", "c", most=5)
    exporter.put(spans)

    assert exporter.lost == len(spans) - 5
    await exporter.flush()
    assert exporter.lost == len(spans)


async def test_what_is_under_way_at_the_end_arrives_once() -> None:
    """Told to stop in the middle of a request, the exporter waits for that one and sends nothing twice."""
    spans = told(retried(), [])
    async with Collector() as collector:
        async with sending(collector.url) as exporter:
            exporter.put(spans)
            await collector.wait_for(len(spans))
        await exporter.flush()

    assert (exporter.sent, exporter.lost) == (len(spans), 0)
    assert len(collector.names) == len(spans)


@pytest.mark.parametrize("to", ["localhost:4318", "", "ftp://x", "http://"])
def test_an_address_that_is_none_is_refused(to: str) -> None:
    """With an example of one."""
    with pytest.raises(CollectorUnusable, match="http://localhost:4318"):
        Exporter(to, "c", most=1)
