"""One healthy cluster of real processes for all system tests that break nothing."""

import os
from collections.abc import AsyncIterator
from subprocess import CompletedProcess

import pytest
import pytest_asyncio

from ambient.client import Client, connect
from ambient.cluster import ClusterPlan, Supervisor
from tests.command import ambient
from tests.system.logs import Cli


@pytest.fixture(scope="session", autouse=True)
def _forks(forks: None) -> None:
    """All clusters here are forked from one process."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Supervisor]:
    """One healthy cluster of three nodes for all tests that break nothing."""
    plan = ClusterPlan(data=tmp_path_factory.mktemp("cluster"), cluster="sys", slots=1)
    async with Supervisor(plan) as cluster:
        yield cluster


@pytest_asyncio.fixture
async def client(shared: Supervisor) -> AsyncIterator[Client]:
    """A client of the shared cluster."""
    async with connect(shared.nats, cluster="sys", client="tester") as connected:
        yield connected


@pytest.fixture
def cli(shared: Supervisor) -> Cli:
    """Run the command `ambient` against the shared cluster, as a user would."""

    async def run(*arguments: str, stdin: bytes = b"") -> CompletedProcess[bytes]:
        environment = {
            **os.environ,
            "NATS_URL": shared.nats,
            "AMBIENT_CLUSTER": "sys",
            "AMBIENT_CLIENT": "cli",
        }
        return await ambient(*arguments, stdin=stdin, environment=environment)

    return run
