"""What a node survives: its own kill -9, the server's, a client's bad input; and what its fault switches really do."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from bus.connection import Bus
from bus.messages import EnrolAgain
from bus.server import NatsServer
from bus.streams import DEFAULT_MAX_BYTES, StreamLimits, ensure_streams
from bus.wire import sha256_hex
from tests.workers.scripted import ADD, ECHO, ENDLESS, PATIENCE_S, Coordinator, StartNode
from workers.errors import EXIT_CUT_SHORT, EXIT_DRAINED
from workers.settings import NodeSettings

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = """
import asyncio, sys, msgspec
from workers.node import run_node
from workers.settings import NodeSettings
sys.exit(asyncio.run(run_node(msgspec.json.decode(sys.argv[1], type=NodeSettings, dec_hook=lambda kind, text: kind(text)))))
"""


class World:
    """A server of one's own that may be killed, with a coordinator on it."""

    def __init__(self, server: NatsServer, bus: Bus, coordinator: Coordinator) -> None:
        self.server = server
        self.bus = bus
        self.coordinator = coordinator


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with NatsServer(tmp_path / "nats") as server, await Bus.connect(server.url) as bus:
        await ensure_streams(bus)
        coordinator = Coordinator(bus)
        await coordinator.start()
        yield World(server, bus, coordinator)
        await coordinator.stop()


class NodeProcess:
    """A node in a process of its own."""

    def __init__(self, settings: NodeSettings) -> None:
        self.settings = settings
        text = msgspec.json.encode(settings, enc_hook=str).decode()
        self.process = subprocess.Popen([sys.executable, "-c", PROGRAM, text], cwd=ROOT)

    def kill(self) -> None:
        """Kill -9."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    async def ended(self) -> int:
        """The exit code."""
        return await asyncio.to_thread(self.process.wait, PATIENCE_S)


@pytest.fixture
def processes() -> Iterator[list[NodeProcess]]:
    started: list[NodeProcess] = []
    yield started
    for node in started:
        if node.process.poll() is None:
            node.kill()


def waiting_lines(data: Path) -> int:
    """Claims in the outbox's files."""
    return sum(path.read_bytes().count(b"\n") for path in (data / "outbox").glob("*.lines"))


def settings_for(world: World, data: Path, **changes: object) -> NodeSettings:
    base = NodeSettings(
        data=data, id="n1", url=world.server.url, cluster="home", slots=1, bandwidth_mbps=1.0, telemetry_s=0.1
    )
    return msgspec.structs.replace(base, **changes)


async def test_a_killed_node_sends_what_it_had_claimed_and_is_the_same_node(
    world: World, processes: list[NodeProcess], tmp_path: Path
) -> None:
    """Server down, claims in the outbox, kill -9, all up again: each claim goes out once, under the same key."""
    coordinator, data = world.coordinator, tmp_path / "node"
    settings = settings_for(world, data, fault="slow:1000")
    processes.append(NodeProcess(settings))
    module = await coordinator.upload_text(ADD)
    await coordinator.until(lambda: coordinator.telemetry)
    work = [coordinator.adding(f"me.t{i}", module, i, i) for i in range(20)]
    await coordinator.tell("n1", *work)
    await coordinator.until(lambda: len(coordinator.open()) == 20)
    world.server.kill()
    await coordinator.until(lambda: waiting_lines(data) == 20)
    processes[0].kill()
    assert coordinator.results == []
    await world.server.restart()
    processes.append(NodeProcess(settings))
    await coordinator.until(lambda: len(coordinator.results) >= 20)
    await coordinator.until(lambda: len(coordinator.hellos) >= 2)
    # A coordinator that had not read the results yet delivers again: nothing runs twice.
    await coordinator.tell("n1", *work, coordinator.adding("me.new", module, 1, 1))
    await coordinator.until(lambda: any(result.task == "me.new" for _, result in coordinator.results))
    processes[1].process.send_signal(signal.SIGTERM)

    assert await processes[1].ended() == EXIT_DRAINED
    await coordinator.until(lambda: coordinator.goodbyes)
    assert sorted(result.task for _, result in coordinator.results) == sorted(
        ["me.new", *(sent.task for sent in work)]
    )
    assert {key for key, _ in coordinator.results} == {key for key, _ in coordinator.hellos}
    assert waiting_lines(data) == 0


async def test_results_wait_for_a_server_that_restarts(
    world: World, start_node: StartNode, tmp_path: Path
) -> None:
    """The node keeps working without the bus; everything goes out once when it is back; it beats as before, and says hello to who asks."""
    coordinator, data = world.coordinator, tmp_path / "survivor"
    start_node(url=world.server.url, cluster="home", data=data, fault="slow:500")
    module = await coordinator.upload_text(ADD)
    await coordinator.until(lambda: coordinator.telemetry)
    await coordinator.tell("n1", *(coordinator.adding(f"me.t{i}", module, i, i) for i in range(50)))
    await coordinator.until(lambda: len(coordinator.open()) == 50)
    world.server.kill()
    await coordinator.until(lambda: waiting_lines(data) == 50)
    beats = len(coordinator.telemetry)
    await world.server.restart()
    await coordinator.until(lambda: len(coordinator.results) >= 50)
    await coordinator.until(lambda: len(coordinator.telemetry) > beats)
    await coordinator.tell("n1", coordinator.adding("me.after", module, 1, 1))
    await coordinator.until(lambda: coordinator.results[-1][1].task == "me.after")
    # A thousand nodes that come back together would all say it, to a coordinator that knows them.
    assert len(coordinator.hellos) == 1
    await coordinator.tell("n1", EnrolAgain())
    await coordinator.until(lambda: len(coordinator.hellos) == 2)

    assert len(coordinator.results) == 51


async def test_a_lying_node_answers_consistently_wrong(
    coordinator: Coordinator, start_node: StartNode
) -> None:
    """`lie`: signed, well formed, wrong; and its capabilities say what it is."""
    start_node(fault="lie")
    module = await coordinator.upload_text(ADD)
    await coordinator.until(lambda: coordinator.telemetry)
    await coordinator.tell("n1", coordinator.adding("me.t1", module, 2, 3))
    await coordinator.until(lambda: coordinator.results)
    result = coordinator.result("me.t1")

    assert coordinator.hellos[0][1].capabilities.labels == {"fault": "lie"}
    assert result.status == "ok"
    assert result.output is not None
    assert result.output != b"5"
    assert result.output_digest == sha256_hex(result.output)


async def test_a_silent_node_accepts_and_never_answers(
    coordinator: Coordinator, start_node: StartNode
) -> None:
    """`silent`: telemetry lists the attempt for ever; a drain gives it back."""
    node = start_node(fault="silent")
    module = await coordinator.upload_text(ADD)
    await coordinator.until(lambda: coordinator.telemetry)
    await coordinator.tell("n1", coordinator.adding("me.t1", module, 2, 3))
    await coordinator.until(lambda: coordinator.open() == ("me.t1#1",))
    beats = len(coordinator.telemetry)
    await coordinator.until(lambda: len(coordinator.telemetry) >= beats + 3)

    assert coordinator.open() == ("me.t1#1",)
    assert await node.stop() == EXIT_DRAINED
    assert coordinator.results == []
    assert coordinator.goodbyes[0].handed_back == ("me.t1#1",)


async def test_a_crashing_node_is_gone_before_its_nth_answer(
    world: World, processes: list[NodeProcess], tmp_path: Path
) -> None:
    """`crash:3`: two answers, then the process ends as by kill -9, and so do its slots."""
    coordinator = world.coordinator
    processes.append(NodeProcess(settings_for(world, tmp_path / "node", fault="crash:3")))
    module = await coordinator.upload_text(ADD)
    await coordinator.until(lambda: coordinator.telemetry)
    for number in range(2):
        await coordinator.tell("n1", coordinator.adding(f"me.t{number}", module, 1, 1))
        await coordinator.until(lambda wanted=number + 1: len(coordinator.results) == wanted)
    await coordinator.tell("n1", coordinator.adding("me.t2", module, 1, 1))

    assert await processes[0].ended() == -signal.SIGKILL
    assert len(coordinator.results) == 2


async def test_two_signals_of_one_kind_end_a_process_at_once(
    world: World, processes: list[NodeProcess], tmp_path: Path
) -> None:
    """SIGTERM drains, SIGINT beside it changes nothing, a second SIGTERM ends with a goodbye; the exit code says that work was left."""
    coordinator = world.coordinator
    processes.append(NodeProcess(settings_for(world, tmp_path / "node")))
    process = processes[0].process
    endless = coordinator.spec(await coordinator.compiled_spin(), entry="spin", limits=ENDLESS)
    await coordinator.tell("n1", coordinator.assignment("me.t1", endless))
    await coordinator.until(lambda: coordinator.open() == ("me.t1#1",))
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    await coordinator.until(lambda: coordinator.telemetry[-1][1].draining)
    beats = len(coordinator.telemetry)
    await coordinator.until(lambda: len(coordinator.telemetry) >= beats + 2)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)

    assert await processes[0].ended() == EXIT_CUT_SHORT
    await coordinator.until(lambda: coordinator.goodbyes)
    assert [result.task for _, result in coordinator.results] == ["me.warm"]


async def test_a_module_whose_file_was_damaged_is_fetched_again(
    coordinator: Coordinator, start_node: StartNode
) -> None:
    """The first task after the damage may fault; the next one runs, without a restart."""
    node = start_node()
    module = await coordinator.upload_text(ADD)
    await coordinator.until(lambda: coordinator.telemetry)
    await coordinator.tell("n1", coordinator.adding("me.before", module, 1, 1))
    await coordinator.until(lambda: coordinator.results)
    assert await node.stop() == EXIT_DRAINED
    modules = node.settings.data / "modules"
    for native in modules.glob("*.native"):
        native.unlink()
    (modules / f"{module}.wasm").write_bytes(b"\0asm damaged")
    start_node()
    await coordinator.until(lambda: len(coordinator.hellos) == 2)
    await coordinator.tell("n1", coordinator.adding("me.first", module, 1, 1))
    await coordinator.until(lambda: len(coordinator.results) == 2)
    await coordinator.tell("n1", coordinator.adding("me.second", module, 2, 2))
    await coordinator.until(lambda: len(coordinator.results) == 3)

    assert coordinator.result("me.first").status in {"ok", "fault"}
    assert coordinator.result("me.second").output == b"4"


async def test_a_full_results_log_stops_the_work_and_loses_nothing(
    server: NatsServer, cluster: str, start_node: StartNode
) -> None:
    """Claims that RESULTS has no room for wait; safe mode says why, and ends when there is room again."""
    cluster = f"{cluster}full"  # the fixture has given the other one its streams
    async with await Bus.connect(server.url, cluster=cluster) as bus:
        small = dict.fromkeys(("tasks", "assignments", "verdicts", "blobs"), 1024**2)
        await ensure_streams(bus, StreamLimits(max_bytes={**small, "results": 2_000}))
        coordinator = Coordinator(bus)
        await coordinator.start()
        start_node(cluster=cluster)
        module = await coordinator.upload_text(ADD)
        await coordinator.until(lambda: coordinator.telemetry)
        await coordinator.tell("n1", *(coordinator.adding(f"me.t{i}", module, i, i) for i in range(20)))
        await coordinator.until(lambda: "full" in coordinator.telemetry[-1][1].safe_mode)
        await coordinator.tell("n1", coordinator.adding("me.refused", module, 1, 1))
        await coordinator.until(lambda: coordinator.goodbyes)
        assert coordinator.goodbyes[0].handed_back == ("me.refused#1",)
        stream = bus.subjects.stream("results")
        await bus.js.update_stream(name=stream, max_bytes=1024**2, subjects=[bus.subjects.results("*")])
        await coordinator.until(lambda: len(coordinator.results) >= 20)
        await coordinator.until(lambda: coordinator.telemetry[-1][1].safe_mode == "")
        await coordinator.stop()

    assert len(coordinator.results) == 20


async def test_an_output_that_has_no_room_waits_for_it(
    server: NatsServer, cluster: str, start_node: StartNode
) -> None:
    """A full blob store is no fault of the task: its output waits, safe mode says why, and it is claimed once there is room."""
    cluster = f"{cluster}full"
    async with await Bus.connect(server.url, cluster=cluster) as bus:
        await ensure_streams(bus, StreamLimits(max_bytes=dict.fromkeys(DEFAULT_MAX_BYTES, 2 * 1024**2)))
        coordinator = Coordinator(bus)
        await coordinator.start()
        start_node(cluster=cluster)
        module = await coordinator.upload_text(ECHO)
        await coordinator.until(lambda: coordinator.telemetry)
        spec = coordinator.spec(
            module, entry="_start", input_blob=f"sha256:{await coordinator.upload(bytes(100_000))}"
        )
        blobs = await bus.js.stream_info(bus.subjects.stream("blobs"))
        await bus.js.update_stream(blobs.config.evolve(max_bytes=blobs.state.bytes + 1000))
        await coordinator.tell("n1", coordinator.assignment("me.large", spec))
        await coordinator.until(lambda: "BLOBS is full" in coordinator.telemetry[-1][1].safe_mode)
        held, claimed = coordinator.open(), len(coordinator.results)
        await bus.js.update_stream(blobs.config.evolve(max_bytes=4 * 1024**2))
        await coordinator.until(lambda: coordinator.results)
        await coordinator.until(lambda: coordinator.telemetry[-1][1].safe_mode == "")
        await coordinator.stop()

    assert (held, claimed) == (("me.large#1",), 0)
    assert coordinator.result("me.large").status == "ok"
    assert coordinator.result("me.large").output_size == 100_000
