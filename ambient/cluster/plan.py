"""Which processes make a cluster, with which command lines: pure description, nothing is started here."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bus.subjects import DEFAULT_CLUSTER

__all__ = ["NODE_DRAIN_S", "ClusterPlan", "ProcessPlan"]

NODE_DRAIN_S = 8.0
"""A person who stops a local cluster waits; a node ends within this, in order, before its supervisor would kill it."""


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """One process: its name (also of its log file), what it is, and its command."""

    name: str
    role: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """A cluster under `data`: one server or several, and as many services and nodes as wanted.

    Of three `servers` one may be lost at a time, of five two; `port` is the first one's, the others have the next ones (0: free ones).

    `memory_mb` is what each node offers to guests: on one machine they must share, not each claim all of it.
    `extra_nodes` are further nodes with names of their own, `node_options` extra arguments for single nodes by name:
    e.g. a fault switch for the demo's liar. `service_options` are extra arguments for `coordinator`, `verifier`, `anchor` or `gateway`.
    `http_ports` are the gateways' (those not given: free ones), and `client` in whose name the token in `cluster.json` submits.
    `pages` are the ports at which processes serve metrics, by name, and `monitors` those of the servers, which coordinators tell of.
    With `log_tasks` each process logs a line for each step of each task. Without `fsync` what was acknowledged may be lost with the machine's power: to measure what it costs, and for nothing else.
    """

    data: Path
    cluster: str = DEFAULT_CLUSTER
    nodes: int = 3
    coordinators: int = 1
    verifiers: int = 1
    anchors: int = 0
    gateways: int = 0
    servers: int = 1
    port: int = 0
    http_ports: tuple[int, ...] = ()
    client: str = "me"
    fsync: bool = True
    strategy: str = "weighted"
    slots: int | None = None
    memory_mb: int | None = None
    extra_nodes: tuple[str, ...] = ()
    node_options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    service_options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pages: Mapping[str, int] = field(default_factory=dict)
    monitors: tuple[str, ...] = ()
    log_tasks: bool = False

    def node_names(self) -> list[str]:
        """`node-1` … `node-N`, and the extra ones."""
        return [*(f"node-{number}" for number in range(1, self.nodes + 1)), *self.extra_nodes]

    @property
    def tokens(self) -> Path:
        """The file of the gateways' tokens."""
        return self.data / "tokens.json"

    def services(self, nats: str) -> list[ProcessPlan]:
        """Every process but the servers, in the order in which they start."""
        told = [text for monitor in self.monitors for text in ("--monitor", monitor)]
        coordinators = [
            self._process(f"coordinator-{n}", "coordinator", nats, "--strategy", self.strategy, *told)
            for n in range(1, self.coordinators + 1)
        ]
        verifiers = [self._process(f"verifier-{n}", "verifier", nats) for n in range(1, self.verifiers + 1)]
        # One log has one key and one chain: all anchors share them, and the one that leads has the chain open.
        shared = {"--key": "anchor.key", "--operator-key": "operator.key", "--chain-data": "bitcoin"}
        key = [text for option, name in shared.items() for text in (option, str(self.data / name))]
        anchors = [self._process(f"anchor-{n}", "anchor", nats, *key) for n in range(1, self.anchors + 1)]
        gateways = [self._gateway(n, nats) for n in range(1, self.gateways + 1)]
        return [
            *coordinators,
            *verifiers,
            *anchors,
            *gateways,
            *(self.node(name, nats) for name in self.node_names()),
        ]

    def node(self, name: str, nats: str) -> ProcessPlan:
        """One node of the cluster."""
        slots = () if self.slots is None else ("--slots", str(self.slots))
        memory = () if self.memory_mb is None else ("--memory-mb", str(self.memory_mb))
        drain = ("--drain-s", str(NODE_DRAIN_S))
        return self._process(name, "node", nats, *slots, *memory, *drain, *self.node_options.get(name, ()))

    def _gateway(self, number: int, nats: str) -> ProcessPlan:
        port = next(iter(self.http_ports[number - 1 :]), 0)
        return self._process(
            f"gateway-{number}", "gateway", nats, "--http-port", str(port), "--tokens", str(self.tokens)
        )

    def _process(self, name: str, role: str, nats: str, *more: str) -> ProcessPlan:
        named = "--id" if role == "node" else "--name"
        where = ("--nats", nats, "--cluster", self.cluster)
        kept = ("--data", str(self.data / name))
        page = ("--metrics", str(self.pages[name])) if name in self.pages else ()
        told = ("--log-tasks",) if self.log_tasks else ()
        chosen = (*told, *self.service_options.get(role, ()))
        command = (sys.executable, "-m", "ambient", role, named, name, *where, *kept, *more, *page, *chosen)
        return ProcessPlan(name, role, command)
