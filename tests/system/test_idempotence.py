"""A submission may be sent again for ever: the same id is the same task and has the same verdict, whatever was killed meanwhile."""

import asyncio
import signal
from pathlib import Path

import pytest

import ambient
from ambient.audit import audit
from ambient.client import Client
from ambient.cluster import Supervisor
from ambient.verdict import TaskVerdict
from bus.streams import extent
from tests.system.logs import GUESTS, running

_ADD = GUESTS / "add.wasm"
_KEEP_S = 12
_OPTIONS = {
    "coordinator": ("--checkpoint-s", "0.5", "--keep-hours", str(_KEEP_S / 3600)),
    "verifier": ("--checkpoint-s", "0.5"),
}
_SERVICES = ("coordinator-1", "verifier-1", "nats-0")


async def _kill(cluster: Supervisor, *names: str) -> None:
    """Kill -9 of these, at once; wait until each runs again."""
    before = {name: cluster.running[name].policy.count for name in names}
    for name in names:
        cluster.kill(name, signal.SIGKILL)
    while any(cluster.running[name].policy.count == count for name, count in before.items()):
        await asyncio.sleep(0.02)


async def _refused(client: Client, task_id: str) -> str:
    """What is said of another body under that id: the field."""
    with pytest.raises(ambient.TaskRejected) as refusal:
        await client.run(_ADD, 7, 7, entry="add", id=task_id)
    assert refusal.value.task == f"tester.{task_id}"
    return refusal.value.field


def _same(verdicts: list[TaskVerdict]) -> bool:
    """Whether it is one verdict, with one evidence: nothing was run again."""
    return len({(each.value, each.nodes, each.evidence, each.fuel, each.energy_j) for each in verdicts}) == 1


async def _cut(client: Client) -> None:
    """Until TASKS and VERDICTS have been cut, which they are of what is older than the retention."""
    while min([(await extent(client.bus, log)).first for log in ("tasks", "verdicts")]) <= 1:
        await client.run(_ADD, 1, 1, entry="add")
        await asyncio.sleep(0.25)


@pytest.mark.long
async def test_the_same_id_is_the_same_verdict_whatever_was_killed(tmp_path: Path) -> None:
    """Before the verdict, at once after it, after kill -9 of everybody, and from checkpoints beside logs that were cut; another body is refused by name."""
    options = {"nodes": 2, "service_options": _OPTIONS}
    async with running(tmp_path, **options) as (cluster, client), asyncio.timeout(240):
        waits = {"entry": "add", "id": "waits", "place": {"node": "late"}}
        open_task = await client.submit(_ADD, 20, 22, **waits)
        refused = [await _refused(client, "waits")]
        await _kill(cluster, *_SERVICES, "node-1", "node-2")
        again = await client.submit(_ADD, 20, 22, **waits)
        refused.append(await _refused(client, "waits"))
        await cluster.add(cluster.plan.node("late", cluster.nats))
        first = [await open_task.result(), await again.result(), await client.run(_ADD, 20, 22, **waits)]
        refused.append(await _refused(client, "waits"))
        await _cut(client)
        for attempt in range(5):
            # Within the retention, by the server's clock; on a machine that needs longer to start again, once more.
            begun = asyncio.get_running_loop().time()
            kept = f"kept{attempt}"
            second = [await client.run(_ADD, 1, 2, entry="add", id=kept)]
            second.append(await client.run(_ADD, 1, 2, entry="add", id=kept))
            await asyncio.sleep(0.6)  # a checkpoint is made meanwhile, or not: both must do
            await _kill(cluster, *_SERVICES)
            second.append(await client.run(_ADD, 1, 2, entry="add", id=kept))
            refused.append(await _refused(client, kept))
            if asyncio.get_running_loop().time() - begun < _KEEP_S:
                break
            second, refused = second[:1], refused[:3]
        report = await audit(client.bus, retention_ms=_KEEP_S * 1000)

    assert [each.value for each in first] == [42, 42, 42]
    assert _same(first)
    assert len(second) == 3
    assert _same(second)
    assert refused == ["id"] * 4
    assert report.violations == ()
