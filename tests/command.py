"""The command `ambient` as a user runs it, in a process of its own that is forked where it can be: a new interpreter costs half a second each."""

import asyncio
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from subprocess import DEVNULL, CompletedProcess, Popen

from ambient.cluster.forks import Child, Forks
from ambient.cluster.forkserver import ENVIRONMENT, die_with_parent

_COMMAND = (sys.executable, "-m", "ambient")


@contextmanager
def fork_server(folder: Path) -> Iterator[Path]:
    """One fork server for all clusters and commands of a test run; its socket."""
    path = folder / "forks"
    server = Popen(
        [sys.executable, "-m", "ambient.cluster.forkserver", str(path)],
        stdin=DEVNULL,
        stdout=DEVNULL,
        env={**os.environ, **ENVIRONMENT},
        preexec_fn=die_with_parent,  # noqa: PLW1509 -- no other thread forks at this moment
    )
    try:
        while not _listens(path):
            assert server.poll() is None
            time.sleep(0.02)
        yield path
    finally:
        server.terminate()
        server.wait()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        return probe.connect_ex(str(path)) == 0


class Command:
    """`ambient` while it runs: what it printed so far is in the files `out` and `error`."""

    def __init__(self, child: Child, out: Path, error: Path) -> None:
        self.child, self.out, self.error = child, out, error

    async def says(self, where: Path, what: bytes = b"\n") -> bytes:
        """All that it printed to `out` or `error`, once `what` is there: until then it runs."""
        async with asyncio.timeout(60):
            while what not in (said := where.read_bytes()):  # noqa: ASYNC240 -- a few bytes
                assert self.child.returncode is None, self.error.read_bytes()
                await asyncio.sleep(0.02)
        return said


@asynccontextmanager
async def started(
    *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] = os.environ
) -> AsyncIterator[Command]:
    """The command, killed at the end if it still runs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "logs").mkdir()
        given, out, error = (folder / each for each in ("given", "out", "error"))
        given.write_bytes(stdin)
        out.touch()
        error.touch()
        forks = Forks(folder)
        child = await forks.start(
            (*_COMMAND, *arguments), out, "ambient", error=error, given=given, environment=environment
        )
        try:
            yield Command(child, out, error)
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
            await forks.stop()


async def ambient(
    *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] = os.environ, timeout_s: float = 60
) -> CompletedProcess[bytes]:
    """Run the command to its end."""
    async with started(*arguments, stdin=stdin, environment=environment) as command:
        code = await asyncio.wait_for(command.child.wait(), timeout_s)
        return CompletedProcess(arguments, code, command.out.read_bytes(), command.error.read_bytes())
