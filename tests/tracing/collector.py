"""A collector of traces on loopback: takes OTLP over HTTP and keeps what it was sent, read by OpenTelemetry's own definitions."""

import asyncio
import gzip
from typing import Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """`refuse` requests are answered by 400 first, which no exporter tries again by itself."""

    def __init__(self, *, refuse: int = 0) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.refused = 0
        self._refuse = refuse
        self._moved = asyncio.Event()

    @property
    def url(self) -> str:
        """What an exporter is told."""
        host, port = self._server.sockets[0].getsockname()
        return f"http://{host}:{port}"

    @property
    def names(self) -> list[str]:
        """The names of all spans so far."""
        return [
            span.name
            for r in self.requests
            for each in r.resource_spans
            for s in each.scope_spans
            for span in s.spans
        ]

    async def wait_for(self, spans: int) -> None:
        """Until so many have come."""
        async with asyncio.timeout(60):
            while len(self.names) < spans:
                self._moved.clear()
                await self._moved.wait()

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._on_connection, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Listen no more."""
        self._server.close()
        self._server.close_clients()
        await self._server.wait_closed()

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
                fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
                body = await reader.readexactly(int(fields["content-length"]))
                body = gzip.decompress(body) if fields.get("content-encoding") == "gzip" else body
                writer.write(self._answer(head, body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, head: str, body: bytes) -> bytes:
        if self.refused < self._refuse or not head.startswith("post /v1/traces "):
            self.refused += 1
            return b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"
        self.requests.append(ExportTraceServiceRequest.FromString(body))
        self._moved.set()
        return b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n"
