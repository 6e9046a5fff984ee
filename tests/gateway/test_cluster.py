"""Nodes, figures, ledger and anchor over HTTP, and what every answer carries."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from ambient.cluster import Supervisor
from anchor.receipt.account_check import check_account
from bus.trace import trace_id
from ledger.proof import check
from tests.gateway.conftest import address, ended, known, module, opened, submitted, until

pytestmark = pytest.mark.asyncio(loop_scope="session")
"""In the loop of the cluster, which starts again what dies."""


async def test_a_node_is_told_with_its_terms(api: httpx.AsyncClient) -> None:
    """The four terms add up to the score, and the decisions about it name the task that it ran."""
    name = await submitted(api, place={"node": "node-2"})
    await ended(api, name)
    page = (await api.get("/api/v1/nodes", params={"limit": 1})).json()
    rest = (await api.get("/api/v1/nodes", params={"cursor": page["next"]})).json()
    one = (await api.get("/api/v1/nodes/node-2")).json()

    assert [node["node"] for node in (*page["nodes"], *rest["nodes"])][:2] == ["node-1", "node-2"]
    assert abs(sum(one["terms"].values()) - one["score"]) < 1e-9
    assert next(d for d in one["history"] if d["task"] == name)["claimed"] == "ok"
    assert (await api.get("/api/v1/nodes/nobody")).status_code == 404


async def test_a_node_is_told_over_time(api: httpx.AsyncClient) -> None:
    """Its heartbeats, in buckets; from a moment on, nothing of before; and nothing of a node that is none."""
    found: dict[str, Any] = {}

    async def has_power() -> bool:
        nonlocal found
        answer = await api.get("/api/v1/nodes/node-1/telemetry")
        found = answer.json()
        return answer.status_code == 200 and found["power_w"] is not None  # between two heartbeats

    await until(has_power)
    last_ms = found["from_ms"] + (len(found["cpu_free"]["mean"]) - 1) * found["step_ms"]
    later = (await api.get("/api/v1/nodes/node-1/telemetry", params={"since_ms": last_ms})).json()
    nothing = (await api.get("/api/v1/nodes/node-1/telemetry", params={"since_ms": 2**53})).json()
    stranger = await api.get("/api/v1/nodes/nobody/telemetry")
    refused = await api.get("/api/v1/nodes/node-1/telemetry", params={"since_ms": -1})

    for name in ("cpu_free", "memory_free", "latency_ms", "power_w"):
        for least, mean, most in zip(*(found[name][stat] for stat in ("min", "mean", "max")), strict=True):
            assert mean is None or 0 <= least <= mean <= most, (name, found)
    assert 0 < found["memory_free"]["mean"][-1] <= 1
    assert later["from_ms"] >= last_ms
    assert (nothing["from_ms"], nothing["cpu_free"]) == (0, None)
    assert stranger.status_code == 404
    assert (refused.status_code, refused.json()["field"]) == (400, "since_ms")


async def test_a_node_is_drained_and_comes_back(api: httpx.AsyncClient) -> None:
    """Drained, it says so itself; undrained, it takes work again."""

    async def is_empty() -> bool:
        return bool((await api.post("/api/v1/nodes/node-1/drain")).json()["empty"])

    async def is_back() -> bool:
        return (await api.post("/api/v1/nodes/node-1/undrain")).json()["state"] in ("healthy", "safe")

    await until(is_empty)
    await until(is_back)


async def test_a_registered_node_joins_and_is_sent_away(api: httpx.AsyncClient, tmp_path: Path) -> None:
    """The command that registering gave starts a node of that name and key; removed, it says goodbye and ends in order."""
    made = (await api.post("/api/v1/nodes", json={"id": "newcomer", "region": "lab", "slots": 1})).json()
    command = [*made["command"].split()[1:], "--data", str(tmp_path), "--bandwidth-mbps", "100"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ambient",
        *command,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:

        async def is_there() -> bool:
            found = await api.get("/api/v1/nodes/newcomer")
            return found.status_code == 200 and found.json()["state"] == "healthy"

        await until(is_there)
        node = (await api.get("/api/v1/nodes/newcomer")).json()
        taken = await api.post("/api/v1/nodes", json={"id": "newcomer"})
        told = await api.delete("/api/v1/nodes/newcomer")
        await asyncio.wait_for(process.wait(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    async def has_left() -> bool:
        return (await api.get("/api/v1/nodes/newcomer")).json()["state"] == "left"

    await until(has_left)
    assert node["key"] == made["key"]
    assert node["capabilities"]["region"] == "lab"
    assert taken.status_code == 409
    assert told.status_code == 202
    assert process.returncode == 0
    assert made["join_token"] in made["compose"]


async def test_who_leads_and_how_much_is_done(api: httpx.AsyncClient, other: httpx.AsyncClient) -> None:
    """Ready names the leaders; figures count what was verified, how long it took, and how full the logs are, at both gateways alike."""
    await ended(api, await submitted(api))
    leaders = {"coordinator": "coordinator-1", "verifier": "verifier-1", "anchor": "anchor-1"}

    async def is_led() -> bool:
        ready = await api.get("/api/v1/health/ready")
        told = {each["service"]: each["leader"] for each in ready.json()["services"]}
        return ready.status_code == 200 and told == leaders

    async def is_counted_elsewhere() -> bool:
        return bool((await other.get("/api/v1/cluster/stats")).json()["tasks"].get("verified"))

    await until(is_led)
    await until(is_counted_elsewhere)
    stats = (await api.get("/api/v1/cluster/stats", params={"history_s": 30})).json()

    assert stats["tasks"]["verified"] >= 1
    assert stats["latency"]["tasks"] >= 1
    assert len(stats["history"]) == 30
    assert stats["nodes"]["healthy"] >= 1
    assert set(stats["logs"]) == {"tasks", "assignments", "results", "verdicts", "anchors"}
    assert stats["fuel"] > 0


async def test_accounts_energy_and_their_proofs(api: httpx.AsyncClient) -> None:
    """A balance and a month's energy are told, and their documents hold by the offline check."""
    await ended(api, await submitted(api))

    async def has_proof() -> bool:
        return (await api.get("/api/v1/ledger/client/owner/proof")).status_code == 200

    await until(has_proof)
    balance = (await api.get("/api/v1/ledger/client/owner")).json()
    document = (await api.get("/api/v1/ledger/client/owner/proof")).content
    report = (await api.post("/api/v1/proofs/verify", content=document)).json()
    broken = (await api.post("/api/v1/proofs/verify", content=document[:-9])).json()
    other = {"commitment": "0" * 64}
    unpublished = (await api.post("/api/v1/proofs/verify", content=document, params=other)).json()
    energy = (await api.get("/api/v1/energy")).json()
    strange = await api.get("/api/v1/ledger/thief/owner")

    assert (balance["account"], balance["held"], balance["free"]) == ("client/owner", 0, 0)
    assert check(document).name == report["name"] == "client/owner"
    assert report["format"] == broken["format"] == "ambient-balance/1"
    assert report["holds"]
    assert report["commitment"] == check(document).commitment.hex()
    assert (broken["holds"], broken["link"]) == (False, "format")
    assert (unpublished["holds"], unpublished["link"]) == (False, "state")
    assert energy["nodes"] >= 2
    assert energy["energy_j"] > 0
    assert strange.status_code == 400


async def test_the_anchor_is_told(api: httpx.AsyncClient) -> None:
    """Signed states and publications, newest first, and a consistency proof."""
    await ended(api, await submitted(api))

    async def is_published() -> bool:
        view = (await api.get("/api/v1/anchor")).json()
        return bool(view["checkpoints"]) and bool(view["publications"])

    await until(is_published)
    view = (await api.get("/api/v1/anchor")).json()
    signed = (await api.get("/api/v1/anchor/checkpoint", params={"old": 1})).json()

    assert signed["note"].startswith(view["origin"])
    assert view["publications"][0]["steps"][0]["kind"] == "built"
    assert (await api.get("/api/v1/anchor/checkpoint", params={"old": 10**9})).status_code == 409


async def test_what_has_not_changed_is_not_sent_again(api: httpx.AsyncClient) -> None:
    """An answer has an ETag; asked with it, the next one is 304 without a body. Large ones are compressed for who takes that."""
    first = await api.get("/schema")
    plain = await api.get("/schema", headers={"Accept-Encoding": "identity"})
    again = await api.get("/schema", headers={"If-None-Match": first.headers["etag"]})

    assert first.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert again.status_code == 304
    assert again.content == b""


async def test_no_token_no_answer(shared: Supervisor) -> None:
    """Without a token, with a wrong one, or with the right id and another secret, every path but the public ones is closed, and says how to open it."""
    right = shared.token
    wrong = f"{right[:14]}{'A' * 43}"
    async with opened(address(shared), None) as nobody:
        closed = [await nobody.get("/api/v1/tasks")]
        closed += [
            await nobody.get("/api/v1/tasks", headers={"Authorization": value})
            for value in (f"Bearer {wrong}", "Bearer x", f"Basic {right}", "Bearer", f"Bearer {right}x")
        ]
        public = [await nobody.get(path) for path in ("/api/v1/health/live", "/schema", "/swagger-ui")]

    assert {answer.status_code for answer in closed} == {401}
    assert all(answer.headers["www-authenticate"].startswith("Bearer") for answer in closed)
    assert "ambient token" in closed[0].json()["detail"]
    assert {answer.status_code for answer in public} == {200}


async def test_the_log_has_every_request_with_its_task(shared: Supervisor, api: httpx.AsyncClient) -> None:
    """The line of a request names its id, path, task and submitter; the id is the caller's own where it sends one."""
    await api.post("/api/v1/modules", content=b"x", headers={"X-Request-Id": "trace-me-1"})
    body = {"id": "logged", "module": "sha256:" + "0" * 64}
    answer = await api.post("/api/v1/tasks", json=body, headers={"X-Request-Id": "trace-me-2"})
    log: list[str] = []

    async def is_written() -> bool:  # which is after the answer
        log[:] = (shared.plan.data / "logs" / "gateway-1.log").read_text().splitlines()
        return any("trace-me-2" in line for line in log)

    await until(is_written)
    line = next(line for line in log if "trace-me-2" in line)

    assert answer.headers["x-request-id"] == "trace-me-2"
    assert any("trace-me-1" in line for line in log)
    for told in (
        '"task": "owner.logged"',
        '"submitter": "owner"',
        '"path": "/api/v1/tasks"',
        '"status": 202',
    ):
        assert told in line


async def test_every_process_that_touched_a_task_names_it(
    shared: Supervisor, token_for: Callable[..., str], api: httpx.AsyncClient
) -> None:
    """By its id, its submitter and the path of the request, with one trace: gateway, coordinator, nodes (for their slots, too), verifier, anchor."""
    async with opened(address(shared), token_for("client", "ada")) as client:
        await known(client)
        wasm = await module(api)
        order = {"module": wasm, "entry": "add", "args": [1, 2], "id": "followed"}
        body = {**order, "verify": {"kind": "quorum", "agree": 2, "of": 2}}
        assert (await client.post("/api/v1/tasks", json=body)).status_code == 202
        await ended(client, "ada.followed")
        unfit = await client.post("/api/v1/tasks", json={**order, "id": "unfit", "entry": "nothing"})
        assert unfit.status_code == 202
    steps = {
        "gateway-1": {"request"},
        "coordinator-1": {"assigned"},
        "verifier-1": {"accepted"},
        "anchor-1": {"logged"},
        "node-1": {"taken", "ran", "claimed"},
        "node-2": {"taken", "ran", "claimed"},
    }

    async def all_told() -> bool:
        told = lines_about(shared, "ada.followed")
        refused = lines_about(shared, "ada.unfit")["coordinator-1"]
        return refused != [] and all(
            wanted <= {line["event"] for line in told[who]} for who, wanted in steps.items()
        )

    await until(all_told)
    told = lines_about(shared, "ada.followed")
    by_slots = [
        line["slot_pid"] for who in ("node-1", "node-2") for line in told[who] if line["event"] == "ran"
    ]
    (refused,) = lines_about(shared, "ada.unfit")["coordinator-1"]
    (asked,) = (line for line in told["gateway-1"] if line.get("method") == "POST")

    assert told.keys() - {who for who, lines in told.items() if not lines} == steps.keys()
    for line in [
        refused,
        *(line for who in steps for line in told[who] if line.get("method", "POST") == "POST"),
    ]:
        assert (line["submitter"], line["path"], line["level"]) == ("ada", "/api/v1/tasks", "info")
    assert {line["trace_id"] for who in steps for line in told[who]} == {trace_id("gw", "ada.followed")}
    assert asked["token"].endswith("ada")
    assert len(set(by_slots)) == 2
    assert set(by_slots).isdisjoint(running.pid for running in shared.running.values())
    assert (refused["event"], refused["field"]) == ("refused", "work.entry")


def lines_about(cluster: Supervisor, task: str) -> dict[str, list[dict[str, Any]]]:
    """What each process's log says of a task."""
    told: dict[str, list[dict[str, Any]]] = {}
    for name in cluster.running:
        lines = (cluster.plan.data / "logs" / f"{name}.log").read_text().split("\n")[:-1]
        found = [json.loads(line) for line in lines if f'"{task}"' in line]
        told[name] = [line for line in found if line["task"] == task]
    return told


async def test_an_accounts_receipt_is_not_sent_again(api: httpx.AsyncClient) -> None:
    """The same state is the same file: asked with its ETag it is 304. What cannot be is refused by the name of its field."""
    tags: list[str] = [""]

    async def is_known() -> bool:
        path, tag = "/api/v1/ledger/node/node-1/receipt", {"If-None-Match": tags[-1]}
        answer = await api.get(path, headers=tag)
        tags.append(answer.headers.get("etag", ""))
        return answer.status_code == 304

    await until(is_known)
    base = "/api/v1/energy/client/nobody-yet/receipt"
    nothing = await api.get(base)
    refused = [
        await api.get(base, params={name: value})
        for name, value in (("month", "2026-7"), ("since", "5"), ("final", "perhaps"))
    ]

    assert nothing.status_code == 404
    assert [answer.status_code for answer in refused] == [400, 400, 400]
    assert [answer.json()["field"] for answer in refused] == ["month", "since", "final"]
    assert all(answer.json()["limit"] for answer in refused)


async def test_an_account_has_a_receipt_that_strangers_check(api: httpx.AsyncClient) -> None:
    """What an account holds and what its month took are handed out as files that hold offline, down to a block; 409 says where to go on.

    Last in this file: by now the chain has had time for the blocks that are waited for.
    """
    await ended(api, await submitted(api))
    held, took = "/api/v1/ledger/client/owner/receipt", "/api/v1/energy/client/owner/receipt"
    final, month = b"", b""

    async def is_final() -> bool:
        nonlocal final
        answer = await api.get(held, params={"final": "true", "published": "true"})
        assert answer.status_code in (200, 409), answer.text
        final = answer.content
        return answer.headers.get("ambient-receipt") == "final"

    async def is_counted() -> bool:
        nonlocal month
        answer = await api.get(took)
        month = answer.content
        return answer.status_code == 200 and check_account(month).leaf is not None

    await until(is_counted)
    await until(is_final, within_s=120)
    far = {"since": "999999999-7", "final": "true"}
    later = await api.get(held, params=far)
    report = await checked(api, final, final="true")
    foreign = await checked(api, final, account="client/else")
    proof = (await api.post("/api/v1/proofs/verify", content=final)).json()
    other = {"commitment": "0" * 64}
    unpublished = (await api.post("/api/v1/proofs/verify", content=final, params=other)).json()
    damaged = await checked(api, final[:-3] + b"abc")

    assert (later.status_code, later.headers["retry-after"]) == (409, "1")
    assert later.headers["ambient-receipt-since"] == "999999999-7"
    assert check_account(final).name == "client/owner"
    assert (check_account(month).leaf or {})["results"] >= 1
    assert (report["holds"], report["kind"], report["name"]) == (True, "account", "client/owner")
    assert report["block"]["height"] >= 1
    assert (foreign["holds"], foreign["link"]) == (False, "account")
    assert (damaged["holds"], damaged["link"]) == (False, "file")
    assert (proof["holds"], proof["format"], proof["name"]) == (True, "ambient-receipt@v1", "client/owner")
    assert proof["block"] == report["block"]
    assert (unpublished["holds"], unpublished["link"]) == (False, "state")


async def test_a_proof_of_another_kind_is_refused_with_the_kinds_that_are_known(
    api: httpx.AsyncClient,
) -> None:
    """A zero-knowledge proof is not told to be broken: it is of a kind that nobody here can check, and the answer names those that can be."""
    answers = [
        await api.post("/api/v1/proofs/verify", content=content)
        for content in (
            b'{"pi_a": ["1", "2"], "protocol": "groth16", "curve": "bn128"}',
            b'{"format": "ambient-zk/1", "proof": "AAAA"}',
            b"ambient-receipt@v9\n" + bytes(40),
            bytes(range(256)),
            b"[1, 2]",
        )
    ]
    told = [answer.json() for answer in answers]

    assert {answer.status_code for answer in answers} == {415}
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}
    assert {each["type"] for each in told} == {"urn:ambient:problem:unknown-proof"}
    assert {each["field"] for each in told} == {"format"}
    assert {each["limit"] for each in told} == {
        "one of ambient-balance/1, ambient-energy/1, ambient-receipt@v1"
    }
    for each, said in zip(
        told, ("groth16", "ambient-zk/1", "ambient-receipt@v9", "does not say", "does not say"), strict=True
    ):
        assert said in each["detail"]


async def checked(api: httpx.AsyncClient, data: bytes, **demands: str) -> dict[str, Any]:
    """What the API says of a receipt."""
    answer = await api.post("/api/v1/receipts/verify", content=data, params=demands)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found
