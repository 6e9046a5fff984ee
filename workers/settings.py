"""What the operator of a node chooses, and what the machine itself answers where nothing was chosen.

Guarantees: `resolve` either returns settings in which nothing is left open, or raises `BadSettings` naming the field. The
node's id is not among the secrets: it is a name that belongs to the key in `<data>/identity`.
"""

import importlib.metadata
import os
import platform
import re
import socket
from pathlib import Path

import msgspec

from bus.errors import Malformed
from bus.messages import Capabilities
from bus.subjects import token
from metrics.page import LOOPBACK
from sandbox.configuration import ENGINE_VERSION
from workers.errors import BadSettings
from workers.faults import Fault
from workers.vitals import available_bytes

__all__ = ["NodeSettings", "Resolved"]

_MIB = 1024 * 1024
_FIELD = re.compile(r"\$\.(\w+)")
_OFFERED = 0.9
"""Of the memory that is available at the start; the rest is the node's own and the machine's."""
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings as the operator gives them; None is for the machine to answer."""

    data: Path
    """Folder of the identity, the outbox and the modules; it makes a restart the same node."""
    id: str | None = None
    url: str | None = None
    cluster: str | None = None
    region: str | None = None
    node_type: str | None = None
    labels: dict[str, str] = {}
    slots: int | None = None
    memory_mb: int | None = None
    bandwidth_mbps: float | None = None
    idle_watts: float = 10.0
    """Of the machine doing nothing; used only where no energy counter can be read."""
    max_watts: float = 65.0
    """Of the machine with every core busy."""
    fault: str = ""
    """A fault switch of `workers.faults`; empty is off."""
    drain_s: float = 30.0
    """How long running guests may take to finish when the node is asked to end."""
    telemetry_s: float = 2.0
    metrics_port: int = 0
    """Where Prometheus may look; 0 serves nothing."""
    metrics_host: str = LOOPBACK


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """Settings in which nothing is open."""

    given: NodeSettings
    node: str
    capabilities: Capabilities
    fault: Fault

    @classmethod
    def of(cls, given: NodeSettings, key: str) -> "Resolved":
        """Complete `given` for a node whose public key is `key` (hex). Raises `BadSettings`."""
        _check_ranges(given)
        fault = Fault.parse(given.fault)
        capabilities = {
            "version": _version(),
            "engine": f"wasmtime-{ENGINE_VERSION}",
            "cores": _cores(),
            "memory_mb": given.memory_mb or _memory_mb(),
            "slots": given.slots or _cores(),
            "arch": platform.machine(),
            "region": given.region,
            "node_type": given.node_type,
            # A node that misbehaves on purpose says so to everybody who lists the nodes.
            "labels": {**given.labels, **fault.labels()},
        }
        try:
            node = token("id", given.id if given.id is not None else _default_id(key))
            return cls(
                given=given, node=node, capabilities=msgspec.convert(capabilities, Capabilities), fault=fault
            )
        except Malformed as error:
            raise BadSettings(error.field, error.limit) from None
        except msgspec.ValidationError as error:
            limit, _, place = str(error).partition(" - at ")
            field = _FIELD.search(place)
            raise BadSettings(field[1] if field else "settings", limit) from None


def _check_ranges(given: NodeSettings) -> None:
    for field in ("slots", "memory_mb", "bandwidth_mbps"):
        value = getattr(given, field)
        if value is not None and value <= 0:
            raise BadSettings(field, f"must be above 0, not {value}")
    if not 0 <= given.idle_watts <= given.max_watts:
        raise BadSettings("idle_watts", f"must be between 0 and max_watts ({given.max_watts:g})")
    if given.drain_s < 0 or given.telemetry_s <= 0:
        raise BadSettings("drain_s, telemetry_s", "must be 0 or more, and above 0 seconds")


def _version() -> str:
    try:
        return importlib.metadata.version("ambient-vcp")
    except importlib.metadata.PackageNotFoundError:
        return "0-checkout"  # run from the sources, without an installation


def _default_id(key: str) -> str:
    """The host's name with four digits of the key: readable, and different for two nodes on one host."""
    host = re.sub(r"[^A-Za-z0-9_-]+", "-", socket.gethostname().partition(".")[0]).strip("-")
    return f"{host[:48] or 'node'}-{key[:4]}"


def _cores() -> int:
    """The cores that this process may use, which in a container may be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_mb() -> int:
    available = available_bytes()
    try:
        # In a container the host's memory is not ours.
        limit = int(_CGROUP_LIMIT.read_text())
    except (OSError, ValueError):
        limit = available
    return max(1, int(min(available, limit) * _OFFERED) // _MIB)
