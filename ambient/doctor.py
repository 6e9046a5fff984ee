"""What is wrong with a cluster, and the cure: examined from the bottom up, each finding a fact that was asked for."""

import time
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from ambient import machine
from ambient.finding import Finding
from ambient.settings import ConnectionSettings, default_data, read_cluster_file
from bus.connection import Bus
from bus.errors import BusError, Forbidden, NoResponder
from bus.messages import NodesReply, RoomReply, ServiceHealth
from bus.subjects import LOGS

__all__ = ["Finding", "examine"]

_SLOW_MS = 100.0
_TRIED = (2, 15)
_SKEW_S = 2.0
_INFO_S = 3.0
_NEARLY_FULL = 0.8
_OPTIONAL = {"anchor": "verdicts get no receipts"}
_RIGHTS = "examine as a user that reads the logs: `ambient user add reader NAME`, then NATS_KEY naming the file that it prints"
_SET_UP = "set the cluster up with `ambient up` or `ambient server`, or correct AMBIENT_CLUSTER"


class _StreamState(msgspec.Struct):
    bytes: int = 0
    messages: int = 0


class _StreamConfig(msgspec.Struct):
    max_bytes: int = -1


class _StreamInfo(msgspec.Struct):
    config: _StreamConfig = msgspec.field(default_factory=_StreamConfig)
    state: _StreamState = msgspec.field(default_factory=_StreamState)
    ts: datetime | None = None


async def examine(settings: ConnectionSettings, folder: Path | None = None) -> list[Finding]:
    """Examine this machine (the data in `folder`, by default where `ambient up` keeps it), then server, logs, services and nodes.

    What cannot be reached ends the list.
    """
    here = await _here(folder or default_data(settings.cluster))
    try:
        bus = await Bus.connect(settings.nats, cluster=settings.cluster, name="ambient-doctor", timeout_s=2)
    except BusError as error:
        there = await machine.who_listens(settings.nats)
        cure = "start a cluster with `ambient up`, or set NATS_URL"
        return [*here, Finding("server", ok=False, detail=f"{error} ({there})", cure=cure)]
    async with bus:
        return [*here, *[finding async for finding in _examine(bus)]]


async def _here(folder: Path) -> list[Finding]:
    """Of this machine, if it holds data of the cluster."""
    try:
        found = [machine.disk(folder), machine.permissions(folder)]
    except FileNotFoundError:
        return []
    described = read_cluster_file(folder)
    return [*found, await machine.ports(described)] if described else found


async def _examine(bus: Bus) -> AsyncIterator[Finding]:
    yield await _server(bus)
    yield _version(bus)
    for log in (*LOGS, "anchors", "blobs"):
        finding = await _log(bus, log)
        yield finding
        if not finding.ok and finding.cure == _SET_UP:
            return  # without its logs there is no cluster to examine
        if finding.cure == _RIGHTS:
            break  # it may look at none of them
    else:
        yield await _clock(bus)
    for service in ("coordinator", "verifier", "anchor"):
        there = await bus.request_each(bus.subjects.service(service, "instances"), b"{}", ServiceHealth)
        standbys = sorted((each for each in there if not each.leading), key=lambda each: each.name)
        yield await _service(bus, service, standbys)
        if there and (standbys or service not in _OPTIONAL):
            yield _standbys(service, standbys)
        if differing := _retentions(there):
            yield differing
    yield await _room(bus)
    yield await _nodes(bus)
    if bus.denied:
        refused = "; ".join(f"{what} {subject}" for subject, what in list(bus.denied.items())[:3])
        yield Finding("rights", ok=False, detail=f"the server refused this user: {refused}", cure=_RIGHTS)


async def _server(bus: Bus) -> Finding:
    rtt_ms = await bus.round_trip_ms()
    version = bus.client.connected_server_version
    detail = f"nats-server {version.major}.{version.minor}.{version.patch} at {bus.url}, {rtt_ms:.1f} ms away"
    cure = (
        ""
        if rtt_ms < _SLOW_MS
        else "nodes on this link will enter safe mode: use a nearer server or a leaf node"
    )
    return Finding("server", ok=not cure, detail=detail, cure=cure)


def _version(bus: Bus) -> Finding:
    version = bus.client.connected_server_version
    is_old = (version.major, version.minor) < _TRIED
    tried = ".".join(map(str, _TRIED))
    return Finding(
        "version",
        ok=not is_old,
        detail=f"nats-server {version.major}.{version.minor}; all that is promised was tried with {tried}",
        cure=f"upgrade the servers, one after the other, to {tried} or newer" if is_old else "",
    )


async def _info(bus: Bus, log: str) -> _StreamInfo:
    body = await bus.request_bytes(f"$JS.API.STREAM.INFO.{bus.subjects.stream(log)}", b"", _INFO_S)
    if b'"error"' in body[:200]:
        raise BusError(f"stream {bus.subjects.stream(log)} does not exist")
    return msgspec.json.decode(body, type=_StreamInfo)


async def _log(bus: Bus, log: str) -> Finding:
    try:
        info = await _info(bus, log)
    except Forbidden as error:
        return Finding(f"log {log}", ok=False, detail=str(error), cure=_RIGHTS)
    except BusError as error:
        return Finding(
            f"log {log}",
            ok=False,
            detail=str(error),
            cure=_SET_UP,
        )
    full = info.state.bytes / info.config.max_bytes if info.config.max_bytes > 0 else 0.0
    detail = f"{info.state.messages:,} messages, {full:.0%} of {info.config.max_bytes:,} bytes"
    cure = (
        ""
        if full < _NEARLY_FULL
        else f"raise max_bytes: `nats stream edit {bus.subjects.stream(log)} --max-bytes …`"
    )
    return Finding(f"log {log}", ok=not cure, detail=detail, cure=cure)


async def _clock(bus: Bus) -> Finding:
    info = await _info(bus, LOGS[0])
    if info.ts is None:
        return Finding("clock", ok=True, detail="the server tells no time")
    skew_s = time.time() - info.ts.timestamp()
    cure = (
        ""
        if abs(skew_s) < _SKEW_S
        else "deadlines that this machine sets will be off: let this machine's clock follow NTP"
    )
    return Finding("clock", ok=not cure, detail=f"{skew_s:+.2f} s against the server", cure=cure)


async def _service(bus: Bus, service: str, standbys: Sequence[ServiceHealth]) -> Finding:
    try:
        leader = await bus.request(bus.subjects.service(service, "health"), b"{}", ServiceHealth, timeout_s=2)
    except NoResponder:
        if standbys:
            return Finding(
                service,
                ok=False,
                detail=f"{', '.join(each.name for each in standbys)} stand by, nobody leads",
                cure="wait some seconds: one takes over once it has read the logs and the last leader's lease has run out; if not, see its log",
            )
        if service in _OPTIONAL:
            # Not an illness: tasks are done all the same.
            said = f"none is running: {_OPTIONAL[service]}"
            return Finding(service, ok=True, detail=said, cure=f"for that, start one: `ambient {service}`")
        return Finding(service, ok=False, detail="none is running", cure=f"start one: `ambient {service}`")
    except BusError as error:
        return Finding(
            service,
            ok=False,
            detail=_said(error),
            cure="it hangs or is overloaded: see its log, then restart it",
        )
    since = f", for {_span(time.time() - leader.since_ms / 1000)}" if leader.since_ms else ""
    return Finding(
        service, ok=True, detail=f"{leader.name} leads, epoch {leader.epoch}{since}{_behind(leader)}"
    )


def _standbys(service: str, standbys: Sequence[ServiceHealth]) -> Finding:
    subject = f"{service} standby"
    if not standbys:
        # Not an illness: a cluster of one does its work, only a failure costs it a restart.
        return Finding(
            subject,
            ok=True,
            detail="none: nobody takes over at once if the leader dies",
            cure=f"for that, start another on another machine: `ambient {service}`",
        )
    return Finding(
        subject, ok=True, detail="; ".join(f"{each.name} follows{_behind(each)}" for each in standbys)
    )


def _retentions(instances: Sequence[ServiceHealth]) -> Finding | None:
    """Whether an id stands for its verdict for different times, by who happens to lead."""
    kept = {each.name: each.keep_ms for each in instances if each.keep_ms}
    if len(set(kept.values())) < 2:  # noqa: PLR2004 -- one alone, or all alike
        return None
    told = ", ".join(f"{name} for {_span(keep_ms / 1000)}" for name, keep_ms in sorted(kept.items()))
    return Finding(
        "retention",
        ok=False,
        detail=f"ids stand for their verdicts for different times: {told}",
        cure="start all coordinators with the same `--keep-hours`",
    )


def _behind(health: ServiceHealth) -> str:
    """How far behind the logs an instance is, by the log that it lags most on."""
    if not health.lag:
        return ""
    log, entries = max(health.lag.items(), key=lambda item: item[1])
    return f", {entries:,} entries of {log.upper()} behind" if entries else ", up to date"


def _span(seconds: float) -> str:
    """A stretch of time as people say it."""
    for unit_s, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


async def _room(bus: Bus) -> Finding:
    try:
        room = await bus.request(bus.subjects.service("coordinator", "room"), b"{}", RoomReply, timeout_s=2)
    except BusError as error:
        return Finding(
            "room", ok=False, detail=f"unknown: {_said(error)}", cure="first the coordinator, see above"
        )
    wait = "for how long is unknown" if room.wait_ms is None else f"{room.wait_ms / 1000:,.0f} s of work"
    detail = f"{room.backlog:,} tasks wait, {wait}" if room.backlog else "nothing waits"
    if not room.full:
        return Finding("room", ok=True, detail=detail)
    return Finding(
        "room",
        ok=False,
        detail=f"no new tasks are taken: {room.full}",
        cure=f"start more nodes, or submit again in {room.retry_after_ms / 1000:,.0f} s; bounds: docs/backpressure.md",
    )


async def _nodes(bus: Bus) -> Finding:
    try:
        reply = await bus.request(
            bus.subjects.service("coordinator", "nodes"), b"{}", NodesReply, timeout_s=2
        )
    except BusError as error:
        return Finding(
            "nodes", ok=False, detail=f"unknown: {_said(error)}", cure="first the coordinator, see above"
        )
    healthy = [node for node in reply.nodes if node.state == "healthy"]
    ill = [
        f"{n.node} {n.state}" + (f" ({n.safe_mode})" if n.safe_mode else "")
        for n in reply.nodes
        if n not in healthy
    ]
    detail = f"{len(healthy)} of {reply.total} healthy" + (f"; {', '.join(ill[:5])}" if ill else "")
    return Finding(
        "nodes", ok=bool(healthy), detail=detail, cure="" if healthy else "start one: `ambient node`"
    )


def _said(error: BusError) -> str:
    """The error without the advice that led here."""
    return str(error).removesuffix(" try `ambient doctor`").rstrip(":")
