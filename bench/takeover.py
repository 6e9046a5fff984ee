"""How long nothing is decided when a leader dies: a standby takes over from a coordinator, and from a verifier, under a light load.

The leader is killed (SIGKILL), twenty times of each service, and paused (SIGSTOP), five times of each. Measured is what a client sees, the longest
gap between two verdicts from the signal on, and from the signal to the first record of the new epoch, by the server's time.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from ambient.client import Client, connect
from ambient.cluster import ClusterPlan, Supervisor
from ambient.cluster.restarts import RestartPolicy
from ambient.errors import AmbientError
from bench.cluster import GUESTS, run
from bench.rows import Row, as_markdown, median_of
from bus.messages import ServiceHealth
from bus.reader import Entry, LogReader
from bus.streams import last_sequence

_KILLS = 20
_PAUSES = 5
_BUDGET_S = 170.0
_EVERY_S = 0.02
_CALM_S = 0.5
_PATIENCE_S = 20.0
_LOG = {"coordinator": "assignments", "verifier": "verdicts"}


class Gaps:
    """When verdicts came, and when leaderships began: what one takeover is measured by."""

    def __init__(self) -> None:
        self.verdicts: list[float] = []
        self.began: dict[str, list[float]] = {log: [] for log in _LOG.values()}

    def on_entry(self, log: str, entry: Entry) -> None:
        """Note the time (s since 1970, the server's) of an entry that opens a leadership."""
        if b'"kind":"leader"' in entry.body:
            self.began[log].append(entry.at_ms / 1000)

    def longest_s(self, since: float) -> float:
        """The longest stretch without a verdict that ended after `since`, in seconds."""
        first = max((at for at in self.verdicts if at <= since), default=since)
        times = [first, *(at for at in self.verdicts if at > since)]
        return max((after - before for before, after in itertools.pairwise(times)), default=0.0)


def main() -> list[Row]:
    """All of it, in less than three minutes."""
    return run(_measure(_KILLS, _PAUSES))


async def _measure(kills: int, pauses: int) -> list[Row]:
    rows: list[Row] = []
    deadline = time.monotonic() + _BUDGET_S
    async with _loaded() as (running, client, gaps):
        for with_signal, times, aim in ((signal.SIGKILL, kills, 1.5), (signal.SIGSTOP, pauses, 2.5)):
            found: dict[str, list[tuple[float, float]]] = {service: [] for service in _LOG}
            # In turn: while one service is hit, the killed process of the other starts again.
            for service in [*_LOG] * times:
                if time.monotonic() > deadline:
                    print(f"out of time: {with_signal.name} fewer than {times} times", file=sys.stderr)
                    break
                found[service].append(await _once(running, client, gaps, service, with_signal))
            for service, figures in found.items():
                rows += _rows(service, with_signal, figures, aim) if figures else ()
    return rows


def _rows(
    service: str, with_signal: signal.Signals, found: list[tuple[float, float]], aim: float
) -> Iterator[Row]:
    what = f"{service} {'killed' if with_signal is signal.SIGKILL else 'paused'}"
    gaps, records = [gap for gap, _ in found], [record for _, record in found]
    many = f"of {len(found)}"
    yield Row(name=f"{what}: no verdict for, worst {many}", value=max(gaps), unit="s", aim=aim, floor=3.0)
    yield Row(name=f"{what}: no verdict for, median", value=median_of(gaps), unit="s")
    yield Row(
        name=f"{what}: to the first record of the new epoch, worst {many}", value=max(records), unit="s"
    )
    yield Row(
        name=f"{what}: to the first record of the new epoch, median", value=median_of(records), unit="s"
    )


async def _once(
    running: Supervisor, client: Client, gaps: Gaps, service: str, with_signal: signal.Signals
) -> tuple[float, float]:
    """Hit the leader; the gap in verdicts, and the time to the new epoch's first record, in seconds."""
    leader = await _ready(client, gaps, service)
    log = _LOG[service]
    before = len(gaps.began[log])
    process = running.running[leader]
    process.policy = RestartPolicy()  # a process that is killed again and again would wait longer and longer
    pid, at = process.pid, time.time()
    running.kill(leader, with_signal)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while len(gaps.began[log]) == before:
                await asyncio.sleep(0.005)
            record = gaps.began[log][before] - at
            await _flowing(gaps)
    finally:
        if with_signal is signal.SIGSTOP and pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    return gaps.longest_s(at), record


async def _ready(client: Client, gaps: Gaps, service: str) -> str:
    """Wait until a standby has read all but what is just coming, and verdicts flow; the leader's name."""
    subject = client.bus.subjects.service(service, "instances")
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            there = await client.bus.request_each(subject, b"{}", ServiceHealth)
            leaders = [each.name for each in there if each.leading]
            standbys = [each for each in there if not each.leading and _has_read(each)]
            if len(leaders) == len(standbys) == 1:
                await _flowing(gaps)
                return leaders[0]
            await asyncio.sleep(0.1)


def _has_read(health: ServiceHealth) -> bool:
    lags = health.lag.values()
    return bool(lags) and max(lags) < 1 / _EVERY_S


async def _flowing(gaps: Gaps) -> None:
    """Wait until verdicts have come in close order for a while."""
    begun = time.time()
    while True:
        await asyncio.sleep(_CALM_S / 4)
        now = time.time()
        if (
            now - begun > _CALM_S
            and sum(at > now - _CALM_S for at in gaps.verdicts[-100:]) > _CALM_S / _EVERY_S / 2
        ):
            return


@asynccontextmanager
async def _loaded() -> AsyncIterator[tuple[Supervisor, Client, Gaps]]:
    """A cluster with two of each service, fifty tasks a second, and a record of what comes of them."""
    gaps = Gaps()
    with tempfile.TemporaryDirectory(prefix="ambient-bench-") as folder:
        plan = ClusterPlan(data=Path(folder), cluster="bench", nodes=2, slots=1, coordinators=2, verifiers=2)
        async with (
            Supervisor(plan) as running,
            connect(running.nats, cluster="bench", client="bench") as client,
            _followed(client, gaps),
        ):
            load = asyncio.create_task(_load(client, gaps))
            try:
                yield running, client, gaps
            finally:
                load.cancel()
                await asyncio.gather(load, return_exceptions=True)


@asynccontextmanager
async def _followed(client: Client, gaps: Gaps) -> AsyncIterator[None]:
    def note(log: str) -> LogReader:
        return LogReader(client.bus, log, lambda entry: gaps.on_entry(log, entry))

    readers = {log: note(log) for log in gaps.began}
    for log, reader in readers.items():
        reader.start()
        await reader.reached(await last_sequence(client.bus, log))
    try:
        yield
    finally:
        for reader in readers.values():
            await reader.stop()


async def _load(client: Client, gaps: Gaps) -> None:
    """Submit at a steady pace, whatever becomes of it: who waits for answers would see no gap in them."""
    async with asyncio.TaskGroup() as group:
        for number in itertools.count():
            group.create_task(_one(client, gaps, number))
            await asyncio.sleep(_EVERY_S)


async def _one(client: Client, gaps: Gaps, number: int) -> None:
    try:
        await client.run(GUESTS / "add.wasm", number, 1, entry="add")
    except AmbientError as error:
        print(f"task {number}: {error}", file=sys.stderr)
    else:
        gaps.verdicts.append(time.time())


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="Fewer takeovers, for development.")
    options.add_argument("--kills", type=int, default=3)
    options.add_argument("--pauses", type=int, default=1)
    chosen = options.parse_args()
    print(as_markdown(run(_measure(chosen.kills, chosen.pauses))))
