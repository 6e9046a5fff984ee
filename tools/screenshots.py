#!/usr/bin/env python3
"""Takes the pictures of the dashboard in docs/images, of a cluster that is started for it: `make screenshots`, or those whose names are given.

Four real nodes do real tasks, one of them lies; two thousand more only say how they are (`bench.crowd`), and are called `sim-…`.
"""

import asyncio
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import Browser, FilePayload, Page, async_playwright

import ambient
from ambient.cluster import ClusterPlan, Supervisor

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
GUESTS = ROOT / "examples" / "guests"
_CROWD = 2_000
_MOST_BYTES = 200_000
_DESK, _PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 780}
_SHOTS = (
    ("overview-light", "/", "light", _DESK),
    ("overview-dark", "/", "dark", _DESK),
    ("nodes-light", "/nodes", "light", _DESK),
    ("nodes-dark", "/nodes", "dark", _DESK),
    ("node-dark", "/nodes/node-2", "dark", _DESK),
    ("task-light", "/tasks/me.primes", "light", _DESK),
    ("task-phone", "/tasks/me.primes", "light", _PHONE),
    ("overview-phone", "/", "dark", _PHONE),
    ("submit-light", "/tasks/new", "light", _DESK),
    ("anchor-light", "/anchor", "light", {"width": 1280, "height": 720}),
    ("join-dark", "/join", "dark", _DESK),
)


async def main() -> None:
    """All of them, in about two minutes."""
    with tempfile.TemporaryDirectory(prefix="ambient-shots-") as folder:
        plan = ClusterPlan(
            data=Path(folder),
            cluster="home",
            client="me",
            nodes=4,
            slots=1,
            anchors=1,
            gateways=1,
            extra_nodes=("liar",),
            node_options={"liar": ("--fault", "lie")},
            service_options={"anchor": ("--anchor-every", "3")},
        )
        async with Supervisor(plan) as running:
            crowd = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bench.crowd", running.nats, "home", str(_CROWD)),
                stdout=asyncio.subprocess.PIPE,
                cwd=ROOT,
            )
            assert crowd.stdout is not None  # noqa: S101 -- a pipe was asked for
            await crowd.stdout.readline()
            working = asyncio.create_task(_work(running.nats))
            try:
                await asyncio.sleep(45)
                await _shoot(running)
            finally:
                working.cancel()
                crowd.terminate()
                await crowd.wait()


async def _work(nats: str) -> None:
    """Tasks as they come: some, many, a pause."""
    chance = random.Random(5)  # noqa: S311 -- only for the looks
    async with ambient.connect(nats, cluster="home", client="me") as vcp:
        await vcp.run(GUESTS / "primes.wasm", 100_000, id="primes", entry="count_primes", verify="quorum:2/3")
        while True:
            inputs = [f"{chance.random()}".encode() for _ in range(chance.randint(5, 80))]
            async for _ in vcp.map(GUESTS / "upper.wasm", inputs, verify="quorum:2/3", check=False):
                pass
            await asyncio.sleep(chance.random())


async def _shoot(running: Supervisor) -> None:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or "chromium"
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(
            executable_path=path, args=[] if os.getuid() else ["--no-sandbox"]
        )
        for name, page, scheme, size in _SHOTS:
            if sys.argv[1:] and name not in sys.argv[1:]:
                continue
            await _one(browser, running, IMAGES / f"{name}.png", page, scheme, size)
        await browser.close()


async def _one(  # noqa: PLR0917 -- a row of `_SHOTS`
    browser: Browser, running: Supervisor, image: Path, path: str, scheme: Any, size: Any
) -> None:
    context = await browser.new_context(viewport=size, color_scheme=scheme)
    page = await context.new_page()
    await page.goto(f"{running.http}{path}#token={running.token}")
    if path == "/join":
        await page.get_by_label("Name").fill("kitchen-pi")
        await page.get_by_role("button", name="Make a join token").click()
    if path == "/anchor":
        await _check_receipt(page, running)
    await page.wait_for_timeout(6_000)
    await page.screenshot(path=image)
    await context.close()


async def _check_receipt(page: Page, running: Supervisor) -> None:
    """Lay the receipt of a task on the page, which checks it."""
    headers = {"Authorization": f"Bearer {running.token}"}
    async with httpx.AsyncClient(base_url=running.http, headers=headers) as client:
        receipt = (await client.get("/api/v1/receipts/me.primes")).raise_for_status().content
    file: FilePayload = {"name": "primes.receipt", "mimeType": "application/octet-stream", "buffer": receipt}
    await page.get_by_label("A receipt file").set_input_files(file)


if __name__ == "__main__":
    IMAGES.mkdir(parents=True, exist_ok=True)
    asyncio.run(main())
    for picture in IMAGES.glob("*.png"):
        if picture.stat().st_size > _MOST_BYTES:
            sys.exit(f"{picture.name} has {picture.stat().st_size} bytes, {_MOST_BYTES} are the most")
