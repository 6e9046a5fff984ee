"""How a node is, told on this machine to whoever may read its data folder: health checks of containers and init systems, and people.

Guarantees that an answer comes from the node's own event loop, now, so that a node that hangs does not look well; that asking needs
neither the bus nor a port; and that only the folder's owner can ask (the folder has mode 0700). Asking runs on the standard library
alone (`python -m workers.status FOLDER`): on a small device a health check must not cost more than the work.
What is well is decided in `verdict`; what the cluster thinks of the node is the coordinator's to say.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["LATE_S", "Status", "ask", "main", "starting", "told", "verdict"]

SOCKET = "status.sock"
LATE_S = 15.0
"""A heartbeat comes every 2 s; one that is so late is that of a loop that does not turn."""
_ASK_S = 3.0
_LONGEST_PATH = 100
"""The kernel takes 107 bytes (unix(7)); data folders of tests and of deep homes are longer."""

type Status = dict[str, Any]
"""`node`, `pid`, `connected` (to the bus), `enrolled` (by a coordinator), `state` (`works`, `safe`, `draining`), `reason` (of safe
mode), `open` (attempts), `slots`, `beat_age_s` (since the last heartbeat; null before the first)."""


def starting(node: str, slots: int) -> Status:
    """That of a node which looks for the bus for the first time."""
    return {
        "node": node,
        "pid": os.getpid(),
        "connected": False,
        "enrolled": False,
        "state": "starts",
        "reason": "",
        "open": 0,
        "slots": slots,
        "beat_age_s": None,
    }


@contextlib.asynccontextmanager
async def told(folder: Path, status: Callable[[], Status]) -> AsyncIterator[None]:
    """Answer everybody who connects to the socket in `folder` with `status()`, as one line of JSON."""

    async def on_connection(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(json.dumps(status()).encode() + b"\n")
            await writer.drain()
        writer.close()

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        (folder / SOCKET).unlink(missing_ok=True)  # of a node that was killed; the folder is ours alone
        with _address(folder) as address:
            listener.bind(address)
        server = await asyncio.start_unix_server(on_connection, sock=listener)
        try:
            yield
        finally:
            server.close()
            (folder / SOCKET).unlink(missing_ok=True)


def ask(folder: Path) -> Status:
    """What the node that works in `folder` says of itself. Raises `OSError` where none answers in time."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(_ASK_S)
        with _address(folder) as address:
            asking.connect(address)
        with asking.makefile("rb") as answer:
            line = answer.readline()
    if not line.endswith(b"\n"):
        raise OSError("the node broke off its answer")
    status: Status = json.loads(line)
    return status


def verdict(status: Status, *, alive: bool = False) -> str:
    """What is not well, empty where nothing is.

    `alive` asks only whether the process works, as who would restart it should: a bus that is away does not come back by that.
    """
    age_s = status["beat_age_s"]
    if age_s is not None and age_s > LATE_S:
        return f"no heartbeat for {age_s:.0f} s: restart it"
    if alive:
        return ""
    if not status["connected"]:
        return "has no connection to the bus: it goes on with what it has and connects again by itself; else see NATS_URL and the network"
    if not status["enrolled"]:
        return "waits for a coordinator: `ambient doctor` says whether one leads"
    return ""


def main(arguments: list[str]) -> int:
    """`[--alive] [FOLDER]`, by default the folder in AMBIENT_DATA: prints what is the matter; 0 where the node is well, else 1."""
    alive = "--alive" in arguments
    named = [argument for argument in arguments if argument != "--alive"]
    folder = named[0] if named else os.environ.get("AMBIENT_DATA", "")
    if not folder or len(named) > 1:
        sys.stderr.write("usage: python -m workers.status [--alive] FOLDER (or set AMBIENT_DATA)\n")
        return 2
    try:
        status = ask(Path(folder))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"no node answers in {folder}: {error}\n")
        return 1
    wrong = verdict(status, alive=alive)
    sys.stdout.write(f"{status['node']} {wrong or status['state']}\n")
    return 1 if wrong else 0


@contextlib.contextmanager
def _address(folder: Path) -> Iterator[str]:
    """The socket's path, by way of an open folder where it is too long for the kernel."""
    path = str(folder.absolute() / SOCKET)
    if len(os.fsencode(path)) <= _LONGEST_PATH or sys.platform != "linux":
        yield path
        return
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{opened}/{SOCKET}"
    finally:
        os.close(opened)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
