"""One healthy cluster of real processes for all system tests that break nothing."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from subprocess import PIPE, CompletedProcess

import pytest
import pytest_asyncio

from ambient.client import Client, connect
from ambient.cluster import ClusterPlan, Supervisor
from tests.system.logs import Cli


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
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ambient",
            *arguments,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=environment,
        )
        out, err = await asyncio.wait_for(process.communicate(stdin), 60)
        return CompletedProcess(arguments, process.returncode or 0, out, err)

    return run
