"""What is said of a cluster whose services are away or hang."""

import asyncio

from nats.aio.msg import Msg

import ambient
from ambient.cli.views import service_lines
from ambient.doctor import examine
from ambient.settings import ConnectionSettings
from bus.connection import Bus


async def _say_nothing(_: Msg) -> None:
    """A service that hangs."""


async def test_a_service_that_is_away_and_one_that_hangs_have_different_cures(bus: Bus) -> None:
    """Logs and server are well; the coordinator is to be started, the verifier to be restarted; both are told apart from nodes."""
    await bus.subscribe(bus.subjects.service("verifier", "health"), _say_nothing)
    found = {f.subject: f for f in await examine(ConnectionSettings(bus.url, bus.subjects.cluster, "me"))}

    assert all(found[f"log {log}"].ok for log in ("tasks", "assignments", "results", "verdicts", "blobs"))
    assert found["server"].detail.startswith("nats-server 2.")
    assert found["coordinator"].cure == "start one: `ambient coordinator`"
    assert "restart" in found["verifier"].cure
    assert not found["nodes"].ok
    assert not any("ambient doctor" in finding.detail for finding in found.values())


async def test_health_is_told_of_the_services_that_do_answer(bus: Bus) -> None:
    """One service that hangs does not hide the rest; who does not answer is named."""
    await bus.subscribe(bus.subjects.service("verifier", "health"), _say_nothing)
    async with ambient.connect(bus.url, cluster=bus.subjects.cluster, client="me") as vcp:
        health = await asyncio.wait_for(vcp.health(), 20)

    assert not health.ok
    assert (health.coordinator, health.verifier) == (None, None)
    assert health.round_trip_ms > 0
    assert [line for line in service_lines(health) if "does not answer" in line] == list(
        service_lines(health)
    )
