"""The dashboard's files and how they are served: nothing from elsewhere, kept for ever, never mixed."""

import re
import shutil
from pathlib import Path

import pytest

from gateway.dashboard.assets import CSP, Assets
from gateway.dashboard.handlers import PAGES
from tools.javascript import STATIC, problems

SHIPPED = Assets.shipped()


def test_no_served_byte_names_another_host() -> None:
    """The only addresses are names of XML vocabularies: whatever the page loads or sends, it is to where it came from."""
    bodies = {name: SHIPPED.file(SHIPPED.version, name) for name in SHIPPED.names} | {
        "index.html": SHIPPED.page()
    }
    found = {
        (name, address)
        for name, answer in bodies.items()
        if answer is not None
        for address in re.findall(rb"[a-z]+://[^\s\"'`<>]+|[\"'(]//[a-z0-9.-]+", answer.body)
    }

    assert {address for _, address in found} <= {b"http://www.w3.org/2000/svg"}
    assert len(bodies) > 30


def test_the_page_names_only_files_that_are_there_and_asks_for_every_module_at_once() -> None:
    """A script that is imported deep down is not found out about only when what imports it has come."""
    page = SHIPPED.page().body.decode()
    named = re.findall(r'(?:href|src)="/assets/([0-9a-f]+)/([^"]+)"', page)

    assert {version for version, _ in named} == {SHIPPED.version}
    assert {name for _, name in named} == set(SHIPPED.names)


def test_files_are_kept_for_ever_and_the_page_is_asked_for_again() -> None:
    """The page costs nothing where it is the same; a file's address changes with its content."""
    page, script = SHIPPED.page(), SHIPPED.file(SHIPPED.version, "js/main.js")
    assert script is not None

    assert page.headers["Cache-Control"] == "no-cache"
    assert "immutable" in script.headers["Cache-Control"]
    for tag in (page.headers["ETag"], f"W/{page.headers['ETag']}", f'"other", {page.headers["ETag"]}', "*"):
        again = SHIPPED.page(tag)
        assert (again.status, again.body) == (304, b""), tag
        assert again.headers["Content-Security-Policy"] == CSP
    assert SHIPPED.page('"other"').status == 200


def test_a_change_of_one_file_changes_every_address(tmp_path: Path) -> None:
    """Two versions are never mixed: a page of the old one is told that its files are gone."""
    changed = tmp_path / "static"
    shutil.copytree(STATIC, changed)
    with (changed / "css" / "base.css").open("a") as style:
        style.write("\n")
    other = Assets(changed)

    assert other.version != SHIPPED.version
    assert other.file(SHIPPED.version, "js/main.js") is None
    assert other.file(other.version, "js/main.js") is not None
    for name in ("../assets.py", "js/../js/main.js", "index.html", "", "js"):
        assert other.file(other.version, name) is None, name


def test_the_policy_allows_our_own_files_and_nothing_inline() -> None:
    """What the browser is told: every kind of content is named, and none of it may be inline or from elsewhere."""
    policy = dict(each.split(" ", 1) for each in CSP.split("; "))

    assert (
        policy["default-src"]
        == policy["base-uri"]
        == policy["form-action"]
        == policy["frame-ancestors"]
        == "'none'"
    )
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in CSP
    assert policy["require-trusted-types-for"] == "'script'"
    assert not re.search(
        r"<(?:script|style)(?![^>]*\bsrc=)[^>]*>\s*\S|\sstyle=|\son\w+=", SHIPPED.page().body.decode()
    )


def test_every_address_of_the_script_is_served() -> None:
    """A page that is reloaded, or whose link is sent to somebody, is a page."""
    routes = re.findall(r"^  \[/\^(.+?)\$/, ", (STATIC / "js" / "main.js").read_text(), re.MULTILINE)
    addresses = {route.replace("\\/", "/").replace("([^/]+)", "x") for route in routes}
    served = [re.compile(page.replace("{name:str}", "[^/]+")) for page in PAGES]

    assert len(addresses) > 8
    assert all(any(page.fullmatch(address) for page in served) for address in addresses)


def test_the_modules_fit_together() -> None:
    """What `make check` asks: imports that exist, nothing unused, nothing that the policy would refuse."""
    assert problems() == []


@pytest.mark.parametrize(
    ("file", "before", "after", "said"),
    [
        ("js/main.js", 'from "./api.js"', 'from "./apis.js"', "imports ./apis.js, which is not there"),
        ("js/main.js", "import { api }", "import { apis }", "exports no apis"),
        ("js/main.js", "import { fill }", "import { h, fill }", "does not use h"),
        (
            "js/pages/missing.js",
            "import { h } ",
            'import x from "./x.js";\nimport { h } ',
            "not written as the others",
        ),
        (
            "js/dom.js",
            "element.textContent = wanted",
            "element.innerHTML = wanted",
            "text must not become markup",
        ),
        ("js/api.js", 'const BASE = "/api/v1"', 'const BASE = "https://example.org/api"', "another host"),
        (
            "js/format.js",
            "export const bytes",
            "export const unused = 1;\nexport const bytes",
            "nothing uses unused",
        ),
    ],
)
def test_a_module_that_does_not_fit_is_found(
    tmp_path: Path, file: str, before: str, after: str, said: str
) -> None:
    """Each mistake by name."""
    folder = tmp_path / "static"
    shutil.copytree(STATIC, folder)
    text = (folder / file).read_text()
    assert before in text
    (folder / file).write_text(text.replace(before, after, 1))

    assert any(said in each and each.startswith(file) for each in problems(folder))
