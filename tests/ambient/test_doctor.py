"""What is said of a cluster whose services are away or hang."""

import asyncio
import os
from pathlib import Path

import msgspec
import structlog.testing
from nats.aio.msg import Msg

import ambient
from ambient import ClusterHealth
from ambient.cli.exits import Exit
from ambient.cli.views import service_lines
from ambient.doctor import examine
from ambient.settings import ConnectionSettings
from bus.connection import Bus
from bus.gate import open_gate, shut_gate
from bus.messages import RoomReply, ServiceHealth
from bus.service import ServiceDesk
from coordinator.service import run
from coordinator.settings import Settings, Timing
from tests.command import ambient as command


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
        health = await asyncio.wait_for(vcp.health(), 60)

    assert not health.ok
    assert (health.coordinator, health.verifier) == (None, None)
    assert health.round_trip_ms > 0
    assert [line for line in service_lines(health) if "does not answer" in line] == list(
        service_lines(health)
    )


async def test_who_leads_and_who_stands_by_is_told(bus: Bus, tmp_path: Path) -> None:
    """The leader with its epoch, each standby with how far it is behind; without one that is said, and no illness."""
    where = ConnectionSettings(bus.url, bus.subjects.cluster, "me")
    stop = asyncio.Event()
    running = []
    found = []
    for name in ("c1", "c2"):
        settings = Settings(data=tmp_path, url=bus.url, cluster=bus.subjects.cluster, name=name)
        running.append(asyncio.create_task(run(settings, stop=stop)))
        await _instances(bus, len(running))
        found.append({f.subject: f for f in await examine(where)})
    async with ambient.connect(bus.url, cluster=bus.subjects.cluster, client="me") as vcp:
        health = await asyncio.wait_for(vcp.health(), 60)
    stop.set()
    await asyncio.wait_for(asyncio.gather(*running), 60)
    alone, together = found

    assert alone["coordinator"].detail.startswith("c1 leads, epoch 1, for ")
    assert alone["coordinator standby"].ok
    assert alone["coordinator standby"].detail.startswith("none")
    assert "`ambient coordinator`" in alone["coordinator standby"].cure
    assert together["coordinator"].detail.startswith("c1 leads, epoch 1, for ")
    assert together["coordinator standby"].detail == "c2 follows, up to date"
    assert not together["coordinator standby"].cure
    assert [each.name for each in health.standbys] == ["c2"]
    assert "[bold]coordinator[/] c2 stands by, up to date" in list(service_lines(health))


async def test_coordinators_that_keep_verdicts_for_different_times_are_found(
    bus: Bus, tmp_path: Path
) -> None:
    """By the doctor, with who keeps how long and the cure, and in the log of each of the two; those that agree are not spoken of."""
    where = ConnectionSettings(bus.url, bus.subjects.cluster, "me")
    stop = asyncio.Event()
    running = []
    with structlog.testing.capture_logs() as logs:
        for name, hours in (("c1", 24), ("c2", 24), ("c3", 1)):
            settings = Settings(
                data=tmp_path,
                url=bus.url,
                cluster=bus.subjects.cluster,
                name=name,
                timing=Timing(keep_ms=hours * 3_600_000),
            )
            running.append(asyncio.create_task(run(settings, stop=stop)))
            await _instances(bus, len(running))
            if name == "c2":
                alike = {f.subject for f in await examine(where)}
        async with asyncio.timeout(60):
            while not (warned := [each for each in logs if "--keep-hours" in each["event"]]):
                await asyncio.sleep(0.02)
        found = {f.subject: f for f in await examine(where)}
    stop.set()
    await asyncio.wait_for(asyncio.gather(*running), 60)

    assert "retention" not in alike
    assert found["retention"].detail.endswith("c1 for 1 d, c2 for 1 d, c3 for 1 h")
    assert "--keep-hours" in found["retention"].cure
    assert (warned[0]["keep_hours"], warned[0]["others"]) == (1, {"c1": 24, "c2": 24})


async def _instances(bus: Bus, wanted: int) -> None:
    """Wait until so many coordinators are there, the first of them leads, and all have read that it does."""
    subject = bus.subjects.service("coordinator", "instances")
    async with asyncio.timeout(60):
        while True:
            there = await bus.request_each(subject, b"{}", ServiceHealth)
            if [each.epoch for each in there] == [1] * wanted and sum(each.leading for each in there) == 1:
                return
            await asyncio.sleep(0.02)


async def test_a_full_cluster_is_told_with_its_cure_and_has_an_exit_code(bus: Bus) -> None:
    """The doctor and `health` say what waits and what helps; `run` prints when to come back and exits 6."""
    room = RoomReply(
        backlog=150_312, wait_ms=41_000, full="150,312 tasks wait, 150,000 are the most", retry_after_ms=8300
    )
    desk = await ServiceDesk.open(bus, "coordinator", "0.1.0", "scripted")
    await desk.answer("room", bytes, lambda _: room)
    await shut_gate(bus)
    found = {f.subject: f for f in await examine(ConnectionSettings(bus.url, bus.subjects.cluster, "me"))}
    environment = {**os.environ, "NATS_URL": bus.url, "AMBIENT_CLUSTER": bus.subjects.cluster}
    done = await command("run", "sha256:" + "0" * 64, environment=environment)
    await open_gate(bus)

    assert not found["room"].ok
    assert "150,312 tasks wait" in found["room"].detail
    assert "more nodes" in found["room"].cure
    assert done.returncode == Exit.FULL
    assert "again in 8 s" in " ".join(done.stderr.decode().split())


def test_health_tells_what_waits() -> None:
    """One line for a backlog with its expected time, one for a cluster that takes no more."""
    leader = ServiceHealth(service="coordinator", name="c", leading=True, nodes=1, backlog=1200, wait_ms=9000)
    full = msgspec.structs.replace(leader, full="too much", retry_after_ms=5000)
    told = [list(service_lines(ClusterHealth(each, None, 1.0)))[1] for each in (leader, full)]

    assert told[0].strip() == "1,200 tasks wait, 9 s of work"
    assert "retry after 5 s: too much" in told[1]
