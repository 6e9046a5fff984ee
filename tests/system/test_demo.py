"""The demo is true, ends by itself, leaves nothing behind, and the README shows what it really prints."""

import asyncio
import os
import re
import signal
import sys
import urllib.request
from pathlib import Path
from subprocess import PIPE

import psutil
import pytest

ROOT = Path(__file__).parents[2]


def _shape(text: str) -> list[str]:
    """The demo's facts without what differs between runs: figures, process ids and which nodes answered."""
    facts = [line.strip() for line in text.splitlines() if line.strip().startswith("✓")]
    return [re.sub(r"node-\d", "node", re.sub(r"\d[\d,.]*", "N", fact))[:60] for fact in facts]


@pytest.mark.long
async def test_the_demo_shows_what_the_readme_shows_and_may_go_on(tmp_path: Path) -> None:
    """`ambient demo --keep` states the facts recorded in README.md, serves a dashboard until it is told to end, exits 0, and leaves no process and no file."""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "NO_COLOR": "1"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ambient", "demo", "--keep"), env=environment, stdout=PIPE, stderr=PIPE
    )
    assert process.stderr is not None
    assert process.stdout is not None
    async with asyncio.timeout(200):
        shown = asyncio.create_task(process.stdout.read())
        while not (dashboard := re.search(rb"http://127\.0\.0\.1:\d+", await process.stderr.readline())):
            assert not process.stderr.at_eof(), (await shown).decode()
        with urllib.request.urlopen(dashboard[0].decode(), timeout=10) as page:  # noqa: ASYNC210, S310
            served = page.status
        process.send_signal(signal.SIGINT)
        out = await shown
        await process.wait()
    recorded = (ROOT / "README.md").read_text().split("<!-- demo:")[1].split("<!-- end of demo")[0]
    left_files = await asyncio.to_thread(lambda: list(tmp_path.iterdir()))
    left = [
        found.pid
        for found in psutil.process_iter(["cmdline"])
        if str(tmp_path) in " ".join(found.info["cmdline"] or [])
    ]

    assert served == 200
    assert process.returncode == 0, out.decode()
    assert _shape(out.decode()) == _shape(recorded)
    assert left_files == []
    assert left == []
