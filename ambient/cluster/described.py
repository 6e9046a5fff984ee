"""What `cluster.json` says of a local cluster, which `ambient up --json` prints: where everything is, and which processes run."""

from pathlib import Path

import msgspec

__all__ = ["ClusterDescribed", "ProcessDescribed", "ServerDescribed", "write"]


class ServerDescribed(msgspec.Struct, frozen=True, kw_only=True):
    """A NATS server."""

    name: str
    """Its name in the cluster and of its log."""
    nats: str
    """Address for clients."""
    monitor: str
    """Address of the server's own figures, over HTTP."""


class ProcessDescribed(msgspec.Struct, frozen=True, kw_only=True):
    """A process that is kept running."""

    name: str
    """Its name, also of its log."""
    role: str
    """`server`, `coordinator`, `verifier`, `anchor`, `gateway` or `node`."""
    pid: int | None
    """Its process id; null while it is about to be started again."""
    restarts: int
    """How often it died and was started again."""


class ClusterDescribed(msgspec.Struct, frozen=True, kw_only=True):
    """A local cluster that runs."""

    cluster: str
    """Its name."""
    nats: str
    """Where clients connect: all servers, comma-separated."""
    servers: list[ServerDescribed]
    """The NATS servers."""
    http: str = ""
    """Where the first gateway serves the REST API and the dashboard; empty without one."""
    token: str = ""
    """What opens the gateways; made anew at each start, empty without one."""
    metrics: dict[str, str]
    """Where each process serves metrics, by its name; empty where they serve none."""
    data: str
    """The folder of the cluster, with the logs of its processes."""
    supervisor: int
    """The process id of `ambient up`, which keeps the others running."""
    processes: list[ProcessDescribed]
    """All of them, in the order in which they were started."""


def write(described: ClusterDescribed, folder: Path) -> None:
    """Write `cluster.json` into the folder, all or nothing, readable by us alone. Nothing waits for the disk: what it names does not outlive the power, either."""
    partial = folder / ".cluster.json"
    partial.touch(mode=0o600)
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(described), indent=2))
    partial.replace(folder / "cluster.json")
