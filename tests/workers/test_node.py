"""A node against a real nats-server, real slots, and a scripted coordinator: attempts and their results."""

import json

import pytest

from bus.blobs import Blobs
from bus.messages import CancelAttempt
from bus.wire import sha256_hex
from tests.workers.scripted import ADD, ECHO, ENDLESS, SPIN, Coordinator, StartNode


async def test_an_assignment_becomes_a_signed_result(coordinator: Coordinator, start_node: StartNode) -> None:
    """Hello, an assignment, a result under the node's key that is bound to exactly what was asked."""
    start_node()
    module = await coordinator.upload_text(ADD)
    # Odd spacing: the digest is over the client's very bytes, not over a canonical form.
    spec = coordinator.spec(module, entry="add", args=[2, 3]).replace(b"[2, 3]", b"[ 2,3 ]")
    assign = coordinator.assignment("me.t1", spec, attempt=3)
    await coordinator.until(lambda: coordinator.telemetry)
    await coordinator.tell("n1", assign)
    await coordinator.until(lambda: coordinator.results)

    key, result = coordinator.results[0]
    assert key == coordinator.hellos[0][0] == coordinator.telemetry[0][0]
    assert (result.status, result.reason, result.output, result.node) == ("ok", "", b"5", "n1")
    assert (result.task, result.attempt, result.decision) == ("me.t1", 3, assign.decision)
    assert (result.spec, result.module, result.input) == (sha256_hex(spec), module, sha256_hex(b""))
    assert (result.output_digest, result.output_size) == (sha256_hex(b"5"), 1)
    assert len(result.trace) == 64
    assert result.fuel > 0
    assert result.energy_method in {"estimated:tdp", "measured:rapl"}


async def test_a_spec_over_several_lines_is_run_as_it_was_written(
    coordinator: Coordinator, start_node: StartNode
) -> None:
    """People submit indented JSON; its bytes, line breaks included, are what the result is bound to."""
    start_node()
    module = await coordinator.upload_text(ADD)
    spec = json.dumps(json.loads(coordinator.spec(module, entry="add", args=[2, 3])), indent=2).encode()
    await coordinator.until(lambda: coordinator.telemetry)
    await coordinator.tell("n1", coordinator.assignment("me.t1", spec))
    await coordinator.until(lambda: coordinator.results)

    assert coordinator.result("me.t1").spec == sha256_hex(spec)
    assert coordinator.result("me.t1").output == b"5"


async def test_a_batch_is_answered_with_one_result_each(
    coordinator: Coordinator, start_node: StartNode
) -> None:
    """Many assignments in one message: each is answered once, in few signed batches, and energy is never overspent."""
    start_node()
    module = await coordinator.upload_text(ADD)
    await coordinator.until(lambda: coordinator.telemetry)
    await coordinator.tell("n1", *(coordinator.adding(f"me.t{i}", module, i, i) for i in range(300)))
    await coordinator.until(lambda: len(coordinator.results) >= 300)
    seen = len(coordinator.telemetry)
    await coordinator.until(lambda: len(coordinator.telemetry) > seen + 1)

    outputs = {result.task: result.output for _, result in coordinator.results}
    assert outputs == {f"me.t{i}": str(2 * i).encode() for i in range(300)}
    assert len(coordinator.results) == 300
    charged = sum(result.energy_j for _, result in coordinator.results)
    assert charged <= coordinator.telemetry[-1][1].energy_j + 0.001


async def test_a_delivery_repeated_gives_one_result(coordinator: Coordinator, start_node: StartNode) -> None:
    """The same attempt twice in a message, again later, again when it is done: it is claimed once."""
    start_node()
    module = await coordinator.upload_text(ADD)
    again = coordinator.adding("me.t1", module, 1, 1)
    await coordinator.until(lambda: coordinator.telemetry)
    await coordinator.tell("n1", again, again)
    await coordinator.tell("n1", again)
    await coordinator.until(lambda: coordinator.results)
    await coordinator.tell("n1", again, coordinator.adding("me.t2", module, 2, 2))
    await coordinator.until(lambda: len(coordinator.results) >= 2)

    assert [result.task for _, result in coordinator.results] == ["me.t1", "me.t2"]


async def test_a_guest_that_fails_is_a_failure_and_no_fault(
    coordinator: Coordinator, start_node: StartNode
) -> None:
    """Out of fuel is the guest's own; out of wall time is the node's, which another node may do better."""
    start_node()
    module = await coordinator.upload_text(SPIN)
    fuel = coordinator.spec(module, entry="spin", limits={"fuel": 10_000})
    wall = coordinator.spec(module, entry="spin", limits={"fuel": 10**13, "wall_ms": 100})
    await coordinator.until(lambda: coordinator.telemetry)
    await coordinator.tell(
        "n1", coordinator.assignment("me.fuel", fuel), coordinator.assignment("me.wall", wall)
    )
    await coordinator.until(lambda: len(coordinator.results) >= 2)

    assert (coordinator.result("me.fuel").status, coordinator.result("me.fuel").reason) == ("failed", "fuel")
    assert (coordinator.result("me.wall").status, coordinator.result("me.wall").reason) == ("fault", "wall")


async def test_blobs_that_nobody_stored_are_a_fault(coordinator: Coordinator, start_node: StartNode) -> None:
    """A module or an input that cannot be had: `fault/unavailable`, with the digest in the detail."""
    start_node()
    module = await coordinator.upload_text(ECHO)
    nowhere = sha256_hex(b"nowhere")
    await coordinator.until(lambda: coordinator.telemetry)
    await coordinator.tell(
        "n1",
        coordinator.assignment("me.module", coordinator.spec(nowhere)),
        coordinator.assignment("me.input", coordinator.spec(module, input_blob=f"sha256:{nowhere}")),
    )
    await coordinator.until(lambda: len(coordinator.results) >= 2)

    for task, kind in (("me.module", "module"), ("me.input", "input")):
        result = coordinator.result(task)
        assert (result.status, result.reason) == ("fault", "unavailable")
        assert nowhere in result.detail
        assert kind in result.detail


async def test_a_large_input_and_output_travel_as_blobs(
    coordinator: Coordinator, start_node: StartNode
) -> None:
    """1 MiB in, 1 MiB out: the output is stored under its digest before the result is published."""
    start_node()
    module = await coordinator.upload_text(ECHO)
    data = bytes(range(256)) * 4096
    digest = await coordinator.upload(data)
    spec = coordinator.spec(module, input_blob=f"sha256:{digest}", limits={"output_bytes": len(data)})
    await coordinator.until(lambda: coordinator.telemetry)
    # Two at once: the blob and the module are fetched once and serve both.
    await coordinator.tell("n1", *(coordinator.assignment(task, spec) for task in ("me.a", "me.b")))
    await coordinator.until(lambda: len(coordinator.results) >= 2)

    for task in ("me.a", "me.b"):
        result = coordinator.result(task)
        assert (result.status, result.output, result.output_size) == ("ok", None, len(data))
        assert result.input == result.output_digest == digest
    assert await Blobs(coordinator.bus, "reader").get(digest) == data


async def test_cancelled_attempts_owe_no_result(coordinator: Coordinator, start_node: StartNode) -> None:
    """One that runs is stopped, one that waits is dropped; the slot is free for the next."""
    start_node()
    spin, add = await coordinator.upload_text(SPIN), await coordinator.upload_text(ADD)
    endless = coordinator.spec(spin, entry="spin", limits=ENDLESS)
    await coordinator.until(lambda: coordinator.telemetry)
    await coordinator.tell("n1", *(coordinator.assignment(f"me.{name}", endless) for name in "abc"))
    await coordinator.until(lambda: set(coordinator.open()) == {"me.a#1", "me.b#1", "me.c#1"})
    await coordinator.tell("n1", *(CancelAttempt(task=f"me.{name}", attempt=1) for name in "bac"))
    await coordinator.tell("n1", coordinator.adding("me.next", add, 1, 1))
    await coordinator.until(lambda: coordinator.results)
    await coordinator.until(lambda: coordinator.open() == ())

    assert [result.task for _, result in coordinator.results] == ["me.next"]


async def test_guests_wait_for_memory(coordinator: Coordinator, start_node: StartNode) -> None:
    """Two slots but memory for one such guest: the second begins when the first has ended; what never fits is a fault."""
    start_node(slots=2, memory_mb=600)
    spin, add = await coordinator.upload_text(SPIN), await coordinator.upload_text(ADD)
    endless = coordinator.spec(spin, entry="spin", limits={**ENDLESS, "memory_mb": 512})
    small = coordinator.spec(add, entry="add", args=[1, 1], limits={"memory_mb": 100})
    huge = coordinator.spec(add, entry="add", args=[1, 1], limits={"memory_mb": 601})
    await coordinator.until(lambda: coordinator.telemetry)
    await coordinator.tell(
        "n1",
        coordinator.assignment("me.long", endless),
        coordinator.assignment("me.small", small),
        coordinator.assignment("me.huge", huge),
    )
    await coordinator.until(lambda: coordinator.results)
    await coordinator.until(lambda: set(coordinator.open()) == {"me.long#1", "me.small#1"})
    assert "memory_mb 601" in coordinator.result("me.huge").detail
    await coordinator.tell("n1", CancelAttempt(task="me.long", attempt=1))
    await coordinator.until(lambda: len(coordinator.results) >= 2)

    assert coordinator.result("me.small").output == b"2"


@pytest.mark.parametrize(
    "garbage", [b"", b"nonsense", b'{"kind":"dance"}', b'{"kind":"assign","task":1}\n\xff']
)
async def test_garbage_on_its_subject_does_not_stop_a_node(
    coordinator: Coordinator, start_node: StartNode, garbage: bytes
) -> None:
    """What is no instruction is skipped, and the instructions beside it count."""
    start_node()
    module = await coordinator.upload_text(ADD)
    await coordinator.until(lambda: coordinator.telemetry)
    good = coordinator.adding("me.t1", module, 1, 1)
    subject = coordinator.bus.subjects.assign("n1")
    await coordinator.bus.publish(subject, garbage)
    await coordinator.tell("n1", good)
    await coordinator.until(lambda: coordinator.results)

    assert coordinator.result("me.t1").output == b"2"
