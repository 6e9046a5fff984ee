"""Spans on their way to a collector by OTLP over HTTP, with OpenTelemetry's own exporter.

Guarantees that a collector which is slow or away costs memory up to a bound and then the oldest spans, counted; and nobody else anything.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from urllib.parse import urlsplit

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from tracing.errors import CollectorUnusable
from tracing.spans import Span

__all__ = ["Exporter"]

_log = structlog.get_logger("tracing")

_AT_ONCE = 512
_TIMEOUT_S = 10.0
_RETRY_S = 1.0
_RETRY_MOST_S = 30.0
_MOST_RESOURCES = 10_000
_SCOPE = InstrumentationScope("ambient-vcp")
_KINDS = {"client": SpanKind.CLIENT, "node": SpanKind.CONSUMER}


class Exporter:
    """`put` spans, and `run` beside; `lost` counts those that no collector took in time. Raises `CollectorUnusable` for a bad address."""

    def __init__(self, to: str, cluster: str, *, most: int) -> None:
        at = urlsplit(to)
        if at.scheme not in ("http", "https") or not at.hostname:
            raise CollectorUnusable(
                f"{to!r} is no address of a collector: give one like http://localhost:4318"
            )
        path = "" if at.path.endswith("/v1/traces") else "/v1/traces"
        self._exporter = OTLPSpanExporter(endpoint=to.rstrip("/") + path, timeout=_TIMEOUT_S)
        # It tells of every failure itself, at length; `run` says it once.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._to = to
        self._cluster = cluster
        self._most = most
        self._waiting: deque[Span] = deque()
        self._resources: dict[tuple[str, str], Resource] = {}
        self._moved = asyncio.Event()
        self._under_way: asyncio.Task[bool] | None = None
        self.lost = 0
        self.sent = 0

    def __repr__(self) -> str:
        """Where to, and how much."""
        return f"Exporter({self._to}, waiting={len(self._waiting)}, sent={self.sent}, lost={self.lost})"

    def put(self, spans: Iterable[Span]) -> None:
        """Send these when the collector takes them."""
        self._waiting.extend(spans)
        while len(self._waiting) > self._most:
            self._waiting.popleft()
            self.lost += 1
        if self._waiting:
            self._moved.set()

    async def run(self) -> None:
        """Send for ever, in order; what failed is tried again, ever less often."""
        retry_s = 0.0
        while True:
            await self._moved.wait()
            self._under_way = asyncio.create_task(self._send())
            if await asyncio.shield(self._under_way):
                retry_s = 0.0
                continue
            if not retry_s:
                _log.warning("the collector takes no spans: trying again", to=self._to, lost=self.lost)
            retry_s = min(_RETRY_MOST_S, 2 * retry_s or _RETRY_S)
            await asyncio.sleep(retry_s)

    async def flush(self) -> None:
        """Once `run` has ended: let what is under way arrive and send the rest, once; nobody waits for a collector that is away."""
        if self._under_way is not None:
            await self._under_way
        while self._waiting:
            if not await self._send():
                self.lost += len(self._waiting)
                self._waiting.clear()

    async def _send(self) -> bool:
        """Send the oldest; whether they were taken. If not, they wait as before."""
        batch = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
        if not self._waiting:
            self._moved.clear()
        told = await asyncio.to_thread(self._exporter.export, [self._readable(span) for span in batch])
        if told is SpanExportResult.SUCCESS:
            self.sent += len(batch)
            return True
        self._waiting.extendleft(reversed(batch))
        self.put(())
        return False

    def _readable(self, span: Span) -> ReadableSpan:
        failed = Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.OK)
        return ReadableSpan(
            name=span.name,
            context=_context(span.trace, span.id),
            parent=_context(span.trace, span.parent) if span.parent else None,
            resource=self._resource(span.service, span.instance),
            attributes=span.attributes,
            kind=_KINDS.get(span.service, SpanKind.INTERNAL),
            status=failed,
            start_time=span.begin_ms * 1_000_000,
            end_time=max(span.begin_ms, span.end_ms) * 1_000_000,
            instrumentation_scope=_SCOPE,
        )

    def _resource(self, service: str, instance: str) -> Resource:
        if len(self._resources) > _MOST_RESOURCES:
            self._resources.clear()
        key = (service, instance)
        if key not in self._resources:
            names = {"service.name": f"ambient-{service}", "service.namespace": self._cluster}
            if instance:
                names["service.instance.id"] = instance
            self._resources[key] = Resource(names)
        return self._resources[key]


def _context(trace: str, span: str) -> SpanContext:
    return SpanContext(
        int(trace, 16), int(span, 16), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )
