"""A network between a process and the NATS server, or between servers, that a test can cut, or hold up."""

import asyncio
import socket
from contextlib import AsyncExitStack
from typing import Self


class Proxy:
    """Passes bytes on until `cut`, and again after `mend`. Use as an async context manager."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("nats://").partition(":")
        self._target = (host, int(port))
        # Bound at once, so that the address is known before anybody serves it.
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._passing = True
        self._flowing = asyncio.Event()
        self._flowing.set()

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

    def mend(self) -> None:
        """Pass again."""
        self._passing = True

    def hold(self) -> None:
        """Keep connections, and what is sent on them, until `let_go`."""
        self._flowing.clear()

    def let_go(self) -> None:
        """Undo `hold`."""
        self._flowing.set()

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
            await asyncio.gather(self._pass(reader, back), self._pass(onward, writer))
        finally:
            self._writers -= both
            for each in both:
                each.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                await self._flowing.wait()
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
