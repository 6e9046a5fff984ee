"""The demo is true, ends by itself, leaves nothing behind, and the README shows what it really prints."""

import asyncio
import os
import re
import sys
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]


def _shape(text: str) -> list[str]:
    """The demo's facts without what differs between runs: figures, process ids and which nodes answered."""
    facts = [line.strip() for line in text.splitlines() if line.strip().startswith("✓")]
    return [re.sub(r"node-\d", "node", re.sub(r"\d[\d,.]*", "N", fact))[:60] for fact in facts]


async def test_the_demo_shows_what_the_readme_shows(tmp_path: Path) -> None:
    """`ambient demo` exits 0, states the facts recorded in README.md, and leaves no process and no file."""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "NO_COLOR": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ambient", "demo", env=environment, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), 150)
    recorded = (ROOT / "README.md").read_text().split("<!-- demo:")[1].split("<!-- end of demo")[0]
    left_files = await asyncio.to_thread(lambda: list(tmp_path.iterdir()))
    left = [
        found.pid
        for found in psutil.process_iter(["cmdline"])
        if str(tmp_path) in " ".join(found.info["cmdline"] or [])
    ]

    assert process.returncode == 0, out.decode()
    assert _shape(out.decode()) == _shape(recorded)
    assert left_files == []
    assert left == []
