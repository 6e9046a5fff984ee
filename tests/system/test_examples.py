"""The Python examples run as they are, against a real cluster."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from ambient.cluster import Supervisor

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("[a-z]*.py"))


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
async def test_an_example_runs_and_prints_something(shared: Supervisor, script: Path) -> None:
    """Each example ends with exit code 0 and says what it found, with nothing on stderr."""
    environment = {
        **os.environ,
        "NATS_URL": shared.nats,
        "AMBIENT_CLUSTER": "sys",
        "PYTHONPATH": str(script.parents[1]),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)

    assert (process.returncode, err.decode()) == (0, "")
    assert out.strip()
