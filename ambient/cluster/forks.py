"""Starts processes of the command `ambient` from a fork server, where there is one; the supervisor's side of `ambient.cluster.forkserver`.

Guarantees that a child is told apart from a process that has its pid later: it is signalled only until its end is known; and that the end of the
fork server is the end of its children, which are told to stop by the kernel.

Where `AMBIENT_FORK_SERVER` names the socket of a fork server, that one is used: so many short clusters share one.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

from ambient.cluster.forkserver import ENVIRONMENT, MESSAGE_BYTES, Order, die_with_parent

__all__ = ["Child", "Forks", "Started"]

_COMMAND = (sys.executable, "-m", "ambient")


@cache
def _can_watch() -> bool:
    """Linux from 5.3 on; some sandboxes do not let it."""
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


class Started(Protocol):
    """A process that was started: what `asyncio.subprocess.Process` and `Child` have in common."""

    @property
    def pid(self) -> int:
        """Its id."""

    @property
    def returncode(self) -> int | None:
        """How it ended, as `subprocess` has it; None while it runs."""

    async def wait(self) -> int:
        """Wait for its end."""

    def terminate(self) -> None:
        """SIGTERM; raises `ProcessLookupError` where it is gone."""

    def kill(self) -> None:
        """SIGKILL; raises `ProcessLookupError` where it is gone."""


class Child:
    """A process that the fork server made."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._over = asyncio.Event()

    def __repr__(self) -> str:
        """Its pid and how it ended."""
        return f"Child(pid={self.pid}, returncode={self.returncode})"

    async def wait(self) -> int:
        """Wait for its end."""
        await self._over.wait()
        assert self.returncode is not None  # noqa: S101 -- set before
        return self.returncode

    def ended(self, code: int) -> None:
        """It was reaped."""
        self.returncode = code
        self._over.set()

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: signal.Signals) -> None:
        """Any signal; raises `ProcessLookupError` where it is gone."""
        if self.returncode is not None:
            raise ProcessLookupError(self.pid)
        os.kill(self.pid, number)


class Forks:
    """One fork server for a supervisor, started with the first child."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._asked = 0
        self._waiting: dict[int, asyncio.Future[Child]] = {}
        self._children: dict[int, Child] = {}
        self._socket: socket.socket | None = None
        self._server: asyncio.subprocess.Process | None = None

    def __repr__(self) -> str:
        """How many of its children run."""
        return f"Forks({self._folder}, children={len(self._children)})"

    @staticmethod
    def can_start(command: Sequence[str]) -> bool:
        """Whether this is a command of ours on a system where forking is safe, and where children can be watched."""
        return tuple(command[: len(_COMMAND)]) == _COMMAND and _can_watch()

    async def start(
        self,
        command: Sequence[str],
        out: Path,
        name: str,
        *,
        error: Path | None = None,
        given: Path = Path(os.devnull),
        environment: Mapping[str, str] = os.environ,
    ) -> Child:
        """Start a command for which `can_start` holds, in our folder. Raises `OSError`.

        What it prints is written behind what is in `out`, its errors behind what is in `error` or there, too; it reads `given`.
        """
        asker = self._socket or await self._open()
        self._asked += 1
        made: asyncio.Future[Child] = asyncio.get_running_loop().create_future()
        self._waiting[self._asked] = made
        order: Order = {
            "number": self._asked,
            "arguments": list(command[len(_COMMAND) :]),
            "name": name,
            "out": str(out),
            "error": str(error or out),
            "given": str(given),
            "environment": dict(environment),
            "folder": str(Path.cwd()),
        }
        asker.send(json.dumps(order).encode())
        return await made

    async def stop(self) -> None:
        """End the fork server, once its children have ended."""
        if self._socket is not None:
            self._close()
        if self._server is not None:
            await self._server.wait()

    async def _open(self) -> socket.socket:
        shared = os.environ.get("AMBIENT_FORK_SERVER")
        if shared:
            ours = _connected(shared)
        else:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                await self._serve(theirs)
        ours.settimeout(0)
        self._socket = ours
        asyncio.get_running_loop().add_reader(ours.fileno(), self._on_message, ours)
        return ours

    async def _serve(self, theirs: socket.socket) -> None:
        """A fork server of our own."""
        with (self._folder / "logs" / "forkserver.log").open("ab") as log:
            self._server = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "ambient.cluster.forkserver", str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                preexec_fn=die_with_parent,
                env={**os.environ, **ENVIRONMENT},
            )

    def _on_message(self, ours: socket.socket) -> None:
        try:
            message = ours.recv(MESSAGE_BYTES)
        except OSError:
            message = b""
        if not message:
            self._close()
            return
        told: dict[str, int] = json.loads(message)
        if "number" in told:
            child = self._children[told["pid"]] = Child(told["pid"])
            made = self._waiting.pop(told["number"])
            if not made.done():
                made.set_result(child)
        else:
            self._children.pop(told["pid"]).ended(told["code"])

    def _close(self) -> None:
        """The fork server is gone or goes: so are its children, or they are told by the kernel to."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
        for made in self._waiting.values():
            if not made.done():
                made.set_exception(OSError("the fork server ended: read logs/forkserver.log"))
        self._waiting.clear()
        for child in self._children.values():
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
            child.ended(-signal.SIGTERM)
        self._children.clear()


def _connected(path: str) -> socket.socket:
    """A connection to the fork server that listens there."""
    ours = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        ours.connect(path)
    except OSError as error:
        ours.close()
        raise OSError(
            f"AMBIENT_FORK_SERVER={path}: no fork server listens there ({error.strerror})"
        ) from None
    return ours
