"""A NATS client that takes no care: it sends what it is given, byte for byte."""

import asyncio

_HELLO = b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nPING\r\n'


async def publish_raw(url: str, subject: bytes, body: bytes, headers: bytes | None = None) -> None:
    """Publish on a connection of its own; returns once the server has taken it."""
    host, _, port = url.removeprefix("nats://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(_HELLO)
        await _pong(reader)
        if headers is None:
            writer.write(b"PUB %s %d\r\n%s\r\n" % (subject, len(body), body))
        else:
            sizes = (len(headers), len(headers) + len(body))
            writer.write(b"HPUB %s %d %d\r\n%s%s\r\n" % (subject, *sizes, headers, body))
        writer.write(b"PING\r\n")
        await _pong(reader)
    finally:
        writer.close()
        await writer.wait_closed()


async def _pong(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(60):
        while not (line := await reader.readline()).startswith(b"PONG"):
            assert line, "the server hung up"
