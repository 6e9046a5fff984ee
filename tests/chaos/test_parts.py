"""What chaos is made of: journals that survive, errands whose answers are right, clocks that move, disks that fill, networks that fail."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import pytest

from bus.messages import Verdict
from tests.chaos.errands import errand
from tests.chaos.faults import Strike
from tests.chaos.journal import Acknowledged, Begun, Heard, Journal, Submitted, read
from tests.chaos.means import Clocks, Disk, Unavailable, own_mounts
from tests.chaos.plan import Fault
from tests.chaos.report import silences
from tests.system.proxy import Proxy

_LINES = [
    Begun(0.5),
    Submitted(1.0, "t0", "2026-01-01T00:00:00+00:00"),
    Acknowledged(2.0, "t0"),
    Heard(3.0, "t0", Verdict(task="client-1.t0", status="verified", output=b"7"), "aa"),
]


def test_a_journal_goes_on_after_its_writer_was_killed(tmp_path: Path) -> None:
    """Whole lines are there, half a line at the end is not, and the next line stands behind the last whole one."""
    path = tmp_path / "journal"
    journal = Journal(path)
    for line in _LINES[:3]:
        journal.write(line)
    journal.close()
    path.write_bytes(path.read_bytes() + b'{"type":"acknowl')
    left = list(read(path))
    again = Journal(path)
    again.write(_LINES[3])
    again.close()

    assert left == again.entries == _LINES[:3]
    assert list(read(path)) == _LINES


def test_errands_are_known_to_all_who_know_the_seed() -> None:
    """The same twice, of every kind, and with answers that are not all alike."""
    errands = [errand(3, "client-2", number) for number in range(200)]

    assert errands == [errand(3, "client-2", number) for number in range(200)]
    assert errands != [errand(3, "client-3", number) for number in range(200)]
    assert {each.module.name for each in errands} == {"add.wasm", "primes.wasm", "upper.wasm", "exit3.wasm"}
    assert all(each.module.exists() for each in errands)
    assert {end for each in errands for end in each.ends} == {"verified", "failed", "cancelled", "expired"}


def test_a_clock_is_put_forward_and_back_while_the_process_runs(tmp_path: Path) -> None:
    """The wall clock of that process alone; its monotonic clock goes on."""
    try:
        clocks = Clocks(tmp_path)
    except Unavailable as error:
        pytest.skip(str(error))
    program = "import time\nwhile input() != 'end': print(time.time(), time.monotonic(), flush=True)"
    command = ("env", *clocks.environment("node-1"), sys.executable, "-c", program)
    told = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for by_s in (0.0, 7200.0, -90_000.0, 0.0):
            clocks.put("node-1", by_s)
            process.stdin.write("what time is it?\n")
            process.stdin.flush()
            wall_s, monotonic_s = map(float, process.stdout.readline().split())
            told.append((round(wall_s - time.time() - by_s), round(monotonic_s - time.monotonic())))
        process.communicate("end\n")

    assert told == [(0, 0)] * 4


def test_a_full_disk_takes_nothing_and_later_all_of_it_is_left(tmp_path: Path) -> None:
    """Not one more byte is written; with room it goes on; and what was on it is in the folder when it is gone."""
    program = """if True:
        import os, sys
        from pathlib import Path
        from tests.chaos.means import Disk, Unavailable, own_mounts
        try:
            if why := own_mounts(): raise Unavailable(why)
            disk = Disk(Path(sys.argv[1]))
        except Unavailable as error:
            print(error)
            sys.exit(3)
        (disk.folder / "before").write_bytes(b"before")
        disk.fill()
        try:
            (disk.folder / "during").write_bytes(b"x")
        except OSError as error:
            assert error.errno == 28, error
        else:
            sys.exit("the disk took a byte")
        disk.free()
        (disk.folder / "after").write_bytes(b"after")
        disk.leave()
    """
    root = Path(__file__).parents[2]
    done = subprocess.run(
        (sys.executable, "-c", program, tmp_path / "disk"),
        capture_output=True, text=True, check=False, cwd=root, env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    if done.returncode == 3:
        pytest.skip(done.stdout)

    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "disk" / "before").read_bytes() == b"before"
    assert (tmp_path / "disk" / "after").read_bytes() == b"after"


def test_a_silence_counts_for_every_fault_that_it_touches() -> None:
    """From the fault on; of one that ended long before it, it is not."""

    def struck(kind: str, began_s: float, ended_s: float) -> Strike:
        return Strike(Fault(began_s, kind, "node-1"), began_s, ended_s, ("node-1",))

    strikes = [struck("kill", 10, 10), struck("pause", 15, 17), struck("kill", 1, 1)]
    verdicts_s = [0.5, 1.5, 2.0, 6.5, 12.5, 20.5]

    assert silences(strikes, verdicts_s) == {"kill": [4.5, 8.0], "pause": [5.5]}


class _Echo:
    """A server that sends back what it hears, behind a proxy, and a connection through that."""

    async def __aenter__(self) -> Self:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(100):
                self.heard += data
                writer.write(data)
            writer.close()

        self.heard = b""
        self.server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = self.server.sockets[0].getsockname()[1]
        self.proxy = await Proxy(f"nats://127.0.0.1:{port}").__aenter__()
        self.reader, self.writer = await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        await self.proxy.__aexit__()
        self.server.close()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, _, port = self.proxy.url.removeprefix("nats://").partition(":")
        return await asyncio.open_connection(host, int(port))

    async def said(self, data: bytes) -> bytes:
        self.writer.write(data)
        return await asyncio.wait_for(self.reader.read(100), 60)


async def test_a_connection_that_is_half_open_carries_one_way() -> None:
    """Held on the way back, the other side hears and is not heard; let go, what it said arrives."""
    async with _Echo() as echo:
        assert await echo.said(b"one") == b"one"
        echo.proxy.hold("back")
        echo.writer.write(b"two")
        async with asyncio.timeout(60):
            while echo.heard != b"onetwo":
                await asyncio.sleep(0.01)
        silent = not echo.reader._buffer  # type: ignore[attr-defined]
        echo.proxy.let_go("back")

        assert silent
        assert await asyncio.wait_for(echo.reader.read(100), 10) == b"two"


async def test_a_delay_holds_what_is_sent_for_so_long() -> None:
    """There and back, and no longer once it is taken away."""
    loop = asyncio.get_running_loop()
    async with _Echo() as echo:
        echo.proxy.delay_s = 0.1
        begun = loop.time()
        assert await echo.said(b"slow") == b"slow"
        slow_s = loop.time() - begun
        echo.proxy.delay_s = 0.0
        assert await echo.said(b"fast") == b"fast"

    assert slow_s > 0.2


async def test_a_reset_drops_connections_and_takes_new_ones() -> None:
    """A cut takes none."""
    async with _Echo() as echo:
        assert await echo.said(b"kept") == b"kept"
        echo.proxy.reset()
        with pytest.raises(ConnectionResetError):
            await echo.said(b"lost")
        echo.reader, echo.writer = await echo.connect()
        assert await echo.said(b"new") == b"new"
        echo.proxy.cut()
        reader, writer = await echo.connect()
        refused = False
        try:
            refused = await asyncio.wait_for(reader.read(100), 10) == b""
        except ConnectionResetError:
            refused = True
        writer.close()

    assert refused


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a way to mount, there is no disk, and the reason is told: a fault is never left out silently."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Unavailable, match="no small disk can be mounted"):
        Disk(tmp_path / "disk")
    monkeypatch.setattr("tests.chaos.means.os.unshare", _refuse, raising=False)
    assert "run it as root" in own_mounts()


def _refuse(_: int) -> None:
    raise PermissionError(1, "Operation not permitted")
