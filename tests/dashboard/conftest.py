"""One cluster of `ambient up` and one Chromium for all tests of the dashboard; each test has a browser profile of its own.

Whatever a test does, it also promises that the browser had nothing to complain of: no error on the console, no request to another host.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

import ambient
from ambient.cluster import ClusterPlan, Supervisor

playwright = pytest.importorskip(
    "playwright.async_api", reason="the browser tests need playwright: make setup"
)
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect  # noqa: E402

expect.set_options(timeout=45_000)
NODES = 3
ELSEWHERE = "lan.example"
"""A name that the browser takes for another machine: what it reaches there over plain HTTP is no secure context."""
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str:
    """The browser's path; skips where there is none."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip(
            "no Chromium is installed (Debian's package `chromium`, or CHROMIUM=/path): nothing is tested in a browser"
        )
    return found


@pytest.fixture(scope="session", autouse=True)
def _forks(forks: None) -> None:
    """The cluster here is forked from what others were."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Supervisor]:
    """The cluster, as `ambient up` runs it, with an anchor that publishes each second."""
    plan = ClusterPlan(
        data=tmp_path_factory.mktemp("cluster"),
        cluster="web",
        client="me",
        nodes=NODES,
        slots=1,
        anchors=1,
        gateways=1,
        service_options={"anchor": ("--anchor-every", "1")},
    )
    async with Supervisor(plan) as cluster:
        yield cluster


@pytest.fixture
def link(running: Supervisor) -> str:
    """The address that signs in."""
    return f"{running.http}/#token={running.token}"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Headless, with the machine's own Chromium."""
    path = chromium()
    sandbox = () if os.getuid() else ("--no-sandbox",)  # which root cannot have
    async with async_playwright() as driver:
        started = await driver.chromium.launch(
            executable_path=path,
            args=[*sandbox, "--disable-dev-shm-usage", f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1"],
        )
        yield started
        await started.close()


@dataclass
class Visitor:
    """Somebody with a browser of their own, and what their browser complained of."""

    context: BrowserContext
    base: str
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    """Parts of complaints that the test provokes."""

    async def open(self, address: str) -> Page:
        """A tab that is watched."""
        page = await self.context.new_page()
        page.on("console", lambda said: self._heard(said.type, f"{said.text} {said.location.get('url', '')}"))
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        page.on("request", lambda request: self._sent(request.url))
        await page.goto(address)
        return page

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def _sent(self, url: str) -> None:
        if (
            urlsplit(url).scheme not in ("blob", "data")
            and urlsplit(url).netloc != urlsplit(self.base).netloc
        ):
            self.complaints.append(f"request to {url}")

    def check(self) -> None:
        """Fail on any complaint that the test did not provoke."""
        left = [each for each in self.complaints if not any(part in each for part in self.expected)]
        assert left == []


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(browser: Browser, running: Supervisor) -> AsyncIterator[Visitor]:
    """Somebody new; at the end their browser has complained of nothing that the test did not provoke."""
    context = await browser.new_context(color_scheme="light", viewport={"width": 1280, "height": 800})
    someone = Visitor(context, running.http)
    yield someone
    await context.close()
    someone.check()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def scripts(browser: Browser, running: Supervisor) -> AsyncIterator[Page]:
    """A page on which nobody is signed in, for functions that need no more than their modules: one for all tests."""
    context = await browser.new_context()
    someone = Visitor(context, running.http)
    yield await someone.open(someone.base)
    await context.close()
    someone.check()


@pytest_asyncio.fixture(loop_scope="session")
async def page(visitor: Visitor, link: str) -> Page:
    """The overview, signed in and live."""
    opened = await visitor.open(link)
    await expect(opened.locator(".link-state")).to_have_attribute("data-state", "live")
    return opened


@pytest.fixture
def eventually() -> Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]:
    """Wait for a fact."""

    async def wait(fact: Callable[[], Awaitable[bool]], timeout_s: float = 30.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not await fact():
                await asyncio.sleep(0.1)

    return wait


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def known_task(running: Supervisor) -> str:
    """A task with a verdict."""
    async with ambient.connect(running.nats, cluster="web", client="me") as vcp:
        verdict = await vcp.run("examples/guests/upper.wasm", input=b"known", id="known", verify="quorum:2/3")
    return str(verdict.task)
