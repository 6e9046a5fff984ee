"""What `ambient doctor` finds on this machine: each thing that can be wrong is made wrong, and named with its cure."""

import asyncio
import shutil
import socket
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambient import machine
from ambient.doctor import examine
from ambient.settings import ConnectionSettings
from bus.server import NatsServer, free_port


class Usage(NamedTuple):
    """What `shutil.disk_usage` says."""

    total: int
    used: int
    free: int


@pytest.mark.parametrize(
    ("total_gib", "free_gib", "ok"), [(100, 50, True), (100, 9, False), (4, 3, True), (4, 1, False)]
)
def test_a_disk_with_little_room_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, total_gib: int, free_gib: int, ok: bool
) -> None:
    """Less than a tenth or than 2 GiB is scarce, because full logs refuse work."""
    usage = Usage(total_gib * 2**30, 0, free_gib * 2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    found = machine.disk(tmp_path)

    assert found.ok is ok
    assert bool(found.cure) is not ok
    assert str(tmp_path) in found.detail


def test_keys_that_others_can_read_are_named(tmp_path: Path) -> None:
    """Whatever lies open is named with its path and the command that shuts it; a folder as we make it is well."""
    tmp_path.chmod(0o700)
    for name in ("node-1/identity", "operator.key", "cluster.json", "log.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch(mode=0o600)
    assert machine.permissions(tmp_path).ok

    (tmp_path / "log.txt").chmod(0o644)  # no secret
    assert machine.permissions(tmp_path).ok

    (tmp_path / "node-1/identity").chmod(0o640)
    found = machine.permissions(tmp_path)
    assert not found.ok
    assert str(tmp_path / "node-1/identity") in found.detail
    assert found.cure == f"as their owner: `chmod -R go= {tmp_path}`"

    (tmp_path / "node-1/identity").chmod(0o600)
    tmp_path.chmod(0o777)
    assert "others may write" in machine.permissions(tmp_path).detail


async def test_an_address_at_which_nobody_listens_is_named(tmp_path: Path) -> None:
    """Of all addresses in `cluster.json` the silent one is told, and which logs to read."""
    silent = f"http://127.0.0.1:{free_port()}"
    with socket.create_server(("127.0.0.1", 0)) as there:
        url = f"nats://127.0.0.1:{there.getsockname()[1]}"
        well = await machine.ports({"nats": url, "data": str(tmp_path)})
        ill = await machine.ports({"nats": url, "metrics": {"n": f"{silent}/metrics"}, "data": str(tmp_path)})

    assert (well.ok, well.cure) == (True, "")
    assert not ill.ok
    assert silent in ill.detail
    assert url not in ill.detail
    assert str(tmp_path) in ill.cure


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=20) | st.sampled_from(["nats://h:4222", "http://h:1/x?y"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(JSON)
def test_addresses_are_found_wherever_they_stand(value: Any) -> None:
    """Any document is read without an error, and each address in it is found once, without its path."""
    found = machine.addresses([value, {"deep": [value, "nats://h:4222,nats://h:4223"]}, "http://h:1/x"])

    assert len(set(found)) == len(found)
    assert {"nats://h:4222", "nats://h:4223", "http://h:1"} <= set(found)
    assert all(url.count("/") == 2 for url in found)


async def test_who_is_at_the_address_instead_is_told(tmp_path: Path) -> None:
    """Nobody, somebody who speaks no NATS, and a server: each of them has another cure."""

    async def speak_http(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    other = await asyncio.start_server(speak_http, "127.0.0.1", 0)
    async with other, NatsServer(tmp_path) as server:
        port = other.sockets[0].getsockname()[1]
        assert "no NATS server" in await machine.who_listens(f"nats://127.0.0.1:{port}")
        assert "nobody listens" in await machine.who_listens(f"nats://127.0.0.1:{free_port()}")
        assert "did not let us in" in await machine.who_listens(server.url)

        settings = ConnectionSettings(f"nats://127.0.0.1:{port}", "home", "me")
        found = {f.subject: f for f in await examine(settings, tmp_path)}
        assert found["disk"].detail.endswith(str(tmp_path))
        assert "no NATS server" in found["server"].detail


async def test_a_machine_without_data_of_the_cluster_is_not_judged(
    server: NatsServer, tmp_path: Path
) -> None:
    """Whoever only submits tasks has no keys and no logs here; the server's version is told in any case."""
    found = await examine(ConnectionSettings(server.url, "nowhere", "me"), tmp_path / "none")

    subjects = [finding.subject for finding in found]
    assert subjects[:2] == ["server", "version"]
    assert found[1].ok
