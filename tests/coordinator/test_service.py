"""The coordinator as a service, against a real nats-server: scripted nodes, a scripted verifier, a bare client."""

import asyncio
import base64
import datetime as dt
import json

import pytest

from bus.blobs import Blobs
from bus.connection import Bus
from bus.errors import ServiceFailed
from bus.messages import Abandoned, Capabilities, Hello, HelloReply, NodesReply, TasksReply, TasksRequest
from bus.signing import HELLO, Identity
from bus.wire import encode
from coordinator.core import Core
from coordinator.desk import Desk
from coordinator.errors import UnknownStrategy
from coordinator.load import Load
from coordinator.service import run
from coordinator.strategies import strategy_named
from tests.coordinator.cell import Cell
from tests.coordinator.scripted import ADD, FORBIDDEN, Client, Node, eventually, task, until


async def test_a_task_goes_to_a_node_and_its_verdict_closes_it(cell: Cell) -> None:
    """The way of one task: assigned durably, delivered with the client's bytes, closed by its verdict."""
    cell.coordinator()
    node = await cell.node("n1")
    client = await Client(cell.bus).start(ADD)
    sequence = await client.submit(task("t1"))
    await eventually(lambda: "me.t1" in cell.verifier.judged)
    (decision,) = await eventually(lambda: cell.assigned("me.t1"))

    assert decision.nodes == ("n1",)
    assert decision.source == (sequence, 0)
    assert (node.got[0].decision, decision) in cell.decided
    assert json.loads(bytes(node.got[0].spec)) == task("t1")
    assert (await eventually(lambda: client.progress))[0]["nodes"] == ["n1"]
    await until(lambda: cell.state("me.t1"), "verified")


@pytest.mark.parametrize(
    ("spec", "field", "limit"),
    [
        (b"{nonsense", "", "JSON"),
        (task("bad", work={"kind": "magic"}), "work.kind", "magic"),
        (task("bad", typo=1), "typo", "not a field"),
        (task("bad", priority=10), "priority", "<= 9"),
        (task("bad", work={"input": base64.b64encode(bytes(70_000)).decode()}), "work.input", "65536"),
        (task("bad", module=b"never stored"), "work.module", "upload it first"),
        (task("bad", work={"entry": "divide"}), "work.entry", "add"),
        (task("bad", work={"args": [1]}), "work.args", "takes 2 arguments"),
        (task("bad", work={"input": "aGk="}), "work.input", "numbers"),
        (task("bad", module=FORBIDDEN, work={"entry": "_start", "args": []}), "work.module", "env.escape"),
        (
            task("bad", module=FORBIDDEN[:-4], work={"entry": "_start", "args": []}),
            "work.module",
            "",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value else None,
)
async def test_a_bad_submission_comes_back_naming_field_and_limit_and_the_log_goes_on(
    cell: Cell, spec: dict[str, object] | bytes, field: str, limit: str
) -> None:
    """Whatever is wrong, `rejected` and `why` name it, and the next task runs."""
    cell.coordinator()
    await cell.node("n1")
    client = await Client(cell.bus).start(ADD, FORBIDDEN, FORBIDDEN[:-4])
    sequence = await client.submit(spec)
    await client.submit(task("good"))
    (refused,) = await eventually(lambda: client.rejected)
    await eventually(lambda: "me.good" in cell.verifier.judged)
    name = "me.bad" if isinstance(spec, dict) else f"me.{sequence}"
    reply = await cell.why(name)

    assert refused["field"] == field
    assert limit in refused["limit"]
    assert refused["source"] == [sequence, 0]
    assert (reply.state, reply.field) == ("refused", field)


async def test_an_input_blob_must_exist(cell: Cell) -> None:
    """A task that names an input which nobody stored is refused; once it is stored, the same task runs."""
    cell.coordinator()
    await cell.node("n1")
    command = bytes.fromhex("0061736d010000000104016000000302010007 0a01065f7374617274 0000 0a040102000b")
    client = await Client(cell.bus).start(command)
    spec = task("t", module=command, work={"entry": "_start", "args": [], "input_blob": "sha256:" + "0" * 64})
    await client.submit(spec)
    (refused,) = await eventually(lambda: client.rejected)
    digest = await Blobs(cell.bus, "me").put(b"here now")
    spec["work"]["input_blob"] = f"sha256:{digest}"
    await client.submit(spec)
    await eventually(lambda: "me.t" in cell.verifier.judged)

    assert refused["field"] == "work.input_blob"
    assert cell.assigned("me.t")[0].input == digest


async def test_the_same_id_twice_is_one_task(cell: Cell) -> None:
    """The same bytes again run nothing and bring the verdict again; other bytes under the id are refused."""
    cell.coordinator()
    node = await cell.node("n1")
    client = await Client(cell.bus).start(ADD)
    await client.submit(task("t1"), task("t2"))
    await eventually(lambda: len(cell.verifier.judged) == 2)
    await until(lambda: cell.state("me.t1"), "verified")
    await client.submit(task("t1"))
    (again,) = await eventually(lambda: client.done)
    await client.submit(task("t1", priority=9))
    (refused,) = await eventually(lambda: client.rejected)

    assert (again["task"], again["status"]) == ("me.t1", "verified")
    assert (refused["field"], refused["task"]) == ("id", "me.t1")
    assert len(node.got) == 2


async def test_a_cancelled_task_is_stopped_at_its_node(cell: Cell) -> None:
    """Cancel reaches a running attempt, the decision is in the log, and the room is free again."""
    cell.coordinator()
    node = await cell.node("n1", answers=False, slots=1)
    client = await Client(cell.bus).start(ADD)
    await client.submit(task("t1"))
    await eventually(lambda: node.got)
    await client.cancel("t1")
    (stopped,) = await eventually(lambda: node.cancelled)
    (abandoned,) = await eventually(lambda: cell.of(Abandoned))
    cell.verifier.verdict("me.t1", "cancelled")
    await until(lambda: cell.state("me.t1"), "cancelled")
    await client.submit(task("t2"))
    await eventually(lambda: len(node.got) == 2)

    assert (stopped.task, stopped.attempt) == ("me.t1", 1)
    assert (abandoned.task, abandoned.status) == ("me.t1", "cancelled")


async def test_a_task_past_its_deadline_is_abandoned(cell: Cell) -> None:
    """A deadline in the past ends a task at once; one that passes while the task waits, then."""
    cell.coordinator()
    client = await Client(cell.bus).start(ADD)
    await client.submit(task("past", deadline="2020-01-01T00:00:00Z"))
    soon = dt.datetime.fromtimestamp(cell.clock() + 5, dt.UTC)
    await client.submit(task("soon", deadline=soon.isoformat()))
    await eventually(lambda: len(cell.of(Abandoned)) == 2)

    assert [(each.task, each.status) for each in cell.of(Abandoned)] == [
        ("me.past", "expired"),
        ("me.soon", "expired"),
    ]


async def test_the_work_of_a_dead_node_goes_elsewhere(cell: Cell) -> None:
    """A node that falls silent is dead at 10 s: its attempt is made good by another node, and the log says for whom."""
    cell.coordinator()
    silent = await cell.node("silent", answers=False)
    client = await Client(cell.bus).start(ADD)
    await client.submit(task("t1"))
    await eventually(lambda: silent.got)
    await silent.die()
    await cell.node("lively")
    await eventually(lambda: "me.t1" in cell.verifier.judged)
    first, second = await eventually(lambda: cell.assigned("me.t1")[1:] and cell.assigned("me.t1"))

    assert (first.nodes, second.nodes, second.attempt) == (("silent",), ("lively",), 2)
    assert second.replaces == ("silent",)


async def test_a_node_that_leaves_hands_its_work_back_at_once(cell: Cell) -> None:
    """Goodbye is quicker than death."""
    cell.coordinator()
    leaving = await cell.node("leaving", answers=False)
    client = await Client(cell.bus).start(ADD)
    await client.submit(task("t1"))
    await eventually(lambda: leaving.got)
    await cell.node("lively")
    await leaving.leave()
    await eventually(lambda: "me.t1" in cell.verifier.judged, timeout_s=0.9)

    assert [each.nodes for each in cell.assigned("me.t1")] == [("leaving",), ("lively",)]


async def test_a_lost_delivery_is_sent_again(cell: Cell) -> None:
    """An attempt that its node does not list is delivered again, as the same attempt."""
    cell.coordinator()
    node = await cell.node("n1")
    node.deaf = True
    client = await Client(cell.bus).start(ADD)
    await client.submit(task("t1"))
    await eventually(lambda: node.got)
    node.deaf = False
    await eventually(lambda: "me.t1" in cell.verifier.judged)

    assert [(told.attempt, told.decision) for told in node.got] == [(1, node.got[0].decision)] * 2
    assert len(cell.assigned("me.t1")) == 1


async def test_a_quorum_is_spread_and_an_inconclusive_gets_more_nodes(cell: Cell) -> None:
    """Replicas are on different nodes; what the verifier still needs goes to a node that had no say yet."""
    cell.verifier.judges = False
    cell.coordinator()
    for name in ("n1", "n2", "n3", "n4"):
        await cell.node(name)
    client = await Client(cell.bus).start(ADD)
    await client.submit(task("t1", verify={"kind": "quorum", "agree": 2, "of": 3}))
    await eventually(lambda: len(cell.verifier.results["me.t1"]) == 3)
    had = tuple(result.node for result in cell.verifier.results["me.t1"])
    cell.verifier.inconclusive("me.t1", need=1, after=1, exclude=had)
    cell.verifier.inconclusive("me.t1", need=1, after=1, exclude=had)
    await eventually(lambda: len(cell.verifier.results["me.t1"]) == 4)
    cell.verifier.verdict("me.t1")
    await until(lambda: cell.state("me.t1"), "verified")

    first, second = cell.assigned("me.t1")
    assert len(set(first.nodes) | set(second.nodes)) == 4
    assert (second.attempt, second.replaces) == (2, ())


async def test_a_name_belongs_to_its_first_key(cell: Cell) -> None:
    """A hello by another key is refused with what to do; the owner may come back and change its capabilities."""
    cell.coordinator()
    owner = await cell.node("n1")
    thief = Node(cell.bus, "n1")
    refused = await thief.hello()
    changed = await owner.hello(labels={"gpu": "no"})
    reply = await cell.bus.request(cell.bus.subjects.service("coordinator", "nodes"), b"{}", NodesReply)

    assert not refused.ok
    assert "belongs to key" in refused.error
    assert "--id" in refused.error
    assert changed.ok
    assert [(view.node, view.capabilities.labels) for view in reply.nodes] == [("n1", {"gpu": "no"})]


async def test_nodes_that_say_much_of_themselves_come_in_more_pages(cell: Cell) -> None:
    """However large the nodes make their own descriptions, a page fits into a message, and the pages hold them all."""
    cell.coordinator()
    wordy = {f"{number:064}": "x" * 64 for number in range(16)}
    names = [f"n{number}" for number in range(400)]
    await Node(cell.bus, names[0]).hello(labels=wordy)
    await asyncio.gather(*(Node(cell.bus, name).hello(labels=wordy) for name in names[1:]))
    told: list[str] = []
    pages = 0
    while len(told) < len(names):
        subject = cell.bus.subjects.service("coordinator", "nodes")
        reply = await cell.bus.request(subject, b'{"offset":%d}' % len(told), NodesReply)
        told += [view.node for view in reply.nodes]
        pages += 1

    assert sorted(told) == sorted(names)
    assert reply.total == len(names)
    assert pages > 1


async def test_why_names_each_node_with_its_reason(cell: Cell) -> None:
    """A task that waits says for each node why not it; one pinned to a node that never enrolled says that."""
    cell.coordinator()
    await cell.node("n1", slots=1, answers=False)
    client = await Client(cell.bus).start(ADD)
    await client.submit(task("busy"), task("queued"), task("far", place={"region": "moon"}))
    await client.submit(task("pinned", place={"node": "ghost"}))
    await until(lambda: cell.state("me.busy"), "assigned")
    await until(lambda: cell.state("me.pinned"), "waiting")
    placed, queued = await cell.why("me.busy"), await cell.why("me.queued")
    far, pinned = await cell.why("me.far"), await cell.why("me.pinned")

    assert [(each.node, each.chosen) for each in placed.nodes] == [("n1", True)]
    assert placed.nodes[0].score > 0
    assert queued.state == "waiting"
    assert "no room" in queued.nodes[0].reason
    assert "moon" in far.nodes[0].reason
    assert "ghost" in pinned.detail
    assert await cell.state("me.nobody") == "unknown"


async def test_tasks_are_listed_newest_first(cell: Cell) -> None:
    """The list filters by client and state."""
    cell.coordinator()
    await cell.node("n1")
    client = await Client(cell.bus).start(ADD)
    await client.submit(task("t1"), b"junk")
    await until(lambda: cell.state("me.t1"), "verified")
    await client.submit(task("t2", place={"node": "ghost"}), task("t3", place={"node": "ghost"}))
    await until(lambda: cell.state("me.t3"), "waiting")
    subject = cell.bus.subjects.service("coordinator", "tasks")
    every = await cell.bus.request(subject, TasksRequest(), TasksReply)
    waiting = await cell.bus.request(subject, TasksRequest(state="waiting", limit=1), TasksReply)
    nobody = await cell.bus.request(subject, TasksRequest(client="you"), TasksReply)

    assert [each.task for each in every.tasks][:3] == ["me.t3", "me.t2", "me.t1"]
    assert every.open == 2
    assert [each.task for each in waiting.tasks] == ["me.t3"]
    assert nobody.tasks == []


async def test_an_unknown_strategy_is_told_at_the_start(cell: Cell) -> None:
    """A typo in the strategy ends the process with the names that there are."""
    with pytest.raises(UnknownStrategy, match="weighted"):
        await run(cell.settings(strategy="wieghted"), stop=asyncio.Event())


async def test_between_two_leaders_a_hello_is_not_refused(cell: Cell, bus: Bus) -> None:
    """Nobody leads at that moment, or the leader goes before the enrolment is durable: the node is told to ask again. A refusal would end it."""
    settings = cell.settings()
    core = Core(bus.subjects, strategy_named("weighted"), settings.timing)
    desk = Desk(bus, core, settings, lambda: None, Load(settings), now_ms=lambda: 0)
    await desk.listen()
    await desk.open()
    asked = asyncio.create_task(_hello(bus))
    with pytest.raises(ServiceFailed, match="stands by"):
        await asked
    core.lead("c", 0)
    waiting = asyncio.create_task(_hello(bus))
    await eventually(lambda: core.registry.key("n1"))
    await desk.close()
    with pytest.raises(ServiceFailed, match="say hello again"):
        await waiting


async def _hello(bus: Bus) -> HelloReply:
    capabilities = Capabilities(version="1", engine="e", cores=1, memory_mb=1, slots=1)
    body = Identity.generate().seal(HELLO, [encode(Hello(node="n1", capabilities=capabilities))])
    return await bus.request(bus.subjects.service("coordinator", "hello"), body, HelloReply)
