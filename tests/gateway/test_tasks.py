"""Tasks over HTTP: durable before the answer, once however often asked, and told from beginning to end."""

import asyncio
import base64
import hashlib
from collections.abc import Callable

import httpx
import pytest

from ambient.cluster import Supervisor
from anchor.receipt.check import check
from tests.gateway.conftest import ADD, GUESTS, address, ended, known, module, opened, submitted, until

pytestmark = pytest.mark.asyncio(loop_scope="session")
"""In the loop of the cluster, which starts again what dies."""


async def test_a_story_goes_from_asked_to_proven(api: httpx.AsyncClient) -> None:
    """Who asked, what was decided, who claimed, what was accepted, and the signed state that proves it, each with its moment and place."""
    name = await submitted(api, verify={"kind": "quorum", "agree": 2, "of": 2}, id="story")
    story = await ended(api, name)

    async def is_proven() -> bool:
        return (await api.get(f"/api/v1/tasks/{name}")).json()["proven"]["state"] in ("signed", "final")

    await until(is_proven)
    proven = (await api.get(f"/api/v1/tasks/{name}")).json()["proven"]
    moments = [
        story["asked"]["at_ms"],
        story["decided"][0]["at_ms"],
        max(claim["at_ms"] for claim in story["claimed"]),
        story["accepted"]["at_ms"],
        proven["at_ms"],
    ]

    assert (story["task"], story["client"], story["state"]) == ("owner.story", "owner", "verified")
    assert story["asked"]["spec"]["work"]["args"] == [40, 2]
    assert {claim["node"] for claim in story["claimed"]} == {"node-1", "node-2"}
    assert all(claim["counted"] for claim in story["claimed"])
    assert sorted(story["accepted"]["agree"]) == ["node-1", "node-2"]
    assert moments == sorted(moments)
    assert moments[0] > 0


async def test_the_output_is_byte_for_byte_what_the_guest_wrote(api: httpx.AsyncClient) -> None:
    """Also one that is large enough to travel as a blob, from an input that is."""
    payload = b"all of it " * 10_000
    wasm = base64.b64encode((GUESTS / "upper.wasm").read_bytes()).decode()
    order = {"module_base64": wasm, "input_base64": base64.b64encode(payload).decode()}
    name = (await api.post("/api/v1/tasks", json=order)).json()["task"]
    await ended(api, name)
    answer = await api.get(f"/api/v1/tasks/{name}/output")

    assert answer.content == payload.upper()
    assert answer.headers["ambient-output-digest"].endswith(hashlib.sha256(payload.upper()).hexdigest())


async def test_a_number_comes_back(api: httpx.AsyncClient) -> None:
    """The output of an exported function is its result as text; before there is a verdict it is a conflict, not an empty answer."""
    name = await submitted(api, args=[20, 3])
    await ended(api, name)
    waiting = await submitted(api, place={"node": "nowhere"})
    early = await api.get(f"/api/v1/tasks/{waiting}/output")
    why = (await api.get(f"/api/v1/tasks/{waiting}/why")).json()
    await api.delete(f"/api/v1/tasks/{waiting}")
    cancelled = await ended(api, waiting)

    assert (await api.get(f"/api/v1/tasks/{name}/output")).content == b"23"
    assert early.status_code == 409
    assert why["state"] == "waiting"
    assert "nowhere" in why["detail"]
    assert cancelled["state"] == "cancelled"


async def test_a_key_stands_for_one_task_at_every_gateway(
    api: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    """The same key and body is the same task, also at a gateway that never heard of it; another body is refused with 422."""
    body = {"module": await module(api), "entry": "add", "args": [1, 1]}
    key = {"Idempotency-Key": "one of mine"}
    first = await api.post("/api/v1/tasks", json=body, headers=key)
    again = await api.post("/api/v1/tasks", json=body, headers=key)
    name = first.json()["task"]
    await ended(other, name)
    elsewhere = await other.post("/api/v1/tasks", json=body, headers=key)
    mismatch = await other.post("/api/v1/tasks", json=body | {"args": [1, 2]}, headers=key)
    twice = await api.post("/api/v1/tasks", json=body | {"id": "x"}, headers=key)
    listed: list[str] = []

    async def is_listed() -> bool:
        found = (await api.get("/api/v1/tasks", params={"search": name})).json()["tasks"]
        listed[:] = [task["task"] for task in found]
        return bool(listed)

    await until(is_listed)
    assert (first.status_code, first.json()["replayed"]) == (202, False)
    assert again.json() == first.json() | {"replayed": True}
    assert elsewhere.json() == first.json() | {"replayed": True}
    assert (mismatch.status_code, mismatch.json()["field"]) == (422, "Idempotency-Key")
    assert twice.json()["field"] == "id"
    assert listed == [name]


async def test_the_same_key_at_the_same_moment_is_one_task(api: httpx.AsyncClient) -> None:
    """Ten requests that race get one place in the log."""
    body = {"module": await module(api), "entry": "add", "args": [7, 7]}
    raced = await asyncio.gather(
        *(api.post("/api/v1/tasks", json=body, headers={"Idempotency-Key": "race"}) for _ in range(10))
    )

    assert {answer.status_code for answer in raced} == {202}
    assert len({(answer.json()["sequence"], answer.json()["line"]) for answer in raced}) == 1


async def test_an_id_stands_for_one_task(api: httpx.AsyncClient) -> None:
    """Used for another one, it is a conflict that names the task."""
    name = await submitted(api, id="mine")
    await ended(api, name)
    body = {"id": "mine", "module": await module(api), "entry": "add", "args": [0, 0]}
    answer = await api.post("/api/v1/tasks", json=body)

    assert answer.status_code == 409
    assert (answer.json()["field"], answer.json()["task"]) == ("id", "owner.mine")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"module": None}, "module"),
        ({"module": "sha256:xyz"}, "module"),
        ({"module_base64": "AA=="}, "module"),
        ({"module": None, "module_base64": "?"}, "module_base64"),
        ({"priority": 10}, "priority"),
        ({"prio": 1}, "prio"),
        ({"verify": {"kind": "quorum", "agree": 1, "of": 3}}, "verify.agree"),
        ({"limits": {"fuel": 0}}, "limits.fuel"),
        ({"input": "a", "input_base64": "YQ=="}, "input_base64"),
        ({"price": 1}, "reward"),
    ],
)
async def test_a_bad_order_names_field_and_limit(
    api: httpx.AsyncClient, change: dict[str, object], field: str
) -> None:
    """Whatever is wrong, the answer is a problem that says where and what is allowed, and nothing is stored."""
    body = {"module": "sha256:" + "0" * 64, "entry": "add", "args": [1, 2]} | change
    answer = await api.post("/api/v1/tasks", json=body)
    said = answer.json()

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert said["field"] == field
    assert said["limit"]
    assert said["type"] == "urn:ambient:problem:malformed"
    assert said["request"] == answer.headers["x-request-id"]


async def test_a_refusal_of_the_cluster_is_told(api: httpx.AsyncClient) -> None:
    """A module that nobody uploaded is refused by the coordinator: the story and the list say so, with the field."""
    name = await submitted(api, module="sha256:" + "1" * 64)

    async def is_refused() -> bool:
        return (await api.get(f"/api/v1/tasks/{name}")).json()["state"] == "refused"

    await until(is_refused)
    story = (await api.get(f"/api/v1/tasks/{name}")).json()

    assert story["decided"][-1]["kind"] == "refused"
    assert "module" in story["decided"][-1]["field"]
    assert story["accepted"] is None


async def test_what_was_acknowledged_is_known_at_once(api: httpx.AsyncClient) -> None:
    """Nobody is told that there is no task which he has just submitted, whoever has read of it by then."""
    paths = ("tasks/{}", "tasks/{}/why", "tasks/{}/output", "receipts/{}")
    for number in range(12):
        name = await submitted(api, id=f"at-once-{number}")
        asked = [api.get("/api/v1/" + path.format(name)) for path in paths]
        answers = await asyncio.gather(*asked, api.delete(f"/api/v1/tasks/{name}"))
        assert {answer.status_code for answer in answers} <= {200, 202, 409}, [
            (str(answer.url), answer.status_code, answer.text) for answer in answers
        ]


async def test_lists_are_filtered_and_paged(api: httpx.AsyncClient) -> None:
    """Every task once, whatever the size of the pages; each filter lets through what it says, and what cannot be is refused by field and limit."""
    names = [await submitted(api, id=f"page-{number}") for number in range(5)]
    stories = [await ended(api, name) for name in names]

    async def found(**by: object) -> list[str]:
        answer = await api.get("/api/v1/tasks", params={"prefix": "page-", **by})  # type: ignore[dict-item]  # httpx takes them as they are
        assert answer.status_code == 200, answer.text
        return sorted(task["task"] for task in answer.json()["tasks"])

    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await api.get("/api/v1/tasks", params={"prefix": "page-", "limit": 2, **cursor})).json()
        seen += [task["task"] for task in page["tasks"]]
        if not page["next"]:
            break
        cursor = {"cursor": page["next"]}
    asked_ms = sorted(story["asked"]["at_ms"] for story in stories)
    digest = await module(api)

    assert sorted(seen) == names
    assert await found(state=["verified", "failed"], client="owner", search="owner.page") == names
    assert await found(state="waiting") == await found(client="nobody") == await found(module="beef") == []
    assert await found(module=digest) == await found(module=digest[7:19]) == names
    assert await found(since_ms=asked_ms[0], until_ms=asked_ms[-1] + 1) == names
    assert await found(since_ms=asked_ms[-1] + 1) == await found(until_ms=asked_ms[0]) == []
    for field, value, limit in (
        ("module", "xyz", "[0-9a-f]{1,64}"),
        ("prefix", "a.b", "regex"),
        ("state", "done", ""),
        ("limit", "1001", "1000"),
        ("since_ms", "-1", "0"),
        ("until_ms", "3", "since_ms, 9"),
    ):
        refused = await api.get("/api/v1/tasks", params={"since_ms": "9", field: value})
        said = refused.json()
        assert (refused.status_code, said["field"]) == (400, field), said
        assert limit in said["limit"], said


async def test_each_acts_in_its_own_name(shared: Supervisor, token_for: Callable[..., str]) -> None:
    """A viewer submits nothing; a client only in its own name and cancels only its own; an operator in any name."""
    async with (
        opened(address(shared), token_for("viewer", "eve")) as viewer,
        opened(address(shared), token_for("client", "bob")) as bob,
        opened(address(shared), shared.token) as operator,
    ):
        await known(viewer)
        await known(bob)
        body = {"module": await module(operator), "entry": "add", "args": [2, 2]}
        looks = await viewer.post("/api/v1/tasks", json=body)
        own = await bob.post("/api/v1/tasks", json=body)
        disguised = await bob.post("/api/v1/tasks", json=body, headers={"Ambient-Client": "owner"})
        for_bob = await operator.post("/api/v1/tasks", json=body, headers={"Ambient-Client": "bob"})
        others = await bob.delete(f"/api/v1/tasks/{await submitted(operator)}")
        registers = await bob.post("/api/v1/nodes", json={})
        short = await bob.get(f"/api/v1/tasks/{own.json()['id']}")

    assert looks.status_code == disguised.status_code == others.status_code == registers.status_code == 403
    assert looks.json()["limit"]
    assert own.json()["client"] == for_bob.json()["client"] == "bob"
    assert short.json()["task"] == own.json()["task"]


async def test_a_receipt_is_the_one_that_strangers_check(api: httpx.AsyncClient) -> None:
    """What is handed out holds by the offline check; damaged, cut or made up, the answer names the link that is broken."""
    name = await submitted(api, verify={"kind": "quorum", "agree": 2, "of": 2})
    await ended(api, name)

    async def is_there() -> bool:
        return (await api.get(f"/api/v1/receipts/{name}")).status_code == 200

    await until(is_there)
    data = (await api.get(f"/api/v1/receipts/{name}")).content
    holds = (await api.post("/api/v1/receipts/verify", content=data)).json()
    foreign = (await api.post("/api/v1/receipts/verify", content=data, params={"task": "owner.else"})).json()
    damaged = (await api.post("/api/v1/receipts/verify", content=data[:-7] + b"garbage")).json()
    unknown = await api.get("/api/v1/receipts/owner.never")

    assert check(data).verdict.task == name
    assert (holds["holds"], holds["name"], set(holds["nodes"])) == (True, name, {"node-1", "node-2"})
    assert (foreign["holds"], foreign["link"]) == (False, "task")
    assert (damaged["holds"], damaged["link"]) == (False, "file")
    assert unknown.status_code == 404


async def test_modules_are_looked_at_before_they_are_stored(api: httpx.AsyncClient) -> None:
    """A report says what a module is; what no node would take is refused with the reason; used ones are listed."""
    stored = (await api.post("/api/v1/modules", content=ADD.read_bytes())).json()
    again = (await api.get(f"/api/v1/modules/{stored['digest']}")).json()
    junk = await api.post("/api/v1/modules", content=b"\0asm junk")
    missing = await api.get("/api/v1/modules/sha256:" + "2" * 64)
    await submitted(api)

    async def is_listed() -> bool:
        listed = (await api.get("/api/v1/modules")).json()["modules"]
        return stored["digest"] in {each["digest"] for each in listed}

    await until(is_listed)
    assert again == stored
    assert stored["functions"] == [{"name": "add", "type": "(i32, i32) -> (i32)"}]
    assert (junk.status_code, junk.json()["field"]) == (400, "module")
    assert missing.status_code == 404
