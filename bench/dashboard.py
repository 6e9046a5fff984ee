"""What the dashboard costs a browser with 10,000 nodes at 5,000 heartbeats a second: scripting in each frame, and frames a second.

Real processes from end to end: signed heartbeats on the bus, coordinator, gateway, Chromium. What runs on the page's main thread is read from the
browser's own trace; a frame is from one animation frame to the next, and scripting in it is the CPU time that JavaScript, its compiler and its
garbage collector took of the thread. All of it shares this machine's cores, so frames are fewer than a person's browser would draw.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from ambient.client import Client
from ambient.cluster import Supervisor
from bench.cluster import cluster, cpu_seconds, run
from bench.rows import Row, as_markdown, median_of, percentile
from bus.messages import BoardReply

__all__ = ["Span", "main", "per_frame"]

_NODES = 10_000
_WATCHED_S = 20.0
_SETTLED_S = 5.0
_PATIENCE_S = 120.0
_CATEGORIES = ["devtools.timeline", "v8", "toplevel", "blink.user_timing"]
_SCRIPTING = frozenset(
    {
        "EvaluateScript",
        "FunctionCall",
        "TimerFire",
        "FireAnimationFrame",
        "RunMicrotasks",
        "EventDispatch",
        "MinorGC",
        "MajorGC",
        "BlinkGC.AtomicPhase",
        "V8.GCFinalizeMC",
        "v8.compile",
    }
)
_FRAMES = "() => { const tick = () => { window.frames_ = (window.frames_ ?? 0) + 1; requestAnimationFrame(tick); }; tick(); }"
_SAME_FRAME_US = 3_000


class Span(NamedTuple):
    """Something that had the thread: from when, for how long, how much of that it ran (microseconds), and what."""

    begin: int
    duration: int
    ran: int
    name: str


def main() -> list[Row]:
    """The page of all nodes, and the overview."""
    return run(_measure(_NODES, _WATCHED_S))


def per_frame(spans: Sequence[Span]) -> list[float]:
    """Milliseconds of scripting in each frame: from one animation frame to the next, what is nested counted once."""
    begins: list[int] = []
    for span in sorted(span for span in spans if span.name == "FireAnimationFrame"):
        # All callbacks of one frame follow one another.
        if not begins or span.begin - begins[-1] > _SAME_FRAME_US:
            begins.append(span.begin)
    found = [0.0] * len(begins)
    for span in _outermost(spans):
        at = bisect_right(begins, span.begin) - 1
        if at >= 0:
            found[at] += span.ran / 1000
    return found[:-1]


def _outermost(spans: Sequence[Span]) -> Iterator[Span]:
    """Those that are within no other: what they ran holds what is nested in them."""
    end = -1
    for span in sorted(spans, key=lambda span: (span.begin, -span.duration)):
        if span.begin >= end:
            end = span.begin + span.duration
            yield span


async def _measure(nodes: int, watched_s: float) -> list[Row]:
    async with cluster(nodes=0, gateways=1) as (running, client), _crowd(running, nodes) as crowd:
        await _all_there(client, nodes)
        rows = []
        async with _page(running) as (browser, page):
            for title, path, is_scrolled in (
                ("all nodes, scrolled", "/nodes", True),
                ("overview", "/", False),
            ):
                rows += await _watch(browser, page, running, title, path, watched_s, is_scrolled=is_scrolled)
        per_s = await crowd.rate()
    return [Row(name="heartbeats of simulated nodes, sent", value=per_s, unit="a second"), *rows]


async def _watch(  # noqa: PLR0917 -- each of them once, in a row
    browser: Any,
    page: Any,
    running: Supervisor,
    title: str,
    path: str,
    watched_s: float,
    *,
    is_scrolled: bool,
) -> list[Row]:
    await page.evaluate(
        "path => { history.pushState(null, '', path); dispatchEvent(new PopStateEvent('popstate')); }", path
    )
    await asyncio.sleep(_SETTLED_S)
    before, frames = cpu_seconds(running), await page.evaluate("window.frames_")
    await browser.start_tracing(page=page, categories=_CATEGORIES)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while loop.time() - begun < watched_s:
        if is_scrolled:
            await page.mouse.move(700, 640)
            await page.mouse.wheel(0, 400)
        await asyncio.sleep(0.1)
    took_s = loop.time() - begun
    drawn = await page.evaluate("window.frames_") - frames
    trace = json.loads(await browser.stop_tracing())
    after = cpu_seconds(running)
    cost = per_frame(_scripting(trace["traceEvents"]))
    every = f"{len(cost):,} frames"
    return [
        Row(
            name=f"dashboard with {_NODES:,} nodes, {title}: scripting in a frame, median",
            value=median_of(cost),
            unit="ms",
            note=every,
        ),
        Row(
            name=f"dashboard with {_NODES:,} nodes, {title}: scripting in a frame, 99 %",
            value=percentile(cost, 0.99),
            unit="ms",
            aim=8,
            floor=16,
        ),
        Row(
            name=f"dashboard with {_NODES:,} nodes, {title}: scripting in a frame, worst",
            value=max(cost),
            unit="ms",
            aim=16,
            floor=33,
        ),
        Row(
            name=f"dashboard with {_NODES:,} nodes, {title}: frames",
            value=drawn / took_s,
            unit="a second",
            better="higher",
            note="60 are asked for",
        ),
        *(
            Row(
                name=f"dashboard with {_NODES:,} nodes, {title}: {role}",
                value=(after[role] - before[role]) / took_s,
                unit="cores",
            )
            for role in ("gateway", "coordinator")
        ),
    ]


def _scripting(events: Sequence[dict[str, Any]]) -> list[Span]:
    """What scripted on the page's main thread: the thread that ran most functions."""
    busiest = Counter((each["pid"], each["tid"]) for each in events if each["name"] == "FunctionCall")
    (thread, _), *_ = busiest.most_common(1)
    return [
        Span(each["ts"], each["dur"], each.get("tdur", each["dur"]), each["name"])
        for each in events
        if each.get("ph") == "X" and (each["pid"], each["tid"]) == thread and each["name"] in _SCRIPTING
    ]


class _Sent:
    """What the crowd says of itself."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._out = process.stdout
        self._seconds: list[int] = []

    async def line(self) -> str:
        assert self._out is not None  # noqa: S101 -- a pipe was asked for
        return (await self._out.readline()).decode().strip()

    async def follow(self) -> None:
        while line := await self.line():
            self._seconds.append(int(line.split()[1]))

    async def rate(self) -> float:
        """Heartbeats a second, the median second."""
        return median_of(self._seconds)


@asynccontextmanager
async def _crowd(running: Supervisor, nodes: int) -> AsyncIterator[_Sent]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.crowd", running.nats, "bench", str(nodes)), stdout=subprocess.PIPE
    )
    sent = _Sent(process)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            assert await sent.line() == "enrolled"  # noqa: S101 -- else it has said why
        following = asyncio.create_task(sent.follow())
        yield sent
        following.cancel()
    finally:
        process.terminate()
        await process.wait()


async def _all_there(client: Client, nodes: int) -> None:
    """Wait until the coordinator has heard all of them."""
    subject = client.bus.subjects.service("coordinator", "board")
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            board = await client.bus.request(subject, b"{}", BoardReply)
            if board.total == nodes and not any(state >= 3 for state in board.state):  # noqa: PLR2004 -- suspect or worse
                return
            await asyncio.sleep(0.2)


@asynccontextmanager
async def _page(running: Supervisor) -> AsyncIterator[tuple[Any, Any]]:
    """The dashboard, signed in, with all nodes on it."""
    from playwright.async_api import async_playwright  # noqa: PLC0415 -- of the extra dev, and only for this

    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        raise SystemExit(
            "no Chromium is installed: Debian's package is `chromium`, CHROMIUM=/path names another"
        )
    sandbox = () if os.getuid() else ("--no-sandbox",)
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(
            executable_path=path, args=[*sandbox, "--disable-dev-shm-usage"]
        )
        page = await browser.new_page(viewport={"width": 1440, "height": 900})
        await page.goto(f"{running.http}/nodes#token={running.token}")
        await page.locator(".grid-row").first.wait_for()
        await page.evaluate(_FRAMES)
        yield browser, page
        await browser.close()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="Fewer nodes, for a shorter time.")
    options.add_argument("--nodes", type=int, default=_NODES)
    options.add_argument("--seconds", type=float, default=_WATCHED_S)
    chosen = options.parse_args()
    print(as_markdown(run(_measure(chosen.nodes, chosen.seconds))))
