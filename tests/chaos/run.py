"""One run of chaos: the world is started, struck and stopped; then what it left is read from the disk and judged.

The judgement rests on a server that is started anew on what was stored, when everybody else is gone: what is not on the disk does not count.
"""

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from ambient.audit import Report, audit
from bus.connection import Bus
from bus.messages import Verdict, VerdictLine
from bus.reader import Entry, LogReader
from bus.server import NatsCluster
from bus.signing import VERDICTS, open_signed
from bus.streams import extent
from tests.chaos import journal
from tests.chaos.checker import Finding, Logged, check, crashes
from tests.chaos.faults import Striker
from tests.chaos.plan import ROLES, Plan
from tests.chaos.report import Figures, fault_lines, figures, silences
from tests.chaos.world import CLUSTER, World

__all__ = ["Outcome", "Say", "judge", "run"]

type Say = Callable[[str], None]

_READ_S = 60.0
_MOST = 20
_LINE: msgspec.json.Decoder[VerdictLine] = msgspec.json.Decoder(VerdictLine)


class Outcome(NamedTuple):
    """What the audit says of the logs, and the checker of the clients."""

    audit: Report
    findings: tuple[Finding, ...]
    figures: Figures

    @property
    def holds(self) -> bool:
        """Whether every promise was kept, and everything that was accepted has its end."""
        return self.audit.holds and not self.audit.open and not self.findings


async def run(
    plan: Plan, folder: Path, *, no_disks: str = "", pace_s: float = 0.15, settle_s: float = 180.0, say: Say
) -> Outcome:
    """Play a plan in `folder`, and judge. `no_disks` is why no small disks are to be mounted, if so."""
    disks = () if no_disks else (*ROLES["coordinator"], *ROLES["verifier"], *ROLES["node"])
    task = asyncio.current_task()
    assert task is not None
    # Whoever ends the run must leave nothing behind: what is paused would not even die with us.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    world = World(folder, seed=plan.seed, servers=plan.servers, disks=disks, pace_s=pace_s)
    if no_disks:
        world.unavailable["disk"] = no_disks
    begun_s = time.monotonic()
    async with world:
        say(f"{len(world.running)} processes are up after {time.monotonic() - begun_s:.1f} s")
        striker = Striker(world, say)
        await striker.play(plan)
        calm_s = time.monotonic()
        whole = await world.finished(settle_s)
        took_s = time.monotonic() - calm_s
        say(
            f"faults end; {'every client has all its verdicts' if whole else 'SOME VERDICTS ARE MISSING'} after {took_s:.1f} s"
        )
    # Others than the world's: those reached each other through networks that are gone.
    servers = NatsCluster(world.plan.data, plan.servers, name=CLUSTER)
    outcome, logged = await judge(servers, world.journals(), plan.seed)
    outcome = outcome._replace(findings=(*outcome.findings, *crashes(world.ended)))
    wall_s = time.time() - time.monotonic()
    silent_s = silences(striker.strikes, [each.at_ms / 1000 - wall_s for each in logged])
    say("")
    for line in fault_lines(striker.strikes, striker.missed, silent_s, world.unavailable):
        say(line)
    say(f"processes were started again {world.ended.total()} times")
    _tell(outcome, say)
    return outcome


async def judge(
    servers: NatsCluster, journals: dict[str, list[journal.Entry]], seed: int
) -> tuple[Outcome, list[Logged]]:
    """Start the servers on what they had stored, and read all of it."""
    async with servers, await Bus.connect(servers.url, cluster=CLUSTER, name="chaos-checker") as bus:
        found = await audit(bus)
        logged = await _verdicts(bus)
    wall_s = time.time() - time.monotonic()
    # The world claims all of it (`World._keep_logs`): what is gone proves nothing.
    cut = [Finding("cut", each.log, f"begins at {each.first}") for each in found.logs if each.first > 1]
    findings = (*cut, *check(journals, logged, seed))
    return Outcome(found, findings, figures(journals, logged, wall_s)), logged


async def _verdicts(bus: Bus) -> list[Logged]:
    """Every verdict that VERDICTS has; the audit judges whether they are what they should be. What was cut has no verdict any more."""
    logged: list[Logged] = []

    def fold(entry: Entry) -> None:
        for member in open_signed(entry.body, VERDICTS)[1]:
            line = _LINE.decode(member)
            if isinstance(line, Verdict):
                logged.append(Logged(entry.sequence, entry.at_ms, line))

    span = await extent(bus, "verdicts")
    reader = LogReader(bus, "verdicts", fold, start=span.first)
    reader.start()
    try:
        await asyncio.wait_for(reader.reached(span.last), _READ_S)
    finally:
        await reader.stop()
    return logged


def _tell(outcome: Outcome, say: Say) -> None:
    for line in outcome.figures.lines():
        say(line)
    found = outcome.audit
    examined = sum(promise.examined for promise in found.promises)
    say(
        f"audit: {len(found.promises)} promises, {examined:,} instances, {len(found.violations)} violated, {len(found.open)} tasks open"
    )
    for violation in found.violations[:_MOST]:
        say(
            f"  BROKEN {violation.promise}: {violation.log} {violation.sequence}, line {violation.line}: {violation.task} {violation.detail}"
        )
    for task in found.open[:_MOST]:
        say(
            f"  OPEN {task.task or task.source} {task.state} for {task.age_ms / 1000:.1f} s, attempt {task.attempt}"
        )
    say(f"clients and processes: {len(outcome.findings)} findings")
    for finding in outcome.findings[:_MOST]:
        say(f"  {finding}")
    say("all that is promised holds" if outcome.holds else "NOT ALL THAT IS PROMISED HOLDS")
