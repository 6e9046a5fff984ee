"""Processes from the fork server are like any other: their own session, log, end and signals; and none outlives who made it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from ambient.cluster import forks as forks_module
from ambient.cluster.forks import Forks
from tests.command import fork_server

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere every process is a new interpreter"
)
COMMAND = (sys.executable, "-m", "ambient")
WAITS = (*COMMAND, "coordinator", "--nats", "nats://127.0.0.1:9", "--log-level", "debug")
"""A process that waits for a bus that is not there, for ever."""


@pytest.fixture(autouse=True)
def _own_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a user's supervisor has it."""
    monkeypatch.delenv("AMBIENT_FORK_SERVER", raising=False)


@pytest_asyncio.fixture
async def own(tmp_path: Path) -> AsyncIterator[Forks]:
    (tmp_path / "logs").mkdir()
    made = Forks(tmp_path)
    yield made
    await made.stop()


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not fact():
            await asyncio.sleep(0.02)


def has_text(log: Path) -> bool:
    return log.exists() and log.stat().st_size > 0


def open_files(pid: int) -> list[str]:
    return [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_a_child_is_the_command(own: Forks, tmp_path: Path) -> None:
    """It gets its arguments, writes behind what its log holds, and its exit code is known."""
    log = tmp_path / "logs" / "one.log"
    log.write_text("before\n")
    told = await own.start((*COMMAND, "--version"), log, "one")
    wrong = await own.start((*COMMAND, "no-such-command"), tmp_path / "logs" / "two.log", "two")
    codes = [await asyncio.wait_for(each.wait(), 30) for each in (told, wrong)]

    assert codes == [0, 2]
    assert log.read_text().startswith("before\n")
    assert log.read_text().count("\n") == 2
    with pytest.raises(ProcessLookupError):
        told.kill()


async def test_children_have_their_own_session_and_signals(own: Forks, tmp_path: Path) -> None:
    """One is killed, one ends in order, the others never notice; no descriptor of the server is left in them."""
    one, two, three = [await own.start(WAITS, tmp_path / "logs" / "log", f"c{n}") for n in range(3)]
    await until(lambda: has_text(tmp_path / "logs" / "log"))
    sessions = {os.getsid(each.pid) for each in (one, two, three)}
    held = await asyncio.to_thread(open_files, three.pid)
    one.kill()
    killed = await asyncio.wait_for(one.wait(), 60)
    two.terminate()
    ended = await asyncio.wait_for(two.wait(), 60)

    assert sessions == {one.pid, two.pid, three.pid}
    assert killed == -signal.SIGKILL
    assert ended in (0, -signal.SIGTERM)  # it may not listen yet
    assert three.returncode is None
    assert not [each for each in held if "pidfd" in each]


async def test_a_dead_server_takes_its_children_along_and_another_is_made(own: Forks, tmp_path: Path) -> None:
    """Kill -9 of the fork server: the kernel tells its children to stop, they are known to be gone, and the next start works."""
    log = tmp_path / "logs" / "log"
    child = await own.start(WAITS, log, "c")
    parent = psutil.Process(child.pid).parent()
    assert parent is not None
    parent.kill()
    code = await asyncio.wait_for(child.wait(), 60)
    await until(lambda: is_gone(child.pid))
    after = await own.start((*COMMAND, "--version"), log, "after")

    assert code == -signal.SIGTERM
    assert await asyncio.wait_for(after.wait(), 30) == 0


async def test_nothing_outlives_who_asked(tmp_path: Path) -> None:
    """Kill -9 of the process with the other end: fork server and children are gone."""
    (tmp_path / "logs").mkdir()
    program = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom ambient.cluster.forks import Forks\n"
        "async def main():\n"
        f"    child = await Forks(Path({str(tmp_path)!r})).start({WAITS!r}, Path({str(tmp_path / 'log')!r}), 'c')\n"
        "    print(child.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    asker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    assert asker.stdout is not None
    pid = int(await asyncio.wait_for(asker.stdout.readline(), 30))
    server = psutil.Process(pid).ppid()
    asker.kill()
    await asker.wait()

    await until(lambda: is_gone(pid) and is_gone(server))


async def test_a_child_has_the_files_and_the_environment_of_who_asks(own: Forks, tmp_path: Path) -> None:
    """Answers, errors and input are apart, and no variable of the fork server's is left."""
    given, out, error = (tmp_path / name for name in ("given", "out", "error"))
    given.touch()
    child = await own.start(
        (*COMMAND, "no-such-command"),
        out,
        "c",
        error=error,
        given=given,
        environment={"NO_COLOR": "1", "COLUMNS": "60"},
    )

    assert await asyncio.wait_for(child.wait(), 30) == 2
    assert out.read_bytes() == b""
    assert b"no-such-command" in error.read_bytes()
    assert b"\x1b" not in error.read_bytes()


async def test_one_server_serves_many_and_ends_the_children_of_who_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two supervisors share it; one goes away without a word: its child is told to stop, the other's never notices."""
    with fork_server(tmp_path) as path:
        monkeypatch.setenv("AMBIENT_FORK_SERVER", str(path))
        one, two = Forks(tmp_path), Forks(tmp_path)
        first = await one.start(WAITS, tmp_path / "log", "first")
        second = await two.start(WAITS, tmp_path / "log", "second")
        await one.stop()
        await until(lambda: is_gone(first.pid))

        assert second.returncode is None
        second.kill()
        assert await asyncio.wait_for(second.wait(), 30) == -signal.SIGKILL
        await two.stop()


async def test_a_socket_where_nobody_listens_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable, the path and what is wrong with it."""
    monkeypatch.setenv("AMBIENT_FORK_SERVER", str(tmp_path / "nobody"))
    with pytest.raises(OSError, match=r"AMBIENT_FORK_SERVER=.*nobody: no fork server listens there"):
        await Forks(tmp_path).start(WAITS, tmp_path / "log", "c")


async def test_whatever_is_loaded_before_a_fork_makes_no_thread(own: Forks, tmp_path: Path) -> None:
    """A thread would not be there in a child, and what it holds locked would be locked for ever."""
    for service in ("coordinator", "verifier", "anchor", "node", "gateway"):
        told = await own.start((*COMMAND, service, "--help"), tmp_path / "log", service)
        server = psutil.Process(told.pid).ppid()
        assert await asyncio.wait_for(told.wait(), 60) == 0

    assert psutil.Process(server).num_threads() == 1
    assert (tmp_path / "log").read_text().count("Usage:") == 5


def test_where_children_cannot_be_watched_nothing_is_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox without pidfds: every process is a new interpreter."""

    def refused(_pid: int) -> int:
        raise PermissionError

    forks_module._can_watch.cache_clear()
    monkeypatch.setattr(os, "pidfd_open", refused)
    try:
        assert not Forks.can_start(WAITS)
    finally:
        forks_module._can_watch.cache_clear()


def test_only_our_own_commands_are_forked() -> None:
    """What runs under another program, such as `env`, is started as it is."""
    assert Forks.can_start(WAITS)
    assert not Forks.can_start(("env", "A=1", *WAITS))
    assert not Forks.can_start(("nats-server",))
