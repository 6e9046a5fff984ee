"""How a node begins and ends: enrolment, drain, safe mode, fault switches, one process per data folder."""

import asyncio

import structlog.testing

from bus.messages import Drain, EnrolAgain, Undrain
from tests.workers.scripted import ENDLESS, Coordinator, StartNode
from workers.errors import EXIT_CUT_SHORT, EXIT_DRAINED, BadSettings, DataInUse, NotEnrolled


async def test_a_restart_is_the_same_node(coordinator: Coordinator, start_node: StartNode) -> None:
    """The key on disk makes it so; the file is for its owner alone."""
    first = start_node()
    await coordinator.until(lambda: coordinator.hellos)
    assert await first.stop() == EXIT_DRAINED
    second = start_node()
    await coordinator.until(lambda: len(coordinator.hellos) == 2)
    assert await second.stop() == EXIT_DRAINED

    assert coordinator.hellos[0] == coordinator.hellos[1]
    assert (first.settings.data / "identity").stat().st_mode & 0o777 == 0o600


async def test_a_node_waits_for_a_coordinator_and_asks_again(
    coordinator: Coordinator, start_node: StartNode
) -> None:
    """No answer is no refusal: hello is repeated, and no telemetry is sent before it was accepted."""
    coordinator.silent = True
    start_node()
    await coordinator.until(lambda: coordinator.hellos)
    assert coordinator.telemetry == []
    coordinator.silent = False
    await coordinator.until(lambda: coordinator.telemetry)

    assert len(coordinator.hellos) >= 2


async def test_a_refusal_ends_the_node_with_the_coordinators_words(
    coordinator: Coordinator, start_node: StartNode
) -> None:
    """Its id belongs to another key: no repetition will change that."""
    coordinator.refusal = "node id n1 belongs to another key: choose another --id"
    with structlog.testing.capture_logs() as logs:
        code = await start_node().ended()

    assert code == NotEnrolled.exit_code != 0
    assert any(coordinator.refusal in str(entry.get("reason")) for entry in logs)


async def test_a_coordinator_that_forgot_the_node_gets_another_hello(
    coordinator: Coordinator, start_node: StartNode
) -> None:
    """`hello` on the node's subject: it enrols again and beats at once."""
    start_node(telemetry_s=30.0)
    await coordinator.until(lambda: coordinator.telemetry)
    beats = len(coordinator.telemetry)
    await coordinator.tell("n1", EnrolAgain())
    await coordinator.until(lambda: len(coordinator.hellos) == 2)
    await coordinator.until(lambda: len(coordinator.telemetry) > beats, 5)


async def test_telemetry_says_how_the_node_is(coordinator: Coordinator, start_node: StartNode) -> None:
    """Every input of the health score is there, and energy grows with its method named."""
    start_node(bandwidth_mbps=None)
    await coordinator.until(lambda: len(coordinator.telemetry) >= 3)
    first, last = coordinator.telemetry[0][1], coordinator.telemetry[-1][1]

    assert 0 < last.memory_free < 1
    assert 0 <= last.cpu_free <= 1
    assert 0 < last.latency_ms < 1000
    assert last.bandwidth_mbps > 0
    assert last.energy_j > first.energy_j >= 0
    assert last.energy_method in {"estimated:tdp", "measured:rapl"}
    assert last.at_ms > first.at_ms >= first.started_ms > 0
    assert not last.draining


async def test_a_drain_hands_back_what_waits_and_finishes_what_runs(
    coordinator: Coordinator, start_node: StartNode
) -> None:
    """The unbegun go back at once; the running one is answered; work that still comes goes back; exit 0."""
    node = start_node()
    spin = await coordinator.compiled_spin()
    finite = coordinator.spec(spin, entry="spin", limits={"fuel": 10**9, "wall_ms": 60_000})
    await coordinator.tell("n1", coordinator.assignment("me.runs", finite))
    await coordinator.until(lambda: coordinator.open() == ("me.runs#1",))
    await coordinator.tell("n1", *(coordinator.assignment(f"me.waits{i}", finite) for i in range(3)), Drain())
    await coordinator.until(lambda: coordinator.goodbyes)
    await coordinator.tell("n1", coordinator.assignment("me.late", finite))
    code = await node.ended()
    await coordinator.until(lambda: coordinator.goodbyes[-1].leaving)

    assert code == EXIT_DRAINED
    assert [result.task for _, result in coordinator.results] == ["me.warm", "me.runs"]
    assert [goodbye.handed_back for goodbye in coordinator.goodbyes] == [
        ("me.waits0#1", "me.waits1#1", "me.waits2#1"),
        ("me.late#1",),
        (),
    ]
    assert [goodbye.leaving for goodbye in coordinator.goodbyes] == [False, False, True]
    assert coordinator.telemetry[-1][1].draining


async def test_a_second_request_ends_at_once(coordinator: Coordinator, start_node: StartNode) -> None:
    """Whoever asks twice does not wait for the guest, and the exit code says so."""
    node = start_node()
    spin = await coordinator.compiled_spin()
    endless = coordinator.spec(spin, entry="spin", limits=ENDLESS)
    await coordinator.tell("n1", coordinator.assignment("me.t1", endless))
    await coordinator.until(lambda: coordinator.open() == ("me.t1#1",))
    node.switch.pull()
    await coordinator.until(lambda: coordinator.telemetry[-1][1].draining)
    node.switch.pull()

    assert await node.ended() == EXIT_CUT_SHORT


async def test_a_drain_is_bounded(coordinator: Coordinator, start_node: StartNode) -> None:
    """A guest that outlasts the time-out is left to its lease."""
    node = start_node(drain_s=0.2)
    spin = await coordinator.compiled_spin()
    endless = coordinator.spec(spin, entry="spin", limits=ENDLESS)
    await coordinator.tell("n1", coordinator.assignment("me.t1", endless))
    await coordinator.until(lambda: coordinator.open() == ("me.t1#1",))

    assert await node.stop() == EXIT_CUT_SHORT


async def test_a_node_that_is_to_stay_rests_until_it_is_told_to_work(
    coordinator: Coordinator, start_node: StartNode
) -> None:
    """What waits goes back at once, what runs when its time is up, nothing is taken meanwhile; then it works, and ends like any other."""
    node = start_node()
    spin = await coordinator.compiled_spin()
    endless = coordinator.spec(spin, entry="spin", limits=ENDLESS)
    finite = coordinator.spec(spin, entry="spin", limits={"fuel": 1000})
    await coordinator.tell("n1", coordinator.assignment("me.runs", endless))
    await coordinator.until(lambda: coordinator.open() == ("me.runs#1",))
    drain = Drain(stay=True, finish_ms=600)
    await coordinator.tell("n1", coordinator.assignment("me.waits", finite), drain)
    await coordinator.until(lambda: coordinator.goodbyes)
    await coordinator.tell("n1", Drain(stay=True, finish_ms=60_000))  # said again: the earlier end counts
    await coordinator.until(lambda: len(coordinator.goodbyes) == 2, 5)
    await coordinator.until(lambda: coordinator.telemetry[-1][1].draining and not coordinator.open())
    await coordinator.tell("n1", coordinator.assignment("me.late", finite), EnrolAgain())
    await coordinator.until(lambda: len(coordinator.goodbyes) == 3)
    await coordinator.until(lambda: len(coordinator.hellos) == 2)
    await coordinator.tell("n1", Undrain())
    await coordinator.until(lambda: not coordinator.telemetry[-1][1].draining)
    await coordinator.tell("n1", coordinator.assignment("me.again", finite))
    await coordinator.until(lambda: [result.task for _, result in coordinator.results][1:] == ["me.again"])

    assert [(each.handed_back, each.leaving) for each in coordinator.goodbyes] == [
        (("me.waits#1",), False),
        (("me.runs#1",), False),
        (("me.late#1",), False),
    ]
    assert await node.stop() == EXIT_DRAINED


async def test_a_node_at_rest_ends_when_it_is_told_to(
    coordinator: Coordinator, start_node: StartNode
) -> None:
    """By SIGTERM or by the coordinator's word to end: what runs may finish within the node's own bound, whatever bound the rest had."""
    node = start_node(drain_s=30.0)
    spin = await coordinator.compiled_spin()
    lasting = coordinator.spec(spin, entry="spin", limits={"fuel": 4 * 10**8, "wall_ms": 60_000})
    await coordinator.tell("n1", coordinator.assignment("me.runs", lasting))
    await coordinator.until(lambda: coordinator.open() == ("me.runs#1",))
    await coordinator.tell("n1", Drain(stay=True, finish_ms=60_000))
    await coordinator.until(lambda: coordinator.telemetry[-1][1].draining)
    await coordinator.tell("n1", Drain())

    assert await node.ended() == EXIT_DRAINED
    assert coordinator.result("me.runs").status == "failed"  # it ran out of fuel, as it should


async def test_a_node_that_waits_for_the_bus_can_be_stopped(start_node: StartNode) -> None:
    """No server anywhere: it waits, and a stop ends it in order."""
    node = start_node(url="nats://127.0.0.1:9")
    await asyncio.sleep(0)

    assert await node.stop() == EXIT_DRAINED


async def test_two_nodes_do_not_share_a_data_folder(coordinator: Coordinator, start_node: StartNode) -> None:
    """The second is told so and ends; the first goes on."""
    start_node()
    await coordinator.until(lambda: coordinator.telemetry)
    code = await start_node(id="n2").ended()
    beats = len(coordinator.telemetry)
    await coordinator.until(lambda: len(coordinator.telemetry) > beats)

    assert code == DataInUse.exit_code


async def test_settings_that_cannot_be_end_the_node_with_the_field(start_node: StartNode) -> None:
    """A cluster name with a dot would be another subject."""
    with structlog.testing.capture_logs() as logs:
        code = await start_node(cluster="a.b").ended()

    assert code == BadSettings.exit_code
    assert any("cluster" in str(entry.get("reason")) for entry in logs)
