"""A real Prometheus over a real cluster, for one test: scrapes every second, evaluates the committed rules, answers queries."""

import asyncio
import contextlib
import json
import math
import shutil
import urllib.parse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bus.server import free_port

__all__ = ["PROMETHEUS", "Prometheus", "prometheus"]

PROMETHEUS = shutil.which("prometheus")
_CONFIGURATION = """\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}/*.yaml"]
scrape_configs:
  - job_name: ambient
    file_sd_configs: [{{files: ["{targets}"]}}]
"""


class Prometheus:
    """The HTTP interface of one that runs."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def get(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer; fails with Prometheus' own words over a query that it does not take."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
            writer.write(f"GET /api/v1/{path}{query} HTTP/1.0\r\n\r\n".encode())
            body = (await asyncio.wait_for(reader.read(), 20)).partition(b"\r\n\r\n")[2]
        finally:
            writer.close()
        answer = json.loads(body)
        assert answer["status"] == "success", (parameters, answer)
        return answer["data"]

    async def values(self, expr: str) -> list[float]:
        """What an expression comes to now, without what is no number."""
        found = await self.get("query", query=expr)
        samples = [found] if found["resultType"] == "scalar" else found["result"]
        numbers = (
            float(each[1] if found["resultType"] == "scalar" else each["value"][1]) for each in samples
        )
        return [number for number in numbers if not math.isnan(number)]


def _configure(folder: Path, targets: Path, rules: Path) -> None:
    folder.mkdir()
    (folder / "prometheus.yml").write_text(_CONFIGURATION.format(rules=rules, targets=targets))


@asynccontextmanager
async def prometheus(folder: Path, targets: Path, rules: Path) -> AsyncIterator[Prometheus]:
    """Run one until the context ends; its log is `prometheus.log` in `folder`."""
    assert PROMETHEUS is not None
    _configure(folder, targets, rules)
    port = free_port()
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            PROMETHEUS,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--enable-feature=exemplar-storage",
            stdout=log,
            stderr=log,
        )
    try:
        running = Prometheus(port)
        async with asyncio.timeout(60):
            while process.returncode is None:
                with contextlib.suppress(OSError, ValueError):
                    await running.get("status/runtimeinfo")
                    break
                await asyncio.sleep(0.05)
        assert process.returncode is None, (folder / "prometheus.log").read_text()[-2000:]
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
