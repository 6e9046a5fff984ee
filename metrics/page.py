"""The page at which Prometheus looks: `GET /metrics` on a port of its own, loopback unless told otherwise.

Guarantees that a stranger on that port gets the page or a refusal, and holds neither memory nor the process up: a request has
few bytes and few seconds. It runs in the process' own loop, so that sources read what no thread changes meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from bus.subjects import DEFAULT_CLUSTER
from metrics.errors import AddressTaken

if TYPE_CHECKING:
    from metrics.board import Board, Source

__all__ = ["LOOPBACK", "exposed", "serve_page"]

_log = structlog.get_logger("metrics")

LOOPBACK = "127.0.0.1"
_REQUEST_BYTES = 16 * 1024
_REQUEST_S = 5.0


@asynccontextmanager
async def exposed(
    port: int, *sources: "Source", host: str = LOOPBACK, cluster: str | None = None
) -> AsyncIterator[None]:
    """Serve what `sources` say for as long as the context lasts; port 0 serves nothing and needs no prometheus-client.

    `cluster` is that of the tasks that they name (None: the default one). Raises `AddressTaken`.
    """
    if port == 0:
        yield
        return
    from metrics.board import Board  # noqa: PLC0415 -- a process without metrics must not pay for the library

    async with serve_page(Board(sources, cluster or DEFAULT_CLUSTER), port, host=host) as at:
        _log.info("metrics", at=f"http://{host}:{at}/metrics")
        yield


@asynccontextmanager
async def serve_page(board: "Board", port: int, *, host: str = LOOPBACK) -> AsyncIterator[int]:
    """Serve `board`; the context is the port, a free one for 0. Raises `AddressTaken`."""

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_S):
                writer.write(await _answer(board, reader))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            _log.debug("a look at the metrics failed", reason=str(error) or type(error).__name__)
        finally:
            writer.close()

    try:
        server = await asyncio.start_server(on_connection, host, port, limit=_REQUEST_BYTES)
    except OSError as error:
        raise AddressTaken(
            f"metrics cannot be served at {host}:{port}: choose another port ({error.strerror})"
        ) from None
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def _answer(board: "Board", reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    request, *fields = head.split("\r\n")
    method, _, rest = request.partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    if method not in ("GET", "HEAD"):
        return _reply("405 Method Not Allowed", b"GET /metrics\n", with_body=True)
    if path != "/metrics":
        return _reply("404 Not Found", b"the metrics are at /metrics\n", with_body=method == "GET")
    body, content_type = await board.page(_accept(fields))
    return _reply("200 OK", body, content_type, with_body=method == "GET")


def _accept(fields: list[str]) -> str:
    named = (field.partition(":") for field in fields)
    return next((value.strip() for name, _, value in named if name.strip().lower() == "accept"), "")


def _reply(status: str, body: bytes, content_type: str = "text/plain", *, with_body: bool) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + (body if with_body else b"")
