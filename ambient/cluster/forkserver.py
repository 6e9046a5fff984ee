"""A process that has the command `ambient` loaded and forks: what it starts runs a moment later, where a new interpreter takes a second.

Run by `ambient.cluster.forks` as `python -m ambient.cluster.forkserver FD`, for one supervisor, and as `… PATH`, a socket to listen at, for any number.
Guarantees that a child is as if started from the command line: a session of its own, the files, environment and folder of who asked for it,
nothing of this loop, no thread; and its end when this process or who asked for it ends, however they do.

What a service needs beyond the command is loaded here before its first start, so that all later ones, of it and of its successors, find it done.

Each message on a connection is an `Order` in JSON. It is answered by `{"number", "pid"}`, and a child's end told by `{"pid", "code"}`, the code as `subprocess` has it.
"""

import ctypes
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
from contextlib import suppress
from typing import TypedDict

__all__ = ["ENVIRONMENT", "MESSAGE_BYTES", "Order", "die_with_parent", "main"]

MESSAGE_BYTES = 192 * 1024
"""An order holds an environment; the kernel refuses longer messages than its `wmem_default`."""
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}
"""What this process must be started with: a thread of it would not be there after a fork."""
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
_SERVICES = {
    "coordinator": "coordinator.service",
    "verifier": "verifier.service",
    "anchor": "anchor.service",
    "node": "workers.node",
    "gateway": "gateway.service",
}


class Order(TypedDict):
    """A child to be made: `number` is told back with its pid; `out`, `error` and `given` are paths, written behind what is there and read."""

    number: int
    arguments: list[str]
    name: str
    out: str
    error: str
    given: str
    environment: dict[str, str]
    folder: str


def die_with_parent() -> None:
    """In a child: SIGTERM when its parent dies, even by SIGKILL (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def main() -> None:
    """Serve until the other end is closed, or for ever at a path; in a child, become the command."""
    from ambient.cli import main as command  # noqa: PLC0415 -- this is what is loaded once

    place = sys.argv[1]
    server = _Server()
    if place.isdigit():
        server.attend(socket.socket(fileno=int(place)))
    else:
        server.listen(place)
    order = server.serve()
    if order is not None:
        gc.unfreeze()
        sys.argv = ["ambient", *order["arguments"]]
        command()


class _Server:
    """Connections and the children of each."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._listener: socket.socket | None = None
        self._askers: dict[int, socket.socket] = {}
        self._children: dict[int, tuple[int, int]] = {}
        """By the descriptor that watches it: its pid, and the connection that asked for it."""

    def listen(self, path: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(path)
        self._listener.listen()
        self._selector.register(self._listener, selectors.EVENT_READ)

    def attend(self, asker: socket.socket) -> None:
        self._askers[asker.fileno()] = asker
        self._selector.register(asker, selectors.EVENT_READ)

    def serve(self) -> Order | None:
        """Fork what is asked for; returns what a child is to be, in the child, and None in the server at its end."""
        while self._askers or self._listener:
            for key, _ in self._selector.select():
                if key.fd in self._children:
                    self._reap(key.fd)
                elif key.fd not in self._askers:
                    assert self._listener is not None  # noqa: S101 -- what else is readable
                    self.attend(self._listener.accept()[0])
                elif (order := self._read(self._askers[key.fd])) is not None:
                    return order
        return None

    def _read(self, asker: socket.socket) -> Order | None:
        """Do what a connection asks; returns the order in the child."""
        try:
            message = asker.recv(MESSAGE_BYTES)
        except ConnectionError:
            message = b""
        if not message:
            self._leave(asker)
            return None
        order: Order = json.loads(message)
        _load(order["arguments"])
        server, pid = os.getpid(), os.fork()
        if not pid:
            self._close()
            _become(order, server)
            return order
        watched = os.pidfd_open(pid)
        self._children[watched] = pid, asker.fileno()
        self._selector.register(watched, selectors.EVENT_READ)
        _tell(asker, number=order["number"], pid=pid)
        return None

    def _leave(self, asker: socket.socket) -> None:
        """Who asked is gone: so are its children."""
        number = asker.fileno()
        self._selector.unregister(asker)
        self._askers.pop(number).close()
        for watched, (pid, owner) in self._children.items():
            if owner == number:
                self._children[watched] = pid, -1
                signal.pidfd_send_signal(watched, signal.SIGTERM)

    def _reap(self, watched: int) -> None:
        self._selector.unregister(watched)
        pid, owner = self._children.pop(watched)
        info = os.waitid(os.P_PIDFD, watched, os.WEXITED)
        os.close(watched)
        assert info is not None  # noqa: S101 -- without WNOHANG there is one
        code = info.si_status if info.si_code == os.CLD_EXITED else -info.si_status
        if owner in self._askers:
            _tell(self._askers[owner], pid=pid, code=code)

    def _close(self) -> None:
        """In a child: nothing of this loop stays open."""
        for asker in (*self._askers.values(), *([self._listener] if self._listener else ())):
            asker.close()
        for watched in self._children:
            os.close(watched)
        self._selector.close()


def _load(arguments: list[str]) -> None:
    """Load what a command and its service need, unless that is not installed here: then the child says so."""
    from ambient.cli import app  # noqa: PLC0415 -- loaded in `main`

    if arguments and arguments[0] in app:
        app[arguments[0]]  # a command's module is imported when the command is looked up
    name = _SERVICES.get(arguments[0]) if arguments else None
    if name is not None and name not in sys.modules:
        with suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()


def _tell(asker: socket.socket, **what: int) -> None:
    with suppress(ConnectionError):  # its end is read next
        asker.send(json.dumps(what).encode())


def _become(order: Order, server: int) -> None:
    """In the child: take on what was asked for."""
    os.setsid()  # ctrl-C is for the supervisor: it lets nodes drain before the server goes
    die_with_parent()
    if os.getppid() != server:  # it died before it could be noticed
        os._exit(1)
    ctypes.CDLL(None).prctl(_PR_SET_NAME, order["name"].encode()[:15])
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    written = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    for path, descriptor, flags in (
        (order["given"], 0, os.O_RDONLY),
        (order["out"], 1, written),
        (order["error"], 2, written),
    ):
        opened = os.open(path, flags | os.O_CLOEXEC, 0o644)
        os.dup2(opened, descriptor)
        os.close(opened)


if __name__ == "__main__":
    main()
