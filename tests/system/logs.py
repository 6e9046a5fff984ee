"""Clusters of real processes for one test, and a reader of their logs that knows what must never be in them."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess

from ambient.client import Client, connect
from ambient.cluster import ClusterPlan, Supervisor
from bus.connection import Bus
from bus.messages import Abandoned, Assigned, Decision, Verdict, VerdictLine
from bus.reader import Entry, LogReader
from bus.signing import VERDICTS, open_signed
from bus.streams import last_sequence
from bus.wire import decoder, split_lines
from tests.system.proxy import Routes

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]

GUESTS = Path(__file__).parents[2] / "examples" / "guests"

_DECISIONS = decoder(Decision)
_VERDICTS = decoder(VerdictLine)


@dataclass
class Logs:
    """What ASSIGNMENTS and VERDICTS say, counted."""

    verdicts: Counter[str] = field(default_factory=Counter)
    decisions: Counter[tuple[str, int]] = field(default_factory=Counter)
    abandoned: Counter[str] = field(default_factory=Counter)

    def read_decisions(self, entry: Entry) -> None:
        """Fold one message of ASSIGNMENTS."""
        for line in split_lines(entry.body):
            decision = _DECISIONS.decode(line)
            if isinstance(decision, Assigned):
                self.decisions[decision.task, decision.attempt] += 1
            elif isinstance(decision, Abandoned):
                self.abandoned[decision.task] += 1

    def read_verdicts(self, entry: Entry) -> None:
        """Fold one message of VERDICTS; its signature must hold."""
        for line in open_signed(entry.body, VERDICTS)[1]:
            said = _VERDICTS.decode(line)
            if isinstance(said, Verdict):
                self.verdicts[said.task] += 1

    def hold(self, tasks: int | None = None) -> None:
        """Assert the promise: one verdict a task, one decision an attempt, and as many verdicts as tasks."""
        assert [task for task, count in self.verdicts.items() if count > 1] == []
        assert [attempt for attempt, count in self.decisions.items() if count > 1] == []
        assert {task for task, _ in self.decisions} | set(self.abandoned) == set(self.verdicts)
        if tasks is not None:
            assert len(self.verdicts) == tasks


async def read_logs(cluster: Supervisor) -> Logs:
    """Everything that was decided and accepted so far."""
    logs = Logs()
    async with await Bus.connect(cluster.nats, cluster=cluster.plan.cluster) as bus:
        for log, fold in (("assignments", logs.read_decisions), ("verdicts", logs.read_verdicts)):
            reader = LogReader(bus, log, fold)
            reader.start()
            await reader.reached(await last_sequence(bus, log))
            await reader.stop()
    return logs


@asynccontextmanager
async def running(
    data: Path, *, routes: Routes | None = None, **options: object
) -> AsyncIterator[tuple[Supervisor, Client]]:
    """A cluster of its own for one test, and a client of it; `routes` stand between its servers."""
    plan = ClusterPlan(data=data, cluster="sys", slots=1, **options)  # type: ignore[arg-type]
    supervisor = Supervisor(plan, route=routes.between if routes is not None else None)
    async with (
        routes or nullcontext(),
        supervisor as cluster,
        connect(cluster.nats, cluster="sys", client="tester") as client,
    ):
        yield cluster, client
