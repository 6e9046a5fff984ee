"""A scripted coordinator on a fresh cluster, and nodes in this process that end with the test."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from bus.connection import Bus
from tests.workers.scripted import Coordinator, RunningNode, StartNode
from workers.settings import NodeSettings


@pytest_asyncio.fixture
async def coordinator(bus: Bus) -> AsyncIterator[Coordinator]:
    scripted = Coordinator(bus)
    await scripted.start()
    yield scripted
    await scripted.stop()


@pytest.fixture
def settings(bus: Bus, tmp_path: Path) -> NodeSettings:
    return NodeSettings(
        data=tmp_path / "node",
        id="n1",
        url=bus.url,
        cluster=bus.subjects.cluster,
        slots=1,
        memory_mb=2048,
        bandwidth_mbps=100.0,
        telemetry_s=0.1,
        drain_s=10.0,
    )


@pytest_asyncio.fixture
async def start_node(settings: NodeSettings) -> AsyncIterator[StartNode]:
    running: list[RunningNode] = []

    def start(**changes: Any) -> RunningNode:
        running.append(RunningNode(msgspec.structs.replace(settings, **changes)))
        return running[-1]

    yield start
    for node in running:
        node.switch.pull()
        node.switch.pull()
        await node.ended()
