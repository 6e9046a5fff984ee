"""What NATS servers say at their monitors (`http_port`, or `-m`), in our catalogue's words: no second exporter is needed.

A server that does not answer within a second is told as down, and nothing else of it is. A monitor is believed, as it is the operator who
names it; but what it sends is bounded, and a figure that is no number is left out.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
import structlog

if TYPE_CHECKING:
    from metrics.board import Board, Source

__all__ = ["servers"]

_log = structlog.get_logger("metrics.servers")
_ANSWER_S = 1.0
_ANSWER_BYTES = 1 << 20
_DEFAULT_PORT = 8222


class _Api(msgspec.Struct):
    errors: int = 0


class _Store(msgspec.Struct):
    storage: int = 0
    api: _Api = msgspec.field(default_factory=_Api)


class _StoreLimits(msgspec.Struct):
    max_storage: int = 0


class _JetStream(msgspec.Struct):
    config: _StoreLimits | None = None
    stats: _Store | None = None


class _Varz(msgspec.Struct):
    """The part of /varz that is told."""

    server_name: str
    connections: int = 0
    slow_consumers: int = 0
    in_msgs: int = 0
    out_msgs: int = 0
    in_bytes: int = 0
    out_bytes: int = 0
    mem: int = 0
    jetstream: _JetStream = msgspec.field(default_factory=_JetStream)


_VARZ = msgspec.json.Decoder(_Varz)


def servers(monitors: Sequence[str]) -> "Source":
    """The source of a process that knows these monitors (`http://host:8222`)."""
    names: dict[str, str] = {}

    async def say(board: "Board") -> None:
        found = await asyncio.gather(*(_varz(monitor) for monitor in monitors))
        for monitor, varz in zip(monitors, found, strict=True):
            if varz is not None:
                names[monitor] = varz.server_name
                _say(board, varz)
            # By its name once it is known, so that it is one series up and down.
            name = names.get(monitor, urlsplit(monitor).netloc)
            board.say("ambient_nats_up", varz is not None, server=name)

    return say


def _say(board: "Board", varz: _Varz) -> None:
    server = varz.server_name
    board.say("ambient_nats_connections", varz.connections, server=server)
    board.say("ambient_nats_slow_consumers_total", varz.slow_consumers, server=server)
    board.say("ambient_nats_messages_total", varz.in_msgs, server=server, direction="in")
    board.say("ambient_nats_messages_total", varz.out_msgs, server=server, direction="out")
    board.say("ambient_nats_bytes_total", varz.in_bytes, server=server, direction="in")
    board.say("ambient_nats_bytes_total", varz.out_bytes, server=server, direction="out")
    board.say("ambient_nats_resident_memory_bytes", varz.mem, server=server)
    if varz.jetstream.stats is not None:
        board.say("ambient_nats_jetstream_stored_bytes", varz.jetstream.stats.storage, server=server)
        board.say("ambient_nats_jetstream_errors_total", varz.jetstream.stats.api.errors, server=server)
    if varz.jetstream.config is not None:
        board.say("ambient_nats_jetstream_max_bytes", varz.jetstream.config.max_storage, server=server)


async def _varz(monitor: str) -> _Varz | None:
    try:
        async with asyncio.timeout(_ANSWER_S):
            return _VARZ.decode(await _get(monitor, "/varz"))
    except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError, msgspec.MsgspecError) as error:
        _log.debug("a server's monitor tells nothing", monitor=monitor, reason=str(error) or "time-out")
        return None


async def _get(monitor: str, path: str) -> bytes:
    """The body of the answer. Raises `OSError` where nobody answers, `ValueError` for more than a megabyte or another answer than 200."""
    at = urlsplit(monitor)
    reader, writer = await asyncio.open_connection(at.hostname, at.port or _DEFAULT_PORT)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {at.netloc}\r\n\r\n".encode())
        answer = bytearray()
        while chunk := await reader.read(1 << 16):
            answer += chunk
            if len(answer) > _ANSWER_BYTES:
                raise ValueError("it sends more than a megabyte")
    finally:
        writer.close()
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0] + b" ":
        raise ValueError(f"it answers {head[:60]!r}")
    return body
