"""A process that has the command `ambient` loaded and forks: what it starts runs a moment later, where a new interpreter takes a second.

Run by `ambient.cluster.forks` as `python -m ambient.cluster.forkserver FD FOLDER`. Guarantees that a child is as if started from the command line: a session
of its own, its log on stdout and stderr, nothing of this loop, no thread, and its end when this process ends, however it does.
It loads what all children need and no more: whatever makes threads when it is imported is the children's own business.

Each message on FD is JSON: `{"number", "arguments", "log", "name"}` is answered by `{"number", "pid"}`, and a child's end told by `{"pid", "code"}`, the code as
`subprocess` has it.
"""

import ctypes
import gc
import json
import os
import selectors
import signal
import socket
import sys
from typing import Any

__all__ = ["MESSAGE_BYTES", "die_with_parent", "main"]

MESSAGE_BYTES = 64 * 1024
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15


def die_with_parent() -> None:
    """In a child: SIGTERM when its parent dies, even by SIGKILL (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def main() -> None:
    """Serve until the other end is closed; in a child, become the command."""
    from ambient.cli import main as command  # noqa: PLC0415 -- this is what is loaded once

    with socket.socket(fileno=int(sys.argv[1])) as asker:
        gc.freeze()
        asked = _serve(asker)
    if asked is not None:
        gc.unfreeze()
        sys.argv = ["ambient", *asked["arguments"]]
        command()


def _serve(asker: socket.socket) -> dict[str, Any] | None:
    """Fork what is asked for; returns what a child is to be, in the child, and None in the server at its end."""
    children: dict[int, int] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(asker, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not asker:
                    selector.unregister(key.fileobj)
                    _tell(asker, pid=children.pop(key.fd), code=_ended(key.fd))
                    continue
                message = asker.recv(MESSAGE_BYTES)
                if not message:
                    return None
                asked: dict[str, Any] = json.loads(message)
                pid = _fork(asked, (*children, selector.fileno()))
                if not pid:
                    return asked
                watched = os.pidfd_open(pid)
                children[watched] = pid
                selector.register(watched, selectors.EVENT_READ)
                _tell(asker, number=asked["number"], pid=pid)


def _tell(asker: socket.socket, **what: int) -> None:
    asker.send(json.dumps(what).encode())


def _ended(watched: int) -> int:
    """Reap it."""
    info = os.waitid(os.P_PIDFD, watched, os.WEXITED)
    os.close(watched)
    assert info is not None  # noqa: S101 -- without WNOHANG there is one
    return info.si_status if info.si_code == os.CLD_EXITED else -info.si_status


def _fork(asked: dict[str, Any], ours: tuple[int, ...]) -> int:
    """Its pid, 0 in the child."""
    server = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    os.setsid()  # ctrl-C is for the supervisor: it lets nodes drain before the server goes
    die_with_parent()
    if os.getppid() != server:  # it died before it could be noticed
        os._exit(1)
    ctypes.CDLL(None).prctl(_PR_SET_NAME, asked["name"].encode()[:15])
    for descriptor in ours:
        os.close(descriptor)
    log = os.open(asked["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    return 0


if __name__ == "__main__":
    main()
