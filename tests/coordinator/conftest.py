"""The fixture of the coordinator's service tests."""

from collections.abc import AsyncIterator

import pytest_asyncio

from bus.connection import Bus
from tests.coordinator.cell import Cell


@pytest_asyncio.fixture
async def cell(bus: Bus) -> AsyncIterator[Cell]:
    """A fresh cluster whose decisions are read and whose verifier runs; coordinators and nodes are for the test to start."""
    fresh = Cell(bus)
    fresh.reader.start()
    fresh.verifier.start()
    yield fresh
    await fresh.close()
