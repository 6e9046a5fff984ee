"""One cluster of real processes with two gateways for all that breaks nothing for good, and gateways in the test's own loop for what does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from ambient.cluster import ClusterPlan, Supervisor
from bus.server import free_port
from gateway.service import run
from gateway.settings import GatewaySettings
from gateway.tokens import Role, Tokens

GUESTS = Path(__file__).parents[2] / "examples" / "guests"
ADD = GUESTS / "add.wasm"

Client = Callable[..., httpx.AsyncClient]


@pytest.fixture(scope="session", autouse=True)
def _forks(forks: None) -> None:
    """The cluster here is forked from what others were."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Supervisor]:
    """Two nodes, an anchor and two gateways; each process logs what it does with each task."""
    plan = ClusterPlan(
        data=tmp_path_factory.mktemp("gateways"),
        cluster="gw",
        nodes=2,
        slots=1,
        anchors=1,
        gateways=2,
        client="owner",
        log_tasks=True,
        service_options={
            "anchor": ("--anchor-every", "1", "--ledger-every-s", "1"),
            "gateway": ("--rate", "0"),
        },
    )
    async with Supervisor(plan) as cluster:
        yield cluster


def address(cluster: Supervisor, gateway: int = 0) -> str:
    """Where one of the gateways serves."""
    return f"http://127.0.0.1:{cluster.plan.http_ports[gateway]}"


def opened(base: str, token: str | None, **options: object) -> httpx.AsyncClient:
    """A client of a gateway."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(base_url=base, headers=headers, timeout=30, trust_env=False, **options)  # type: ignore[arg-type]


@pytest_asyncio.fixture(loop_scope="session")
async def api(shared: Supervisor) -> AsyncIterator[httpx.AsyncClient]:
    """The first gateway, for an operator."""
    async with opened(address(shared), shared.token) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def other(shared: Supervisor) -> AsyncIterator[httpx.AsyncClient]:
    """The second gateway, for the same operator."""
    async with opened(address(shared, 1), shared.token) as client:
        yield client


@pytest.fixture
def token_for(shared: Supervisor) -> Callable[..., str]:
    """Make a token of a role, for a client."""
    tokens = Tokens(shared.plan.tokens)

    def make(role: Role, client: str = "somebody") -> str:
        return tokens.create(f"{role}-{client}", role, client, created="now", replaces=True)

    return make


async def known(client: httpx.AsyncClient) -> None:
    """Wait until the gateway has read the tokens anew."""
    async with asyncio.timeout(60):
        while (await client.get("/api/v1/tasks?limit=1")).status_code == 401:
            await asyncio.sleep(0.1)


@asynccontextmanager
async def gateway(folder: Path, url: str, cluster: str, **options: object) -> AsyncIterator[tuple[str, str]]:
    """A gateway in this loop: its address and an operator's token."""
    tokens = folder / "tokens.json"
    token = Tokens(tokens).create("test", "operator", "tester", created="now")
    port, stop = free_port(), asyncio.Event()
    settings = GatewaySettings(
        tokens=tokens,
        url=url,
        cluster=cluster,
        name="here",
        port=port,
        **options,  # type: ignore[arg-type]
    )
    serving = asyncio.create_task(run(settings, stop=stop))
    base = f"http://127.0.0.1:{port}"
    try:
        async with opened(base, token) as client:
            await until(lambda: answers(client), serving)
        yield base, token
    finally:
        stop.set()
        await serving


async def answers(client: httpx.AsyncClient) -> bool:
    """Whether a gateway is there."""
    try:
        return (await client.get("/api/v1/health/live")).is_success
    except httpx.TransportError:
        return False


async def until(
    fact: Callable[[], Awaitable[bool]],
    beside: asyncio.Task[None] | None = None,
    *,
    within_s: float = 60,
) -> None:
    """Wait for a fact, as long as the task beside it runs."""
    async with asyncio.timeout(within_s):
        while not await fact():
            if beside is not None and beside.done():
                beside.result()
            await asyncio.sleep(0.05)


async def submitted(client: httpx.AsyncClient, **order: object) -> str:
    """Submit `add(40, 2)`, or what `order` says, and return the task's name."""
    body = {"module": await module(client), "entry": "add", "args": [40, 2], **order}
    answer = await client.post("/api/v1/tasks", json=body)
    assert answer.status_code == 202, answer.text
    name: str = answer.json()["task"]
    return name


async def module(client: httpx.AsyncClient) -> str:
    """The digest of `add.wasm`, uploaded."""
    answer = await client.post("/api/v1/modules", content=ADD.read_bytes())
    assert answer.status_code == 201, answer.text
    digest: str = answer.json()["digest"]
    return digest


async def ended(client: httpx.AsyncClient, task: str) -> dict[str, Any]:
    """The task's story once it has its verdict, and the logs are read as far as that rests on."""
    found: dict[str, Any] = {}

    async def is_told() -> bool:
        nonlocal found
        found = (await client.get(f"/api/v1/tasks/{task}", params={"wait_s": 10})).json()
        accepted = found["accepted"]
        counted = {claim["node"] for claim in found["claimed"] if claim["counted"]}
        # Each log has a reader of its own: the verdict may be read before what it rests on.
        return (
            accepted is not None
            and counted >= {*accepted["agree"], *accepted["dissent"]}
            and bool(found["decided"] or not counted)
        )

    await until(is_told, within_s=120)
    return found
