"""What goes wrong around a gateway: a bus that is away, bodies and rates beyond their limits, ports and files that cannot be had."""

import asyncio
import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bus.connection import Bus
from bus.server import NatsServer
from bus.streams import ensure_streams, last_sequence
from gateway import submitting
from gateway.errors import AddressTaken, SettingsRefused, TokensUnusable
from gateway.service import run
from gateway.settings import GatewaySettings
from gateway.tokens import Tokens
from tests.command import ambient as run_ambient
from tests.conftest import SMALL
from tests.gateway.conftest import gateway, opened

ORDER = {"module": "sha256:" + "0" * 64, "entry": "add", "args": [1, 2]}


async def test_a_bus_that_goes_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ended in time, a submission is answered late and stored once; else 503 names it, and sent again under its key it is one task."""
    monkeypatch.setattr(submitting, "_STORED_S", 60.0)
    async with NatsServer(tmp_path / "nats") as server:
        async with await Bus.connect(server.url, cluster="away") as bus:
            await ensure_streams(bus, SMALL)
        async with gateway(tmp_path, server.url, "away") as (base, token), opened(base, token) as client:
            first = await client.post("/api/v1/tasks", json=ORDER)
            os.kill(server.pid, signal.SIGSTOP)
            waiting = asyncio.create_task(client.post("/api/v1/tasks", json=ORDER))
            await asyncio.wait([waiting], timeout=0.5)
            os.kill(server.pid, signal.SIGCONT)
            late = await waiting
            os.kill(server.pid, signal.SIGSTOP)
            monkeypatch.setattr(submitting, "_STORED_S", 1.0)
            key = {"Idempotency-Key": "through the outage"}
            with capture_logs() as said:
                lost = await client.post("/api/v1/tasks", json=ORDER, headers=key)
            alive = await client.get("/api/v1/health/live")
            ready = await client.get("/api/v1/health/ready")
            os.kill(server.pid, signal.SIGCONT)
            monkeypatch.setattr(submitting, "_STORED_S", 60.0)
            again = await client.post("/api/v1/tasks", json=ORDER, headers=key)
            async with await Bus.connect(server.url, cluster="away") as bus:
                stored = await last_sequence(bus, "tasks")

    assert (first.status_code, late.status_code, again.status_code) == (202, 202, 202)
    assert lost.status_code == 503
    assert lost.json()["task"] == again.json()["task"]
    assert [line["task"] for line in said if line["event"] == "request"] == [again.json()["task"]]
    assert lost.headers["retry-after"]
    assert alive.status_code == 200
    assert (ready.status_code, ready.json()["ready"]) == (503, False)
    assert stored == 3


async def test_a_body_beyond_the_limit_is_refused_unread(
    server: NatsServer, cluster: str, tmp_path: Path
) -> None:
    """Whether it says how long it is or comes in pieces: 413 with the limit, for quick paths as for others."""

    async def endless() -> object:
        for _ in range(64):
            yield b" " * 65536

    async with (
        gateway(tmp_path, server.url, cluster, body_bytes=2**20) as (base, token),
        opened(base, token) as client,
    ):
        said = [
            await client.post(path, content=b" " * (2**20 + 1))
            for path in ("/api/v1/tasks", "/api/v1/modules", "/api/v1/receipts/verify", "/api/v1/nodes")
        ]
        pieces = await client.post("/api/v1/tasks", content=endless())  # type: ignore[arg-type]

    assert {answer.status_code for answer in (*said, pieces)} == {413}
    assert said[0].json()["limit"] == "at most 1048576 bytes"


async def test_who_asks_too_often_is_told_when_to_come_back(
    server: NatsServer, cluster: str, tmp_path: Path
) -> None:
    """Beyond its burst a token hears 429 with `Retry-After`, and only that token; later it is served again."""
    async with gateway(tmp_path, server.url, cluster, per_s=1.0, burst=10.0) as (base, token):
        other = Tokens(tmp_path / "tokens.json").create("other", "viewer", "eve", created="now")
        async with opened(base, token) as client, opened(base, other) as neighbour:
            answers = [await client.get("/api/v1/ledger") for _ in range(40)]
            async with asyncio.timeout(60):
                while (unaffected := await neighbour.get("/api/v1/ledger")).status_code == 401:
                    await asyncio.sleep(0.1)
            refused = [answer for answer in answers if answer.status_code == 429]
            async with asyncio.timeout(60):
                while (await client.get("/api/v1/ledger")).status_code == 429:
                    await asyncio.sleep(int(refused[0].headers["retry-after"]))

    assert 10 <= sum(answer.is_success for answer in answers) < 40
    assert refused[0].json()["limit"]
    assert unaffected.status_code == 200


async def test_a_port_that_is_taken_is_said_before_anything_begins(tmp_path: Path) -> None:
    """With what to do about it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = GatewaySettings(tokens=tmp_path / "tokens.json", port=taken.getsockname()[1])
        with pytest.raises(AddressTaken, match="--http-port"):
            await run(settings)


async def test_tokens_that_cannot_be_read_are_said_at_the_start(tmp_path: Path) -> None:
    """A gateway without its tokens would refuse everybody, and nobody would know why."""
    (tmp_path / "tokens.json").write_text("{")
    with pytest.raises(TokensUnusable, match=r"tokens\.json"):
        await run(GatewaySettings(tokens=tmp_path / "tokens.json", port=0))


@pytest.mark.parametrize("wrong", [{"cluster": "a.b"}, {"body_bytes": 1}, {"per_s": -1.0}, {"streams": 0}])
def test_settings_out_of_range_are_named(tmp_path: Path, wrong: dict[str, object]) -> None:
    """The field, and what is allowed."""
    with pytest.raises(SettingsRefused) as refused:
        GatewaySettings(tokens=tmp_path, **wrong)  # type: ignore[arg-type]

    assert refused.value.field == next(iter(wrong))


def test_the_command_makes_lists_and_ends_tokens(tmp_path: Path) -> None:
    """A token is printed once; the list has everything but its secret; ended, it is gone."""

    def ambient(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        return asyncio.run(run_ambient("token", *arguments, "--tokens", str(tmp_path / "t.json")))

    made = json.loads(ambient("create", "ci", "--role", "client", "--client", "bot", "--json").stdout)
    caller = Tokens(tmp_path / "t.json").caller(made["token"])
    listed = ambient("list").stdout.decode()
    ended = ambient("revoke", "ci")
    again = ambient("revoke", "ci")

    assert caller is not None
    assert (caller.role, caller.client) == ("client", "bot")
    assert "ci" in listed
    assert made["token"].rpartition("_")[2] not in listed + (tmp_path / "t.json").read_text()
    assert (ended.returncode, again.returncode) == (0, 2)
    assert Tokens(tmp_path / "t.json").rows() == []
