"""What a real coordinator and a real verifier tell of who leads, over a change of leader and a write by somebody else."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from bus.connection import Bus
from bus.messages import Leader
from bus.server import free_port
from bus.wire import encode
from coordinator.service import run as run_coordinator
from coordinator.settings import Settings
from tests.metrics.test_page import ask
from verifier.service import run as run_verifier
from verifier.settings import VerifierSettings

type Figures = dict[tuple[str, str], float]


async def figures(port: int) -> Figures:
    """All values of a page by metric and log (empty where there is none); none while nothing listens."""
    try:
        body = (await ask(port, b"GET /metrics HTTP/1.1\r\n\r\n")).decode().partition("\r\n\r\n")[2]
    except OSError:
        return {}
    return {
        (sample.name, sample.labels.get("log", "")): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }


async def until(port: int, holds: Callable[[Figures], object]) -> Figures:
    """The first page for which `holds`."""
    async with asyncio.timeout(60):
        while True:
            found = await figures(port)
            if found and holds(found):
                return found
            await asyncio.sleep(0.02)


def leads(found: Figures) -> bool:
    return found.get(("ambient_leading", "")) == 1


async def test_a_change_of_leader_is_seen_in_the_metrics(bus: Bus, tmp_path: Path) -> None:
    """One leads, the other stands by and is up to date; when the first stops, the other leads under the next epoch."""
    ports = [free_port(), free_port()]
    stops = [asyncio.Event(), asyncio.Event()]
    running = []
    for number, (port, stop) in enumerate(zip(ports, stops, strict=True)):
        settings = Settings(
            data=tmp_path, url=bus.url, cluster=bus.subjects.cluster, name=f"c{number}", metrics_port=port
        )
        running.append(asyncio.create_task(run_coordinator(settings, stop=stop)))
        before = await until(port, leads if number == 0 else lambda found: ("ambient_leading", "") in found)
    standby = await until(ports[1], lambda found: found["ambient_leadership_epoch", ""] == 1)
    stops[0].set()
    after = await until(ports[1], leads)
    stops[1].set()
    await asyncio.wait_for(asyncio.gather(*running), 60)

    assert before["ambient_leading", ""] == standby["ambient_leading", ""] == 0
    assert standby["ambient_fold_lag_entries", "assignments"] == 0
    assert standby["ambient_folded_sequence", "assignments"] == 1
    assert standby["ambient_leader_changes_total", ""] == 0
    assert after["ambient_leadership_epoch", ""] == 2
    assert after["ambient_leader_changes_total", ""] == 1


async def test_a_refused_writer_is_counted(bus: Bus, tmp_path: Path) -> None:
    """Somebody writes VERDICTS behind the verifier's back: its next write is refused, it folds that, and leads anew."""
    port, stop = free_port(), asyncio.Event()
    settings = VerifierSettings(
        url=bus.url, cluster=bus.subjects.cluster, data=tmp_path, name="v", metrics_port=port
    )
    running = asyncio.create_task(run_verifier(settings, stop=stop))
    first = await until(port, leads)
    foreign = encode(Leader(epoch=8, leader="other"))
    for _ in range(2):
        await bus.js.publish(bus.subjects.verdicts, foreign)
    await bus.js.publish(bus.subjects.assignments, ABANDONED)
    second = await until(port, lambda found: leads(found) and found["ambient_leader_changes_total", ""] == 2)
    stop.set()
    await asyncio.wait_for(running, 60)

    assert first["ambient_fence_refusals_total", ""] == 0
    assert second["ambient_fence_refusals_total", ""] == 1


ABANDONED = b'{"kind":"abandoned","task":"me.t1","source":[1,0],"status":"expired","reason":"deadline"}'
"""Makes a verifier write a verdict."""
