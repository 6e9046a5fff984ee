"""What every test of a part that meets the bus shares: a real nats-server and a fresh cluster on it."""

import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import nats.js.errors
import pytest
import pytest_asyncio
import structlog
from hypothesis import settings

from bus.connection import Bus
from bus.server import NatsServer
from bus.steps import STEPS
from bus.streams import DEFAULT_MAX_BYTES, StreamLimits, ensure_streams
from tests.command import fork_server

_clusters = itertools.count()

# The wall time of an example measures the neighbours, not us.
settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")

SMALL = StreamLimits(max_bytes=dict.fromkeys(DEFAULT_MAX_BYTES, 64 * 1024**2))
"""JetStream reserves a stream's space; many test clusters share one server's disk."""


_LONG = (
    "system/test_three_servers.py",
    "chaos",
    "system",
    "simulation",
    "dashboard",
    "gateway",
    "examples",
    "sandbox",
    "ambient",
)
"""What takes longest, in this order: begun last, one file would keep one core busy while the other has nothing left to do."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    tests = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        place = item.path.relative_to(tests).as_posix()
        return next((at for at, long in enumerate(_LONG) if place.startswith(long)), len(_LONG))

    items.sort(key=rank)


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """What one test says about logging is forgotten before the next: some count log lines, some want none."""
    yield
    structlog.reset_defaults()
    STEPS.on = False


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One fork server for all clusters of a session, which then costs what one of them did."""
    with fork_server(tmp_path_factory.mktemp("forks")) as path, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AMBIENT_FORK_SERVER", str(path))
        yield


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NatsServer]:
    """One nats-server for all tests that do not stop it; each test has a cluster of its own on it."""
    data: Path = tmp_path_factory.mktemp("nats")
    async with NatsServer(data) as running:
        yield running


@pytest.fixture
def cluster() -> str:
    """A cluster name that no other test uses."""
    return f"t{next(_clusters)}"


@pytest_asyncio.fixture
async def bus(server: NatsServer, cluster: str) -> AsyncIterator[Bus]:
    """A connection to a fresh cluster whose streams exist."""
    async with await Bus.connect(server.url, cluster=cluster) as connected:
        await ensure_streams(connected, SMALL)
        yield connected
        # Their reserved space is for the next test; a test that closed its connection leaves them to the end of the run.
        if connected.is_connected:
            for name in SMALL.max_bytes:
                with contextlib.suppress(nats.js.errors.NotFoundError):
                    await connected.js.delete_stream(connected.subjects.stream(name))
