"""A node against a real nats-server, real slots, and a scripted coordinator."""

from bus.wire import sha256_hex


async def test_an_assignment_becomes_a_signed_result(coordinator, start_node) -> None:
    """Hello, an assignment, a result under the node's key that is bound to exactly what was asked."""
    start_node()
    module = await coordinator.upload_text(
        b'(module (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))'
    )
    spec = coordinator.spec(module, entry="add", args=[2, 3])
    await coordinator.until(lambda: coordinator.telemetry)
    assign = coordinator.assignment("me.t1", spec)
    await coordinator.tell("n1", assign)
    await coordinator.until(lambda: coordinator.results)

    key, result = coordinator.results[0]
    assert key == coordinator.hellos[0][0] == coordinator.telemetry[0][0]
    assert (result.status, result.output, result.node) == ("ok", b"5", "n1"), result
    assert (result.task, result.attempt, result.decision) == ("me.t1", 1, assign.decision)
    assert (result.spec, result.module, result.input) == (sha256_hex(spec), module, sha256_hex(b""))
    assert result.output_digest == sha256_hex(b"5")
    assert len(result.trace) == 64
    assert result.fuel > 0
    assert result.energy_method in {"estimated:tdp", "measured:rapl"}
