"""What the REST API bears beside the cluster on one machine: requests a second from an HTTP client with keep-alive connections.

The client is the least that HTTP/1.1 allows (a request, a head, a body of the length that it says), so that the figures are the gateway's and not its own.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ambient.client import Client
from ambient.cluster import Supervisor
from bench.cluster import GUESTS, cluster, cpu_seconds, run
from bench.rows import Row, median_of, percentile

__all__ = ["main"]

_CONNECTIONS = 32
_SPAN_S = 4.0
_RUNS = 3


def main() -> list[Row]:
    """GET of one task, GET of a list, and submissions of one task each; all of them authenticated."""
    return run(_measure())


@dataclass(frozen=True, slots=True)
class _Load:
    """Requests a second, how long each took (ms), and what the gateway's processor time was for each (us)."""

    per_s: float
    took_ms: list[float]
    cpu_us: float


async def _measure() -> list[Row]:
    options = {"gateway": ("--rate", "0", "--log-level", "warning")}
    async with cluster(gateways=1, service_options=options) as (running, client):
        await client.run(GUESTS / "add.wasm", 1, 1, entry="add", id="known")
        head = f"Host: bench\r\nAuthorization: Bearer {running.token}\r\n"
        digest = await _module(running, head)
        get = f"GET /api/v1/tasks/bench.known HTTP/1.1\r\n{head}\r\n".encode()
        page = f"GET /api/v1/tasks?limit=20 HTTP/1.1\r\n{head}\r\n".encode()
        live = f"GET /api/v1/health/live HTTP/1.1\r\n{head}\r\n".encode()
        lives = await _loads(running, lambda: live)
        gets = await _loads(running, lambda: get)
        posts = await _loads(running, lambda: _post(head, digest))
        await _settle(client)
        pages = await _loads(running, lambda: page)
    return [
        *_rows("GET /health/live", lives, aim=3000, floor=2000),
        *_rows("GET of one task", gets, aim=3000, floor=2000),
        *_rows("GET of a list of 20 tasks", pages),
        *_rows("submissions of one task each, acknowledged", posts, aim=1500, floor=1000),
    ]


def _rows(
    name: str, loads: list[_Load], *, aim: float | None = None, floor: float | None = None
) -> list[Row]:
    took_ms = [ms for load in loads for ms in load.took_ms]
    return [
        Row(
            name=name,
            value=median_of([load.per_s for load in loads]),
            unit="requests/s",
            better="higher",
            aim=aim,
            floor=floor,
        ),
        Row(name=f"{name}, p99", value=percentile(took_ms, 0.99), unit="ms"),
        Row(name=f"{name}, CPU of the gateway", value=median_of([load.cpu_us for load in loads]), unit="us"),
    ]


def _post(head: str, digest: str) -> bytes:
    body = json.dumps({"module": digest, "entry": "add", "args": [1, 2]}).encode()
    return f"POST /api/v1/tasks HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def _module(running: Supervisor, head: str) -> str:
    wasm = (GUESTS / "add.wasm").read_bytes()
    request = f"POST /api/v1/modules HTTP/1.1\r\n{head}Content-Length: {len(wasm)}\r\n\r\n".encode() + wasm
    connection = await _Connection.open(running.plan.http_ports[0])
    digest: str = json.loads(await connection.ask(request))["digest"]
    connection.close()
    return digest


async def _loads(running: Supervisor, request: Callable[[], bytes]) -> list[_Load]:
    await _load(running, request, 1.0)
    return [await _load(running, request, _SPAN_S) for _ in range(_RUNS)]


async def _load(running: Supervisor, request: Callable[[], bytes], span_s: float) -> _Load:
    connections = [await _Connection.open(running.plan.http_ports[0]) for _ in range(_CONNECTIONS)]
    before, begun = cpu_seconds(running)["gateway"], time.perf_counter()
    took = await asyncio.gather(*(_busy(each, request, begun + span_s) for each in connections))
    spent_s, cpu_s = time.perf_counter() - begun, cpu_seconds(running)["gateway"] - before
    for each in connections:
        each.close()
    took_ms = [ms for one in took for ms in one]
    return _Load(len(took_ms) / spent_s, took_ms, cpu_s / len(took_ms) * 1e6)


async def _busy(connection: "_Connection", request: Callable[[], bytes], until: float) -> Iterable[float]:
    took_ms = []
    while (begun := time.perf_counter()) < until:
        await connection.ask(request())
        took_ms.append((time.perf_counter() - begun) * 1000)
    return took_ms


async def _settle(client: Client) -> None:
    """Wait until what was submitted has its verdict."""
    async with asyncio.timeout(300):
        while (health := (await client.health()).coordinator) is None or health.open:
            await asyncio.sleep(0.2)


class _Connection:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> "_Connection":
        """Connect to the gateway."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, request: bytes) -> bytes:
        """The body of a good answer; a bad one ends the measurement, as a rate of refusals means nothing."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        at = head.index(b"content-length: ") + 16
        body = await self._reader.readexactly(int(head[at : head.index(b"\r", at)]))
        assert head[9:10] == b"2", head + body  # noqa: S101 -- as said
        return body

    def close(self) -> None:
        """Disconnect."""
        self._writer.close()
