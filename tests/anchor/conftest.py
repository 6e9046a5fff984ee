"""A chain of Bitcoin Core's consensus code for each test, begun once."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from anchor.bitcoin.embedded.chain import EmbeddedChain


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a chain that has coins to spend."""
    folder = tmp_path_factory.mktemp("chain")

    async def begin() -> None:
        await (await EmbeddedChain.open(folder)).close()

    asyncio.run(begin())
    return folder


@pytest.fixture
def folder(begun: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(begun, tmp_path / "chain"))


@pytest.fixture
async def chain(folder: Path) -> AsyncIterator[EmbeddedChain]:
    """The chain, open."""
    opened = await EmbeddedChain.open(folder)
    yield opened
    await opened.close()
