"""Runs the processes of a local cluster: starts them, restarts what dies, and stops them in order.

Guarantees: `cluster.json` in the data folder (mode 0600) always names the addresses and process ids of what runs; a process that
dies is started again with backoff; `stop` lets nodes drain, then stops services, then the servers; on Linux no child outlives a
supervisor that was killed. Logs are in `logs/`.
"""

import asyncio
import contextlib
import datetime as dt
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil

from ambient.cluster.described import ClusterDescribed, ProcessDescribed, ServerDescribed, write
from ambient.cluster.forks import Forks
from ambient.cluster.pages import SUPERVISOR, describe_targets, pages, with_pages
from ambient.cluster.plan import NODE_DRAIN_S, ClusterPlan, ProcessPlan
from ambient.cluster.running import Running, begin
from ambient.errors import AmbientError
from ambient.settings import read_cluster_file
from bus.connection import Bus
from bus.errors import BusError
from bus.messages import NodesReply, ServiceHealth
from bus.server import NatsCluster, NatsServer, RouteUrl, free_port
from bus.streams import ensure_streams
from gateway.tokens import Tokens
from metrics.page import exposed
from metrics.process import process

if TYPE_CHECKING:
    from metrics.board import Board

__all__ = ["ClusterFailed", "Supervisor"]

_DRAIN_S = NODE_DRAIN_S + 2.0
_STOP_ORDER = (
    (("gateway",), 5.0),
    (("node",), _DRAIN_S),
    (("coordinator", "verifier", "anchor"), 5.0),
    (("server",), 10.0),
)
_OFFERED = 0.8
_DEATHS_AT_START = 3


class ClusterFailed(AmbientError):
    """The cluster did not come up; the message names the log to read."""


class Supervisor:
    """The processes of one `ClusterPlan`, which serve metrics if `metrics`. Use as an async context manager, or `start` and `stop`."""

    def __init__(
        self,
        plan: ClusterPlan,
        *,
        on_event: Callable[[str, str], None] | None = None,
        route: RouteUrl | None = None,
        metrics: bool = False,
    ) -> None:
        self.plan = replace(plan, memory_mb=plan.memory_mb or _share_mb(len(plan.node_names())))
        self.servers = NatsCluster(
            plan.data, plan.servers, name=plan.cluster, port=plan.port, fsync=plan.fsync, route=route
        )
        given = plan.http_ports[: plan.gateways]
        chosen = (port or free_port() for port in (*given, *[0] * (plan.gateways - len(given))))
        self.plan = replace(self.plan, http_ports=tuple(chosen))
        self.token = ""
        """What opens the gateways, for whoever may read `cluster.json`; made anew at each start."""
        if metrics:
            self.plan = with_pages(self.plan, [server.monitor_url for server in self.servers.servers])
        self.running: dict[str, Running] = {}
        self._on_event = on_event or (lambda _name, _what: None)
        self._watchers: set[asyncio.Task[None]] = set()
        self._forks = Forks(self.plan.data)
        self._page = contextlib.AsyncExitStack()

    @property
    def nats(self) -> str:
        """Where clients connect: all servers, comma-separated."""
        return self.servers.url

    @property
    def http(self) -> str:
        """Where the first gateway serves the REST API; empty without one."""
        return f"http://127.0.0.1:{self.plan.http_ports[0]}" if self.plan.http_ports else ""

    async def __aenter__(self) -> Self:
        """Start everything and wait until it serves."""
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop everything."""
        await self.stop()

    async def start(self, *, ready_s: float = 60.0) -> None:
        """Start all processes; return when the services lead and all nodes are healthy.

        Raises `ClusterFailed` when the folder is in use or something does not come up within `ready_s`.
        """
        if read_cluster_file(self.plan.data):
            raise ClusterFailed(
                f"a cluster already runs in {self.plan.data}: stop it, or choose another --data"
            )
        self.plan.data.mkdir(parents=True, exist_ok=True)
        (self.plan.data / "logs").mkdir(exist_ok=True)
        self._refuse_other_servers()
        if self.plan.http_ports:
            _refuse_taken(self.plan.http_ports[0])
            self.token = _make_token(self.plan)
        await self._start_servers()
        async with await Bus.connect(self.nats, cluster=self.plan.cluster, name="ambient-up") as bus:
            await ensure_streams(bus)
            await self._serve_page()
            for each in self.plan.services(self.nats):
                await self.add(each)
            await self._ready(bus, ready_s)

    async def _serve_page(self) -> None:
        describe_targets(self.plan)
        sources = process(SUPERVISOR, self.plan.data), self._say
        await self._page.enter_async_context(exposed(self.plan.pages.get(SUPERVISOR, 0), *sources))

    async def _say(self, board: "Board") -> None:
        for role in {running.plan.role for running in self.running.values()}:
            own = [running for running in self.running.values() if running.plan.role == role]
            up = sum(running.pid is not None for running in own)
            board.say("ambient_supervised_processes", up, role=role, state="running")
            board.say("ambient_supervised_processes", len(own) - up, role=role, state="down")
            restarts = sum(running.policy.count for running in own)
            board.say("ambient_supervised_restarts_total", restarts, role=role)

    async def add(self, plan: ProcessPlan) -> Running:
        """Start one more process and keep it running."""
        running = self._run(plan)
        await self._spawn(running)
        self._watch(running)
        return running

    async def remove(self, name: str) -> None:
        """Stop one process for good, as an operator would: SIGTERM, then SIGKILL."""
        running = self.running.pop(name)
        running.wanted = False
        await running.end(_DRAIN_S)
        self._describe()

    def kill(self, name: str, with_signal: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to one process; it is started again like any other that dies."""
        if (pid := self.running[name].pid) is not None:
            os.kill(pid, with_signal)

    async def stop(self) -> None:
        """Nodes first, so that they drain while everybody else still listens; the servers last."""
        everyone = list(self.running.values())
        for running in everyone:
            running.wanted = False
        for roles, wait_s in _STOP_ORDER:
            await asyncio.gather(*(running.end(wait_s) for running in everyone if running.plan.role in roles))
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        await self._forks.stop()
        await self._page.aclose()
        if everyone:  # whoever started nothing wrote none: then it is that of the cluster that runs here
            (self.plan.data / "cluster.json").unlink(missing_ok=True)

    def _refuse_other_servers(self) -> None:
        """Data of one server is not that of three: started on it, they would begin with empty logs beside the full ones."""
        wanted = {server.data for server in self.servers.servers}
        there = {*self.plan.data.glob("nats"), *self.plan.data.glob("nats-*")}
        if there - wanted:
            raise ClusterFailed(
                f"{self.plan.data} holds the data of a cluster with --servers {len(there)}: start it with as many, or choose another --data"
            )

    async def _start_servers(self) -> None:
        """All together: of several, none is ready before most are there."""
        for server in self.servers.servers:
            await self._spawn(self._run(ProcessPlan(server.name, "server", tuple(server.command()))))
        await asyncio.gather(*map(self._server_ready, self.servers.servers))
        await self.servers.formed()
        for server in self.servers.servers:
            self._watch(self.running[server.name])

    def _run(self, plan: ProcessPlan) -> Running:
        running = self.running[plan.name] = Running(plan)
        return running

    async def _server_ready(self, server: NatsServer) -> None:
        process = self.running[server.name].process
        assert process is not None  # noqa: S101 -- just spawned
        ready = asyncio.create_task(server.ready())
        ended = asyncio.create_task(process.wait())
        try:
            await asyncio.wait((ready, ended), return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                raise ClusterFailed(
                    f"nats-server does not start: {_last_line(server.data / 'nats.log')}\n"
                    f"if port {server.port} is taken, choose another --port (0 picks a free one)"
                )
            ready.result()
        finally:
            ready.cancel()
            ended.cancel()
            await asyncio.gather(ready, ended, return_exceptions=True)

    async def _spawn(self, running: Running) -> None:
        log, command = self.plan.data / "logs" / f"{running.plan.name}.log", running.plan.command
        if self._forks.can_start(command):
            running.process = await self._forks.start(command, log, running.plan.name)
        else:
            running.process = await begin(command, log)
        self._describe()
        self._on_event(running.plan.name, "started")

    def _watch(self, running: Running) -> None:
        watcher = asyncio.create_task(self._keep(running), name=f"keep {running.plan.name}")
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)

    async def _keep(self, running: Running) -> None:
        """Start `running` again whenever it ends while it is wanted."""
        loop = asyncio.get_running_loop()
        while running.wanted:
            assert running.process is not None  # noqa: S101 -- spawned before it is watched
            begun = loop.time()
            code = await running.process.wait()
            if not running.wanted:
                return
            pause = running.policy.died(loop.time() - begun)
            self._on_event(running.plan.name, f"ended with {code}, starts again")
            await asyncio.sleep(pause)
            if running.wanted:
                await self._spawn(running)

    async def _ready(self, bus: Bus, ready_s: float) -> None:
        """Wait for facts: both services answer as leading, and every node is healthy."""
        try:
            async with asyncio.timeout(ready_s):
                for service in ("coordinator", "verifier", *(("anchor",) if self.plan.anchors else ())):
                    await self._answers(bus, service)
                    self._on_event(service, "leads")
                for number, port in enumerate(self.plan.http_ports, 1):
                    await self._serves(port)
                    self._on_event(f"gateway-{number}", "serves")
                healthy = set[str]()
                while len(healthy) < len(self.plan.node_names()):
                    self._none_dies_again_and_again()
                    await asyncio.sleep(0.05)
                    for name in sorted((found := await self._healthy_nodes(bus)) - healthy):
                        self._on_event(name, "is healthy")
                    healthy = found
        except TimeoutError:
            raise ClusterFailed(
                f"the cluster is not ready after {ready_s:g} s: read the logs in {self.plan.data / 'logs'}"
            ) from None

    async def _answers(self, bus: Bus, service: str) -> None:
        while True:
            try:
                await bus.request(bus.subjects.service(service, "health"), b"{}", ServiceHealth, timeout_s=1)
            except BusError:
                self._none_dies_again_and_again()
                await asyncio.sleep(0.05)
            else:
                return

    async def _serves(self, port: int) -> None:
        """Wait until a gateway answers."""
        while not await _is_live(port):
            self._none_dies_again_and_again()
            await asyncio.sleep(0.05)

    def _none_dies_again_and_again(self) -> None:
        """A process that cannot start does not get better by waiting: say which and why, in its own last words."""
        for running in self.running.values():
            if running.policy.count >= _DEATHS_AT_START:
                log = self.plan.data / "logs" / f"{running.plan.name}.log"
                raise ClusterFailed(
                    f"{running.plan.name} ends whenever it starts, read {log}: {_last_line(log)}"
                )

    async def _healthy_nodes(self, bus: Bus) -> set[str]:
        try:
            reply = await bus.request(
                bus.subjects.service("coordinator", "nodes"), b"{}", NodesReply, timeout_s=1
            )
        except BusError:
            return set()
        return {node.node for node in reply.nodes if node.state in ("healthy", "safe")}

    def _describe(self) -> None:
        """Write `cluster.json`, all or nothing, readable by us alone."""
        described = ClusterDescribed(
            cluster=self.plan.cluster,
            nats=self.nats,
            servers=[
                ServerDescribed(name=server.name, nats=server.url, monitor=server.monitor_url)
                for server in self.servers.servers
            ],
            http=self.http,
            token=self.token,
            metrics=pages(self.plan),
            data=str(self.plan.data.resolve()),
            supervisor=os.getpid(),
            processes=[
                ProcessDescribed(name=r.plan.name, role=r.plan.role, pid=r.pid, restarts=r.policy.count)
                for r in self.running.values()
            ],
        )
        write(described, self.plan.data)


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ClusterFailed(
                f"port {port} is taken, the REST API cannot be served there ({error.strerror}): choose another --http-port (0 picks a free one)"
            ) from None


def _make_token(plan: ClusterPlan) -> str:
    """A token for whoever started the cluster; that of its last start ends."""
    created = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    return Tokens(plan.tokens).create("ambient-up", "operator", plan.client, created=created, replaces=True)


async def _is_live(port: int) -> bool:
    try:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.closing(writer):
                writer.write(
                    b"GET /api/v1/health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                )
                status = await reader.readline()
    except (TimeoutError, OSError):
        return False
    return b" 200 " in status


def _last_line(log: Path) -> str:
    """The last words of a process, or that there are none."""
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return next((line.strip()[-600:] for line in reversed(lines) if line.strip()), "it wrote no log")


def _share_mb(nodes: int) -> int:
    """What each of `nodes` on this machine may offer to guests: an equal part of most of what is free."""
    return max(64, int(psutil.virtual_memory().available * _OFFERED / max(nodes, 1)) // 2**20)
