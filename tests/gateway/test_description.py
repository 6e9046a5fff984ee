"""The API is as it is described, and its pages bring nothing from anywhere else."""

import asyncio
import os
import re
import sys
from collections import deque
from pathlib import Path

import httpx
import pytest

from ambient.cluster import Supervisor
from gateway.routes import papers
from tests.gateway.conftest import address, ended, opened, submitted, until

pytestmark = pytest.mark.asyncio(loop_scope="session")
HERE = Path(__file__).parent


@pytest.mark.long
async def test_schemathesis_finds_nothing(shared: Supervisor, api: httpx.AsyncClient, tmp_path: Path) -> None:
    """Whatever the description allows is answered as it says, and whatever it forbids is refused: all checks, exceptions with reasons.

    Also along its links, where names come out of answers. It is the same each time, and as much as a few seconds allow: no share of a time-out.
    """
    await ended(api, await submitted(api))
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml")),
        *("run", f"{address(shared)}/schema", "--header", f"Authorization: Bearer {shared.token}"),
        *("--phases", "coverage,fuzzing,stateful", "--max-examples", "1"),
        *("--generation-deterministic", "--no-shrink", "--request-timeout", "40", "--no-color"),
    ]
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "tests.gateway.schemathesis_hooks",
        "PYTHONPATH": str(HERE.parents[1]),
    }
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
        cwd=tmp_path,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), 120)
    finally:
        await until(lambda: work_again(api))

    assert process.returncode == 0, said.decode()


async def work_again(api: httpx.AsyncClient) -> bool:
    """Whether the nodes take work again: names that are learned from answers are tried, and so nodes are drained and sent away."""
    told = [await api.post(f"/api/v1/nodes/{node}/undrain") for node in ("node-1", "node-2")]
    return all(answer.is_success and answer.json()["state"] == "healthy" for answer in told)


async def test_no_page_names_another_host(shared: Supervisor) -> None:
    """Every page, and every file that one leads to, is followed: what a browser would load comes from here, and no script stands in a page."""
    async with opened(address(shared), None) as client:
        waiting = deque(["/swagger-ui", "/"])
        seen: dict[str, httpx.Response] = {}
        while waiting:
            path = waiting.popleft()
            if path in seen:
                continue
            seen[path] = found = await client.get(path)
            kind = found.headers.get("content-type", "")
            if "html" in kind:
                waiting += re.findall(r'(?:src|href)="(/[^"#]+)"', found.text)

    assert all(found.status_code == 200 for found in seen.values()), seen
    assert {"/swagger-ui/swagger-ui-bundle.js", "/swagger-ui/swagger-ui.css"} <= set(seen)
    for path, found in seen.items():
        policy = found.headers["content-security-policy"]
        assert "default-src 'none'" in policy, path
        assert "http" not in policy.replace("https:", "http"), path
        assert "unsafe-eval" not in policy, path
        assert re.search(r"script-src[^;]*unsafe-inline", policy) is None, path
        if "html" in found.headers["content-type"]:
            assert re.findall(r'(?:src|href)\s*=\s*["\']?\s*(?:https?:)?//', found.text) == [], path
            assert re.findall(r"<script(?![^>]*\bsrc=)[^>]*>", found.text) == [], path
            assert re.findall(r"\bon\w+\s*=", found.text) == [], path
        if "css" in found.headers["content-type"]:
            assert (
                re.findall(r"url\(\s*['\"]?(?:https?:)?//|@import\s+['\"]?(?:https?:)?//", found.text) == []
            ), path


async def test_what_an_operators_browser_runs_is_what_was_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of Swagger UI that is not, byte for byte, the one that was looked at is not served."""
    monkeypatch.setattr(papers, "_ASSETS", {"swagger-ui.css": ("text/css", "0" * 64)})
    papers._asset.cache_clear()
    with pytest.raises(papers.AssetsUnusable, match="not the file"):
        papers._asset("swagger-ui.css")
    papers._asset.cache_clear()


async def test_the_description_is_complete(shared: Supervisor) -> None:
    """OpenAPI 3.1; every operation says who may use it and how it is refused, and no name in it leads nowhere."""
    async with opened(address(shared), None) as client:
        document = (await client.get("/schema")).json()
    operations = [
        (path, method, said) for path, each in document["paths"].items() for method, said in each.items()
    ]
    references = set(re.findall(r"#/components/schemas/(\w+)", str(document)))

    assert document["openapi"].startswith("3.1")
    assert references <= set(document["components"]["schemas"])
    for path, method, said in operations:
        assert said["summary"], (path, method)
        if "health" not in path:
            assert {"401", "429"} <= set(said["responses"]), (path, method)
