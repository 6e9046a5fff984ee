"""One slot seen from the pool: the child process, its channels, and how it ends.

Guarantees: `lost` is called once for each process that was started, after everything it had sent was delivered; the
process is gone when `stop` returns. It decides nothing: restarts and the fate of jobs are the pool's.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from sandbox import wire
from sandbox.dispatch import Ticket

ROOT = str(Path(__file__).resolve().parent.parent)
SEND_BYTES = 1 << 20
"""Room in the channel's kernel buffer, so that a batch is one write."""


def child_environment() -> dict[str, str]:
    """All that a child is given: where this package lies. It clears even that when it has started."""
    return {"PYTHONPATH": ROOT, "PYTHONDONTWRITEBYTECODE": "1"}


class SlotProcess(asyncio.Protocol):
    """A running child."""

    def __init__(self, deliver: Callable[[list[wire.Up]], None], lost: Callable[[], None]) -> None:
        self._deliver = deliver
        self._lost = lost
        self._reader = wire.FrameReader()
        self._transport: asyncio.Transport | None = None
        self._orders: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._ended = False
        self.up: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """Done when the child says it is ready, or with False when it ended before."""
        self.page: wire.Page | None = None
        self.started = 0.0
        """Monotonic time at which it was ready."""
        self.overdue = False
        """Set when the pool kills it because its guest hung."""

    def __repr__(self) -> str:
        return f"<SlotProcess {self.pid or 'not started'}>"

    @property
    def pid(self) -> int:
        """Process id, or 0 before it started."""
        return self._process.pid if self._process else 0

    async def start(self, store: Path, memory_mb: int) -> None:
        """Start the child; `up` tells when it is ready."""
        jobs, jobs_child = socket.socketpair()
        orders, orders_child = socket.socketpair()
        page_fd = wire.Page.create()
        self.page = wire.Page(page_fd)
        for end in (jobs, jobs_child):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        orders.settimeout(0)
        self._orders = orders
        passed = (jobs_child.fileno(), orders_child.fileno(), page_fd)
        arguments = [str(store), *map(str, passed), str(memory_mb), str(os.getpid())]
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "sandbox.slot", *arguments,
                pass_fds=passed, env=child_environment(), cwd="/", stdin=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=jobs)
        except BaseException:
            jobs.close()
            orders.close()
            raise
        finally:
            jobs_child.close()
            orders_child.close()
            os.close(page_fd)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The channel is open."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Outcomes came; bytes that are no outcomes end the slot."""
        try:
            batches = [wire.decode_up(body) for body in self._reader.feed(data)]
        except (ValueError, msgspec.MsgspecError):
            # A slot that does not speak our protocol is not ours any more: a guest broke out, or memory is corrupt.
            self.kill()
            return
        for items in batches:
            if items:
                self._deliver(items)
            else:
                self._settle(came_up=True)

    def connection_lost(self, _exc: Exception | None) -> None:
        """The child closed its end, or died."""
        if not self._ended:
            self._ended = True
            self._settle(came_up=False)
            self.kill()
            self._lost()

    def _settle(self, *, came_up: bool) -> None:
        if not self.up.done():
            self.up.set_result(came_up)

    def send(self, tickets: list[Ticket]) -> None:
        """Hand over jobs, in one write unless they are large."""
        if self._transport is None or self._ended:
            return
        items: list[wire.Down] = []
        size = 0
        for ticket in tickets:
            items.append((ticket.number, ticket.raw))
            size += len(memoryview(ticket.raw))
            if size > SEND_BYTES:
                self._transport.write(wire.frame(items))
                items, size = [], 0
        if items:
            self._transport.write(wire.frame(items))

    def order(self, order: bytes, number: int = 0) -> bool:
        """Tell the watchdog; False if it does not listen (its channel is full or closed)."""
        if self._orders is None or self._ended:
            return False
        try:
            return self._orders.send(wire.ORDER.pack(order, number)) == wire.ORDER.size
        except OSError:
            return False

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)

    async def reap(self) -> tuple[float, str]:
        """After `lost`: wait for the process, release everything; (CPU seconds it used, how it ended)."""
        self.kill()
        code = await self._process.wait() if self._process else None
        if self._transport is not None:
            self._transport.abort()
        if self._orders is not None:
            self._orders.close()
        cpu = 0.0
        if self.page is not None:
            cpu = self.page.read()[2]
            self.page.close()
            self.page = None
        return cpu, _ending(code)

    async def stop(self) -> float:
        """End the process without calling `lost`; CPU seconds it used."""
        self._ended = True
        cpu, _ = await self.reap()
        return cpu


def _ending(code: int | None) -> str:
    if code is None:
        return "did not start"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
