"""What holds on every page, whatever it shows: reachable to all, at home on a phone, nothing from elsewhere."""

import hashlib
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("playwright.async_api", reason="the browser tests need playwright: make setup")
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Download, Locator, Page, expect

from ambient.cluster import Supervisor
from tests.dashboard.conftest import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGES = (
    "/",
    "/nodes",
    "/nodes/node-1",
    "/tasks",
    "/tasks/new",
    "/tasks/me.known",
    "/anchor",
    "/ledger",
    "/join",
    "/nowhere",
)
AXE = f"() => {{ {Axe().axe_script} }}"
OF_COLOURS = ("color-contrast", "link-in-text-block")


async def show(page: Page, path: str) -> None:
    """Go there as a link would, and wait until nothing is loading any more."""
    await page.evaluate(
        "path => { history.pushState(null, '', path); dispatchEvent(new PopStateEvent('popstate')); }", path
    )
    await expect(page.locator("h1")).to_be_visible()
    await expect(page.locator(".bones, [aria-busy]")).to_have_count(0)


async def complaints(page: Page, *rules: str) -> dict[str, Any]:
    """What axe-core finds by all its rules, or by these; its script is brought into a page once."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE)
    options = {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
    report = await page.evaluate("options => axe.run(document, options)", options)
    return {
        each["id"]: [(node["html"][:200], node["any"][:1]) for node in each["nodes"]]
        for each in report["violations"]
    }


async def test_no_page_shuts_anybody_out(page: Page, known_task: str) -> None:
    """axe-core finds nothing to complain of: names, roles, contrast, landmarks, headings; in the dark, too, as far as colours matter."""
    assert known_task
    found: dict[str, Any] = {}
    for path in PAGES:
        await page.emulate_media(color_scheme="light", reduced_motion="reduce")
        await show(page, path)
        found |= {f"{path} {name}": nodes for name, nodes in (await complaints(page)).items()}
        await page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        found |= {
            f"{path} dark {name}": nodes for name, nodes in (await complaints(page, *OF_COLOURS)).items()
        }

    assert found == {}


async def test_the_way_in_shuts_nobody_out(visitor: Visitor) -> None:
    """The form that asks for a token, too."""
    page = await visitor.open(visitor.base)
    await expect(page.get_by_label("Token")).to_be_visible()

    assert await complaints(page) == {}


async def test_every_page_fits_a_phone(page: Page, known_task: str) -> None:
    """At 360 pixels nothing has to be scrolled sideways, and each link of the navigation can be hit with a thumb."""
    assert known_task
    await page.set_viewport_size({"width": 360, "height": 740})
    for path in PAGES:
        await show(page, path)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360, path
    boxes = [await link.bounding_box() for link in await page.locator("nav a").all()]

    assert len(boxes) == 6
    assert all(box and box["height"] >= 40 and box["width"] >= 44 for box in boxes)


async def test_a_nodes_last_hour_is_drawn_as_it_was_told(page: Page, running: Supervisor) -> None:
    """Each quantity that the API tells has its chart, with the figures in words for those who do not see it; what the node never told is named."""
    await show(page, "/nodes/node-1")
    panel = page.get_by_role("region", name="The last hour")
    await expect(panel.get_by_role("img", name="CPU in use. mean: now ")).to_be_visible()
    async with httpx.AsyncClient(
        base_url=running.http, headers={"Authorization": f"Bearer {running.token}"}
    ) as client:
        told = (await client.get("/api/v1/nodes/node-1/telemetry")).json()
    titles = {
        "cpu_free": "CPU in use",
        "memory_free": "memory in use",
        "latency_ms": "latency to the servers",
        "temperature_c": "temperature",
        "battery": "battery",
        "power_w": "power",
    }
    drawn = {
        (await each.get_attribute("aria-label") or "").split(".")[0].lower()
        for each in await panel.get_by_role("img").all()
    }

    assert drawn == {title.lower() for name, title in titles.items() if told[name]}
    never = [title for name, title in titles.items() if not told[name]]
    said = await panel.locator("p.quiet").inner_text() if never else ""
    assert sorted(said.removeprefix("Not told by this node: ").rstrip(".").split(", ")) == sorted(
        never or [""]
    )
    label = await panel.get_by_role("img", name="Memory in use").get_attribute("aria-label") or ""
    memory = [100 * (1 - each) for each in told["memory_free"]["mean"] if each is not None]
    now = re.search(r"now (\d+) %", label)
    assert now
    assert min(memory) - 10 <= int(now[1]) <= max(memory) + 10


async def test_an_accounts_receipt_is_saved_and_holds_in_the_browser(
    page: Page, known_task: str, eventually: Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]
) -> None:
    """What a client holds and what its month took are files a click away; dropped on the anchor's page each holds, for what it is of."""
    assert known_task
    await show(page, "/ledger")
    account = page.get_by_role("region", name="An account")
    await account.get_by_role("textbox", name="Account").fill("client/me")
    held = account.get_by_role("button", name="Download receipt")
    month = account.get_by_role("button", name="Download the month's receipt")
    files: list[Download] = []
    page.on("download", lambda each: files.append(each))  # noqa: PLW0108 -- playwright marks what it is given

    async def is_booked() -> bool:
        await account.get_by_role("button", name="Look").click()
        await expect(held).to_be_visible()
        return await month.count() == 1

    async def is_saved(button: Locator) -> bool:
        await button.click()
        said = button.locator("xpath=..").get_by_role("status")
        await expect(said).to_have_text(re.compile("^Saved: |no receipt yet"))
        return "Saved" in await said.inner_text()

    await eventually(is_booked)
    await eventually(lambda: is_saved(held))
    await eventually(lambda: is_saved(month))
    saved = {each.suggested_filename: await each.path() for each in files}
    await show(page, "/anchor")
    for name, path in saved.items():
        buffer = path.read_bytes()
        await page.get_by_label("A receipt file").set_input_files(
            {"name": name, "mimeType": "application/octet-stream", "buffer": buffer}
        )
        await expect(page.get_by_text(f"{name} holds")).to_be_visible()
        await expect(page.locator(".checked-by")).to_contain_text("Checked in this browser")
        await expect(page.locator(".said-good")).to_contain_text("of client/me")

    assert [re.sub(r"\d{4}-\d\d", "MONTH", each) for each in saved] == [
        "client-me.receipt",
        "client-me-MONTH.receipt",
    ]


async def test_tasks_are_found_by_what_they_are(page: Page, visitor: Visitor, known_task: str) -> None:
    """By client, node, module, state and parts of a name, alone and together; what no task has finds none, what cannot be is said beside its field; the address keeps it."""
    assert known_task
    visitor.expected.append("400")
    module = hashlib.sha256(Path("examples/guests/upper.wasm").read_bytes()).hexdigest()  # noqa: ASYNC240 -- a few hundred bytes
    await show(page, f"/tasks?q=known&client=me&state=verified&module={module[:6]}&prefix=kno")
    found = page.get_by_role("link", name="me.known", exact=True)
    await expect(found).to_be_visible()
    await expect(page.get_by_role("status").filter(has_text="1 found")).to_be_visible()
    for name, other, kept in (
        ("Client", "nobody", "client"),
        ("Node", "nobody", "node"),
        ("Module", "0" * 64, "module"),
        ("Id", "known-", "prefix"),
        ("Client", "a.b", ""),
    ):
        control = page.get_by_label(name, exact=True)
        before = await control.input_value()
        await control.fill(other)
        if not kept:
            await expect(control).to_have_attribute("aria-invalid", "true")
        else:
            await expect(page.get_by_text("Nothing found")).to_be_visible()
            assert f"{kept}={other}" in page.url
        await control.fill(before)
        await expect(found).to_be_visible()
        await expect(control).not_to_have_attribute("aria-invalid", "true")


async def test_text_never_becomes_markup_or_code(page: Page, visitor: Visitor) -> None:
    """The browser itself refuses: a script or style written into the page does not run, text cannot be assigned as HTML."""
    visitor.expected += ["Content Security Policy", "TrustedHTML", "TrustedScript"]
    refused = await page.evaluate(
        """() => {
        const found = [];
        try { document.body.innerHTML = '<b>x</b>'; } catch (error) { found.push(error.name); }
        const script = document.createElement('script');
        try { script.textContent = 'window.ran = true'; document.head.append(script); } catch (error) { found.push(error.name); }
        const style = document.createElement('style');
        style.textContent = 'body { display: none }';
        document.head.append(style);
        return [found, window.ran ?? false, getComputedStyle(document.body).display];
    }"""
    )

    assert refused[0][0] == "TypeError"
    assert refused[1:] == [False, "block"]


async def test_the_theme_is_the_systems_until_one_chooses(page: Page, visitor: Visitor) -> None:
    """Dark by the system, light by choice, and the choice is still there after a reload."""
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light = await page.evaluate(ground)
    await page.emulate_media(color_scheme="dark")
    dark = await page.evaluate(ground)
    switch = page.get_by_role("button", name="Theme: Auto")
    await switch.click()
    await expect(page.get_by_role("button", name="Theme: Light")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("button", name="Theme: Light")).to_be_visible()

    assert dark != light
    assert await page.evaluate(ground) == light
    assert visitor.complaints == []


async def test_what_is_not_there_is_said_in_words(page: Page, visitor: Visitor) -> None:
    """A node, a task and a page that do not exist: the gateway's own reason, no empty frame."""
    visitor.expected.append("404")
    await show(page, "/nodes/nobody")
    await expect(page.get_by_role("alert")).to_contain_text("no node 'nobody' has enrolled")
    await page.evaluate(
        "history.pushState(null, '', '/tasks/me.nothing'); dispatchEvent(new PopStateEvent('popstate'))"
    )
    await expect(page.get_by_role("alert")).to_contain_text("me.nothing")
    await show(page, "/nowhere")
    await expect(page.get_by_text("There is no page here")).to_be_visible()


async def test_a_token_opens_and_nothing_else_does(visitor: Visitor, link: str) -> None:
    """A wrong token is said to be unknown; a right one in the link's fragment signs in and leaves the address bar at once."""
    visitor.expected.append("401")
    page = await visitor.open(visitor.base)
    await page.get_by_label("Token").fill("avcp_00000000_" + "x" * 43)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("not known here")
    signed_in = await visitor.open(link)
    await expect(signed_in.get_by_role("heading", name="Overview")).to_be_visible()

    assert "token" not in signed_in.url
    await signed_in.get_by_role("button", name="Sign out").click()
    await expect(signed_in.get_by_label("Token")).to_be_visible()
    assert await signed_in.evaluate("JSON.stringify(sessionStorage) + JSON.stringify(localStorage)") == "{}{}"
