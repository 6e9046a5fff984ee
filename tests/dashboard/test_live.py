"""The dashboard as people use it: a task is submitted and seen to run, a node joins and dies, a gateway is restarted."""

import asyncio
import os
import re
import shlex
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

pytest.importorskip("playwright.async_api", reason="the browser tests need playwright: make setup")
from playwright.async_api import FileChooser, Locator, Page, expect

import ambient
from ambient.cluster import Supervisor
from bus.connection import Bus
from bus.streams import last_sequences
from tests.dashboard.conftest import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="session")

UPPER = Path("examples/guests/upper.wasm")
LOGS = ("tasks", "assignments", "results", "verdicts")


async def test_a_task_is_submitted_by_form_and_seen_through_to_its_proof(
    page: Page, visitor: Visitor, link: str, tmp_path: Path
) -> None:
    """Its whole path appears without a reload, elsewhere as activity too; its receipt is saved, and holds when it is dropped on the anchor's page."""
    watching = await visitor.open(link)
    await page.get_by_role("link", name="Tasks").click()
    await page.get_by_role("link", name="Submit a task").click()
    await page.get_by_label("WebAssembly module").set_input_files(UPPER)
    await expect(page.get_by_text("upper.wasm,")).to_be_visible()
    await page.get_by_label("Input", exact=True).fill("seen in a browser")
    await page.get_by_text("Limits, place and reward").click()
    await page.get_by_label("Name").fill("by-form")
    await page.get_by_role("button", name="Submit").click()

    await expect(page.get_by_role("heading", name="me.by-form")).to_be_visible()
    await expect(page.get_by_label("Output", exact=True)).to_have_text("SEEN IN A BROWSER")
    steps = page.locator(".path h3")
    await expect(steps.filter(has_text="Proven")).to_be_visible()
    told = [re.sub(r" [\d,]+$", "", each) for each in await steps.all_text_contents()]
    assert told[:2] == ["Asked TASKS", "Decided ASSIGNMENTS"]
    assert 2 <= told.count("Claimed RESULTS") <= 3
    assert "Accepted VERDICTS" in told
    await expect(watching.get_by_role("link", name="me.by-form").first).to_be_visible()

    async with page.expect_download() as saved:
        await page.get_by_role("button", name="Download receipt").click()
    receipt = tmp_path / (await saved.value).suggested_filename
    await (await saved.value).save_as(receipt)
    await page.get_by_role("link", name="Anchor", exact=True).click()
    await page.get_by_label("A receipt file").set_input_files(receipt)
    await expect(page.get_by_text("me.by-form.receipt holds")).to_be_visible()
    broken = tmp_path / "broken.receipt"
    whole = receipt.read_bytes()
    at = len(whole) // 2
    broken.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    await page.get_by_label("A receipt file").set_input_files(broken)
    await expect(page.get_by_text("broken.receipt does not hold")).to_be_visible()


async def test_all_of_it_goes_without_a_mouse(page: Page) -> None:
    """From the top of the page, with Tab, arrows and Enter alone: to the content, through the nodes, and to one of them."""
    await page.keyboard.press("Tab")
    await expect(page.get_by_text("To the content")).to_be_focused()
    for name in ("Ambient VCP, overview", "Overview", "Nodes"):
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name=name, exact=True)).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("main")).to_be_focused()
    await expect(page.get_by_role("slider", name="Nodes by score")).to_be_visible()
    await page.keyboard.press("Tab")
    heat = page.get_by_role("slider", name="Nodes by score")
    await expect(heat).to_be_focused()
    await page.keyboard.press("End")
    await expect(heat).to_have_attribute("aria-valuetext", re.compile(r"node-\d: healthy, score 0\.\d\d"))
    chosen = (await heat.get_attribute("aria-valuetext") or "").split(":")[0]
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name=chosen)).to_be_visible()
    await page.go_back()
    rows = page.get_by_label("Nodes: rows")
    for _ in range(20):
        await page.keyboard.press("Tab")
        if await rows.evaluate("element => element === document.activeElement"):
            break
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowDown")
    await expect(page.locator(".grid-row.current")).to_have_attribute("aria-rowindex", "3")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="node-2")).to_be_visible()


async def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until it has the focus, and shows that it has."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        if await wanted.count() and await wanted.evaluate("element => element.matches(':focus-visible')"):
            return
    raise AssertionError(f"Tab never comes to {wanted}")


async def test_a_task_is_submitted_with_keys_alone(page: Page) -> None:
    """The form is reached, filled and sent by Tab, letters and Enter: module, input, policy, name; its answer is there to be read."""
    chosen: asyncio.Future[FileChooser] = asyncio.get_running_loop().create_future()
    # From the beginning: it takes the browser a moment until it asks here and not on a screen.
    page.on("filechooser", lambda chooser: chosen.set_result(chooser))  # noqa: PLW0108 -- playwright marks what it is given
    for name in ("Tasks", "Submit a task"):
        await tab_to(page, page.get_by_role("link", name=name, exact=True))
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
        await expect(page.get_by_role("main")).to_be_focused()
    await tab_to(page, page.get_by_label("WebAssembly module"))
    await page.keyboard.press("Enter")
    await (await asyncio.wait_for(chosen, 20)).set_files(UPPER)
    await expect(page.get_by_text("upper.wasm,")).to_be_visible()
    await tab_to(page, page.get_by_label("Input", exact=True))
    await page.keyboard.type("typed")
    await tab_to(page, page.get_by_label("How to verify"))
    await page.keyboard.type("Sig")
    await tab_to(page, page.get_by_text("Limits, place and reward"))
    await page.keyboard.press("Enter")
    await tab_to(page, page.get_by_label("Name"))
    await page.keyboard.type("by-keys")
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("heading", name="me.by-keys")).to_be_visible()
    await expect(page.get_by_label("Output", exact=True)).to_have_text("TYPED")
    await expect(page.get_by_text("under signature, agreed by")).to_be_visible()
    receipt = page.get_by_role("button", name="Download receipt")
    await expect(receipt).to_be_visible()
    await tab_to(page, receipt)
    async with page.expect_download() as saved:
        await page.keyboard.press("Enter")
    assert (await saved.value).suggested_filename == "me.by-keys.receipt"
    await expect(receipt).to_be_focused()


@pytest.mark.long
async def test_a_node_joins_with_the_command_shown_and_its_death_is_seen(
    page: Page, running: Supervisor, tmp_path: Path
) -> None:
    """Named in the form, started with the very command, told to be here; killed, it is suspect, then dead, in table, heat map and figures."""
    await page.get_by_role("link", name="Join").click()
    await page.get_by_label("Name").fill("visitor-1")
    await page.get_by_label("Region").fill("eu")
    await page.get_by_label("Slots").fill("1")
    await page.get_by_role("button", name="Make a join token").click()
    picture = page.get_by_alt_text("QR code of the command that starts visitor-1")
    await expect(picture).to_be_visible()
    assert await picture.evaluate("image => image.decode().then(() => image.naturalWidth > 0)")
    await expect(page.get_by_label("The compose file", exact=True)).to_contain_text("visitor-1")
    command = shlex.split(await page.get_by_label("The command", exact=True).inner_text())
    assert command[0] == "ambient"
    await expect(page.get_by_text("waiting for visitor-1")).to_be_visible()

    with (tmp_path / "node.log").open("wb") as log:
        node = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "ambient",
                *command[1:],
                "--data",
                str(tmp_path / "node"),
                "--memory-mb",
                "64",
            ),
            stdout=log,
            stderr=log,
            env={**os.environ, "NATS_URL": running.nats},
        )
    try:
        await expect(page.get_by_text("visitor-1 is here").first).to_be_attached()
        await page.get_by_role("link", name="Nodes", exact=True).click()
        row = page.get_by_role("row").filter(has_text="visitor-1")
        await expect(row).to_contain_text("healthy")
        node.send_signal(signal.SIGKILL)
        await expect(row).to_contain_text("suspect")
        await expect(row).to_contain_text("dead")
        await expect(page.locator(".legend .state.bad")).to_have_text("dead")
        await row.click()
        await expect(page.get_by_text("its work was given to others")).to_be_visible()
    finally:
        if node.returncode is None:
            node.kill()
        await node.wait()


async def test_a_gateway_restart_costs_no_event(
    page: Page,
    running: Supervisor,
    eventually: Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]],
    visitor: Visitor,
) -> None:
    """Killed while tasks flow: the page comes back by itself, and has seen every entry of every log, each once."""
    visitor.expected += ["ERR_", "Failed to load resource"]
    status = page.locator(".link-state")
    async with (
        ambient.connect(running.nats, cluster="web", client="me") as vcp,
        await Bus.connect(running.nats, cluster="web") as bus,
    ):
        await vcp.run(UPPER, input=b"before")
        await eventually(lambda: _all_seen(page, bus))
        seen = int(await status.get_attribute("data-entries") or 0)
        before = await last_sequences(bus, LOGS)
        running.kill("gateway-1")
        await vcp.run(UPPER, input=b"meanwhile")
        async for _ in vcp.map(UPPER, [f"{number}".encode() for number in range(50)]):
            pass
        # It is lost for less than a second, which nobody could be sure to look at: the page counts how often it came back.
        await expect(status).to_have_attribute("data-reconnects", re.compile(r"^[1-9]"))
        await vcp.run(UPPER, input=b"afterwards")
        await eventually(lambda: _all_seen(page, bus))
        after = await last_sequences(bus, LOGS)

    assert (await status.get_attribute("data-missed"), await status.get_attribute("data-skipped")) == (
        "0",
        "0",
    )
    assert int(await status.get_attribute("data-entries") or 0) - seen >= sum(
        after[log] - before[log] for log in LOGS
    )


async def _all_seen(page: Page, bus: Bus) -> bool:
    """Whether the page has what the logs hold at the moment."""
    wanted = await last_sequences(bus, LOGS)
    seen = await page.locator(".link-state").get_attribute("data-positions")
    told = dict(part.split("=") for part in (seen or "").split() if part)
    return all(int(told.get(log, 0)) >= wanted[log] for log in LOGS)
