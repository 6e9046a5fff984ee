"""Clusters of real processes for one test, and what their logs prove."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from subprocess import CompletedProcess
from typing import NamedTuple

from ambient.audit import Report, audit
from ambient.client import Client, connect
from ambient.cluster import ClusterPlan, Supervisor
from bus.connection import Bus
from tests.system.proxy import Routes

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]

GUESTS = Path(__file__).parents[2] / "examples" / "guests"


class Logs(NamedTuple):
    """The audit of a cluster's logs."""

    report: Report

    def hold(self, tasks: int | None = None) -> None:
        """Assert that no promise is broken, that every task has its end, and that there are as many verdicts as tasks."""
        assert self.report.violations == ()
        assert self.report.open == ()
        if tasks is not None:
            assert sum(self.report.verdicts.values()) == tasks


async def read_logs(cluster: Supervisor) -> Logs:
    """Everything that was asked, decided, claimed and accepted so far."""
    async with await Bus.connect(cluster.nats, cluster=cluster.plan.cluster) as bus:
        return Logs(await audit(bus))


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
