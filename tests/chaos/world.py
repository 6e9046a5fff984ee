"""The cluster that chaos is done to: real processes, each behind a network of its own, with a clock of its own and, where possible, a small disk.

Guarantees that services and nodes are what `ambient up` would start, but for the address that they are given and the environment of their clock;
that clients are processes, too; that all of them are started again when they die; and that nothing is left running, paused or mounted.
"""

import asyncio
import contextlib
import re
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self

from ambient.cluster import ClusterPlan, ProcessPlan, Supervisor
from ambient.cluster.forks import Started
from ambient.cluster.running import Running
from bus.connection import Bus
from bus.subjects import LOGS as CUT_LOGS
from folds.manifest import Manifest, write_manifest
from tests.chaos.client import JOURNAL, STOP
from tests.chaos.journal import Acknowledged, Entry, Finished, read
from tests.chaos.means import Clocks, Disk, Unavailable
from tests.chaos.plan import LOGS, ROLES
from tests.system.proxy import Proxy, Routes

__all__ = ["CLUSTER", "World"]

CLUSTER = "chaos"
_CHECKPOINT_S = "2"
"""More often than anybody would: there is more to tear."""
_LOOK_S = 0.1
_START_S = 60.0
_ENDED = re.compile(r"ended with (-?\d+)")
_ROOT = Path(__file__).parents[2]


class World(Supervisor):
    """A cluster below `folder`, and the clients of it. Use as an async context manager; `unavailable` says what this machine does not give."""

    def __init__(self, folder: Path, *, seed: int, servers: int, disks: Iterable[str], pace_s: float) -> None:
        self.routes = Routes() if servers > 1 else None
        plan = ClusterPlan(
            data=folder / "cluster",
            cluster=CLUSTER,
            nodes=len(ROLES["node"]),
            coordinators=len(ROLES["coordinator"]),
            verifiers=len(ROLES["verifier"]),
            servers=servers,
            slots=1,
            service_options=dict.fromkeys(("coordinator", "verifier"), ("--checkpoint-s", _CHECKPOINT_S)),
        )
        route = self.routes.between if self.routes is not None else None
        super().__init__(plan, on_event=self._on_event, route=route)
        self.folder = folder
        self.links: dict[str, tuple[Proxy, ...]] = {}
        self.disks: dict[str, Disk] = {}
        self.clocks: Clocks | None = None
        self.unavailable: dict[str, str] = {}
        self.ended: Counter[tuple[str, int]] = Counter()
        """How often each process ended by itself or was ended, by its exit code."""
        self._seed = seed
        self._pace_s = pace_s
        self._wants_disks = tuple(disks)
        self._open = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start everything, the clients last."""
        try:
            self._equip()
            if self.routes is not None:
                await self._open.enter_async_context(self.routes)
            await self.start()
            await self._keep_logs()
            for name in ROLES["client"]:
                await self.add(self._client(name))
            await self._noted(Acknowledged, _START_S)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop everything."""
        self.wake()
        try:
            await self.dismiss()
            await self.stop()
        finally:
            for disk in self.disks.values():
                disk.leave()
            self.disks.clear()
            await self._open.aclose()

    async def add(self, plan: ProcessPlan) -> Running:
        """Start a process as it would be, behind its own network and with its own clock."""
        for url in self.nats.split(","):
            proxy = await self._open.enter_async_context(Proxy(url))
            self.links[plan.name] = (*self.links.get(plan.name, ()), proxy)
        reached = ",".join(proxy.url for proxy in self.links[plan.name])
        command = tuple(reached if part == self.nats else part for part in plan.command)
        if self.clocks is not None:
            command = ("env", *self.clocks.environment(plan.name), *command)
        return await super().add(replace(plan, command=command))

    async def twin(self, name: str) -> Started:
        """Start the same process once more: the same name, the same folder, the same identity. Whoever asks for it ends it."""
        twin = Running(replace(self.running[name].plan, name=f"{name}.twin"))
        await self._spawn(twin)
        assert twin.process is not None
        return twin.process

    def wake(self) -> None:
        """Whatever is paused goes on; whatever is held up flows."""
        for name in self.running:
            self.kill(name, signal.SIGCONT)
        for proxy in (proxy for link in self.links.values() for proxy in link):
            proxy.let_go()
            proxy.mend()
            proxy.delay_s = 0.0

    async def finished(self, within_s: float) -> bool:
        """Tell the clients to ask for nothing more, and wait until each of them has all its verdicts; whether they have."""
        for name in ROLES["client"]:
            (self._home(name) / STOP).touch()
        with contextlib.suppress(TimeoutError):
            await self._noted(Finished, within_s)
            return True
        return False

    async def _noted(self, kind: type[Entry], within_s: float) -> None:
        """Wait until each client's journal has such an entry; raises `TimeoutError`."""
        async with asyncio.timeout(within_s):
            for name in ROLES["client"]:
                while not any(isinstance(entry, kind) for entry in read(self._home(name) / JOURNAL)):
                    await asyncio.sleep(_LOOK_S)

    async def dismiss(self) -> None:
        """End the clients."""
        clients = [self.running.pop(name) for name in ROLES["client"] if name in self.running]
        for client in clients:
            client.wanted = False
            if client.process is not None and client.process.returncode is None:
                client.process.kill()
                await client.process.wait()

    def journals(self) -> Mapping[str, list[Entry]]:
        """What each client wrote down."""
        return {name: list(read(self._home(name) / JOURNAL)) for name in ROLES["client"]}

    def stream(self, log: str) -> str:
        """The name of the stream behind a log."""
        assert log in LOGS
        return f"AVCP_{CLUSTER}_{log.upper()}"

    async def _keep_logs(self) -> None:
        """Claim a fold that has kept nothing yet: below it no log is cut, also where it is full. What is to be proven must be there."""
        nothing = Manifest(fold="chaos", version=1, positions=dict.fromkeys(CUT_LOGS, 0), written_ms=0)
        body, headers = write_manifest(nothing)
        async with await Bus.connect(self.nats, cluster=CLUSTER, name="chaos") as bus:
            for _ in range(2):  # a fold's floor is its second newest
                await bus.js.publish(bus.subjects.checkpoint("chaos"), body, headers=headers)

    def _on_event(self, name: str, what: str) -> None:
        if ended := _ENDED.match(what):
            self.ended[name, int(ended[1])] += 1

    def _equip(self) -> None:
        try:
            self.clocks = Clocks(self.folder / "clocks")
        except Unavailable as error:
            self.unavailable["clock"] = str(error)
        for name in self._wants_disks:
            try:
                self.disks[name] = Disk(self.plan.data / name)
            except Unavailable as error:
                self.unavailable["disk"] = str(error)

    def _home(self, client: str) -> Path:
        return self.folder / "clients" / client

    def _client(self, name: str) -> ProcessPlan:
        return ProcessPlan(
            name,
            "client",
            (
                *("env", f"PYTHONPATH={_ROOT}", sys.executable, "-m", "tests.chaos.client"),
                *("--nats", self.nats, "--cluster", CLUSTER, "--name", name, "--data", str(self._home(name))),
                *("--seed", str(self._seed), "--pace-s", str(self._pace_s)),
            ),
        )
