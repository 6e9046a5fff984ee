"""The health check of a service: only a process whose own event loop answers is well."""

import asyncio
import subprocess
import sys

from bus.server import free_port
from metrics.board import Board
from metrics.page import serve_page


def probed(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "metrics.probe", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stderr


async def test_a_process_is_well_while_it_serves_its_page() -> None:
    """0 for a page; 1 once its loop is busy with something else, which looks from outside like a process that hangs."""
    async with serve_page(Board([]), 0) as port:
        assert await asyncio.to_thread(probed, str(port)) == (0, "")
        code, said = probed(str(port))  # blocks the loop that would have to answer
        assert (code, "nobody answers" in said) == (1, True)


def test_nobody_there_and_no_port_are_told_apart() -> None:
    """What is to be mended is named: the process that is not there, or the check itself."""
    port = str(free_port())
    code, said = probed(port)
    assert (code, f"--metrics {port}" in said) == (1, True)
    assert probed("nowhere") == (2, "usage: python -m metrics.probe PORT\n")
    assert probed()[0] == 2
