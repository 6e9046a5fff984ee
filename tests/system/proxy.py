"""A network between a process and the NATS server, or between servers, that a test can cut, hold up, or make slow."""

import asyncio
import socket
import struct
from contextlib import AsyncExitStack
from typing import Literal, Self

Way = Literal["there", "back"]
"""From whoever connects to whom it connects, and the other way."""

_AT_ONCE = struct.pack("ii", 1, 0)
"""Linger for no time: what is not sent yet is thrown away, and the other side is told so (socket(7))."""


class Proxy:
    """Passes bytes on until `cut`, and again after `mend`. Use as an async context manager.

    `delay_s` is how long each piece takes, either way; set it at any time.
    """

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("nats://").partition(":")
        self._target = (host, int(port))
        # Bound at once, so that the address is known before anybody serves it.
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._passing = True
        self._flowing: dict[Way, asyncio.Event] = {"there": asyncio.Event(), "back": asyncio.Event()}
        self.delay_s = 0.0
        self.let_go()

    @property
    def url(self) -> str:
        """Where to connect instead."""
        return f"nats://127.0.0.1:{self._socket.getsockname()[1]}"

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, sock=self._socket)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close everything."""
        assert self._server is not None
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """Drop all connections, and every new one at once."""
        self._passing = False
        for writer in self._writers:
            writer.transport.abort()

    def reset(self) -> None:
        """Reset all connections (RST, where `cut` ends them in order); new ones are taken."""
        for writer in self._writers:
            if not writer.transport.is_closing():
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                writer.transport.abort()

    def mend(self) -> None:
        """Pass again."""
        self._passing = True

    def hold(self, *ways: Way) -> None:
        """Keep connections, and what is sent on them, until `let_go`; of two ways only the one that is named (half-open)."""
        for way in ways or self._flowing:
            self._flowing[way].clear()

    def let_go(self, *ways: Way) -> None:
        """Undo `hold`."""
        for way in ways or self._flowing:
            self._flowing[way].set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._passing:
            writer.transport.abort()
            return
        try:
            onward, back = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, back}
        self._writers |= both
        try:
            await asyncio.gather(self._pass(reader, back, "there"), self._pass(onward, writer, "back"))
        finally:
            self._writers -= both
            for each in both:
                each.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
        try:
            while data := await reader.read(65_536):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await self._flowing[way].wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.transport.abort()


class Routes:
    """The network between the servers of a cluster: `between` is its `RouteUrl`. Use as an async context manager around the cluster."""

    def __init__(self) -> None:
        self._proxies: dict[tuple[str, str], Proxy] = {}
        self._open = AsyncExitStack()

    def between(self, source: str, target: str, url: str) -> str:
        """The address of a proxy of its own for this pair of servers."""
        proxy = self._proxies[source, target] = Proxy(url)
        return proxy.url

    async def __aenter__(self) -> Self:
        """Pass everything on."""
        for proxy in self._proxies.values():
            await self._open.enter_async_context(proxy)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close everything."""
        await self._open.aclose()

    def cut_off(self, server: str) -> None:
        """Part one server from all others."""
        for pair, proxy in self._proxies.items():
            if server in pair:
                proxy.cut()

    def mend(self) -> None:
        """Pass everything on again."""
        for proxy in self._proxies.values():
            proxy.mend()
