"""The dashboard over HTTP, through everything that stands in front of it: one policy, no token for files, and a token for all that is the cluster's."""

import xml.etree.ElementTree as ET

import httpx
import pytest

from ambient.cluster import Supervisor
from gateway.dashboard.assets import CSP, Assets
from gateway.dashboard.handlers import PAGES

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_every_page_is_served_with_our_policy_alone(running: Supervisor) -> None:
    """Without a token, compressed, with one Content-Security-Policy, and for nothing where the browser has it."""
    async with httpx.AsyncClient(base_url=running.http) as asking:
        for path in PAGES:
            page = await asking.get(path.replace("{name:str}", "me.x-1"))
            assert page.status_code == 200, path
            assert page.headers.get_list("content-security-policy") == [CSP]
            assert page.headers["content-type"] == "text/html; charset=utf-8"
            assert page.headers["content-encoding"] == "gzip"
        again = await asking.get("/", headers={"If-None-Match": page.headers["etag"]})
        version = Assets.shipped().version
        script = await asking.get(f"/assets/{version}/js/main.js")
        other = await asking.get("/assets/0123456789abcdef/js/main.js")
        outside = await asking.get(f"/assets/{version}/..%2f..%2fassets.py")

    assert (again.status_code, again.content) == (304, b"")
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in script.headers["cache-control"]
    assert (other.status_code, outside.status_code) == (404, 404)


async def test_what_is_the_clusters_wants_a_token(running: Supervisor) -> None:
    """Who one is, the board of all nodes, a code: told to a token's holder, refused to anybody else."""
    mine = {"Authorization": f"Bearer {running.token}"}
    async with httpx.AsyncClient(base_url=running.http) as asking:
        for path in ("/api/v1/session", "/api/v1/cluster/board"):
            assert (await asking.get(path)).status_code == 401, path
        assert (await asking.post("/api/v1/qr", json={"text": "x"})).status_code == 401
        session = (await asking.get("/api/v1/session", headers=mine)).json()
        board = (await asking.get("/api/v1/cluster/board", headers=mine)).json()

    assert session == {"name": "ambient-up", "role": "operator", "client": "me", "cluster": "web"}
    assert sorted(board["names"])[:3] == ["node-1", "node-2", "node-3"]
    assert board["total"] == len(board["names"])


async def test_a_code_is_a_picture_and_what_does_not_fit_is_refused(running: Supervisor) -> None:
    """SVG of squares alone: no script, no style, no text of the asker in it; a text that no code holds is refused by its field."""
    async with httpx.AsyncClient(
        base_url=running.http, headers={"Authorization": f"Bearer {running.token}"}
    ) as asking:
        code = await asking.post("/api/v1/qr", json={"text": "ambient node --join <script>"})
        wide = await asking.post("/api/v1/qr", json={"text": "\N{SNOWMAN}" * 1_400})
        long = await asking.post("/api/v1/qr", json={"text": "x" * 1_501})
    picture = ET.fromstring(code.text)  # noqa: S314 -- our own gateway's

    assert code.headers["content-type"].startswith("image/svg+xml")
    assert code.headers["cache-control"] == "no-store"
    assert {each.tag.rpartition("}")[2] for each in picture.iter()} == {"svg", "path"}
    assert "script" not in code.text
    for refused in (wide, long):
        assert (refused.status_code, refused.json()["field"]) == (400, "text")
