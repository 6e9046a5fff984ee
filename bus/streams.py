"""The streams behind the logs: their limits, and how they are made.

Every stream has explicit limits and refuses what is over them (`discard: new`): a full log says so to whoever writes, and
drops nothing. In a cluster of servers each stream has three replicas. Whoever comes first makes the streams; settings that exist are
left as the operator set them.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import nats.errors
import nats.js.errors
import structlog
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

from bus import leader
from bus.acks import FULL
from bus.connection import Bus
from bus.errors import BusUnavailable, LogFull, StreamMissing, reason
from bus.subjects import Subjects

__all__ = [
    "DEFAULT_MAX_BYTES",
    "KEEP_MS",
    "NAME_IN_USE",
    "Extent",
    "StreamLimits",
    "ensure_streams",
    "extent",
    "lag_behind",
    "last_sequence",
    "last_sequences",
    "replicas",
]

_GIB = 1024**3
NAME_IN_USE = 10058
"""JetStream's error code where a stream is there with other settings than the ones asked for."""
_FORMING = frozenset({10005, 10008})
"""Too few servers for so many replicas, or no leader among them: both pass where a cluster is just coming up."""
_PEERS_S = 10.0
_RETRY_S = 0.2
CLUSTERED = 3
"""Replicas in a cluster of servers, of three as of five: any one server may be lost, and a write waits for one other disk."""
_SMALLEST_SHARE = 4096
_LAG_S = 1.0

_log = structlog.get_logger("bus.streams")

KEEP_MS = 86_400_000
"""How long an id stands for its verdict, and the logs are kept, unless an operator chose otherwise: a day."""

DEFAULT_MAX_BYTES: Mapping[str, int] = MappingProxyType(
    {
        "tasks": 4 * _GIB,
        "assignments": 4 * _GIB,
        "results": 8 * _GIB,
        "verdicts": 8 * _GIB,
        "anchors": 2 * _GIB,
        "blobs": 16 * _GIB,
        "checkpoints": 2 * _GIB,
    }
)


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """`max_bytes` of each stream by name, `replicas` of each; None: `CLUSTERED` in a cluster of servers, 1 on a server that is alone."""

    max_bytes: Mapping[str, int] = DEFAULT_MAX_BYTES
    replicas: int | None = None


def replicas(bus: Bus) -> int:
    """How many replicas a stream gets on the servers that the bus is connected to: what the server says of itself decides."""
    return CLUSTERED if bus.is_clustered else 1


def _bindings(subjects: Subjects) -> dict[str, list[str]]:
    return {
        "tasks": [subjects.submit("*"), subjects.cancel("*")],
        "assignments": [subjects.assignments],
        "results": [subjects.results("*")],
        "verdicts": [subjects.verdicts],
        "anchors": [subjects.anchors],
        "blobs": [subjects.blob("*", "*", "*")],
        "checkpoints": [subjects.checkpoint("*"), subjects.blob("*", "*", "*", kind="checkpoints")],
    }


async def ensure_streams(bus: Bus, limits: StreamLimits | None = None) -> None:
    """Make the streams of the cluster that do not exist yet.

    JetStream reserves what a stream may grow to. Without `limits`, the defaults are halved until the server has room for them; what
    was asked for is never made smaller. Raises `LogFull` where there is no room, `BusUnavailable` where there is no JetStream.
    """
    chosen, share, is_shared = limits or StreamLimits(), 1, limits is not None
    copies = chosen.replicas or replicas(bus)
    bindings = _bindings(bus.subjects)
    # The largest first: what is found to fit it decides the share for all.
    for name in sorted(bindings, key=lambda name: -DEFAULT_MAX_BYTES[name]):
        most = chosen.max_bytes.get(name, DEFAULT_MAX_BYTES[name])
        while not await _make(bus, name, _config(bus, name, bindings[name], most // share, copies)):
            if limits is not None or share >= _SMALLEST_SHARE:
                raise LogFull(
                    f"no room to reserve {most // share} bytes for {bus.subjects.stream(name)}: "
                    "give JetStream more disk, or the streams less max_bytes"
                )
            share *= 2
        if share > 1 and not is_shared:
            share *= 4  # the largest alone may have taken nearly all there is
        is_shared = True
    if share > 1:
        _log.warning("small disk: streams are smaller than usual", share=f"1/{share}", url=bus.url)


def _config(bus: Bus, name: str, bound: list[str], max_bytes: int, copies: int) -> StreamConfig:
    return StreamConfig(
        name=bus.subjects.stream(name),
        subjects=bound,
        retention=RetentionPolicy.LIMITS,
        discard=DiscardPolicy.NEW,
        storage=StorageType.FILE,
        max_bytes=max_bytes,
        num_replicas=copies,
        allow_direct=True,
        # The newest manifest of a checkpoint and the one before it: the older ones go by themselves.
        max_msgs_per_subject=2 if name == "checkpoints" else -1,
        # A retried submission or result with the same message id is stored once within this window; beyond it,
        # task ids and attempt numbers still make it harmless.
        duplicate_window=120,
    )


async def _make(bus: Bus, log: str, config: StreamConfig) -> bool:
    """Whether the stream is there now; False where the server has no room for it."""
    deadline = asyncio.get_running_loop().time() + _PEERS_S
    while True:
        try:
            await bus.js.add_stream(config)
        except nats.js.errors.APIError as error:
            if error.err_code == NAME_IN_USE:
                return True
            if error.err_code in FULL:
                # Room is checked before the name: where the stream is there, it matters to nobody that ours would not fit.
                return await _exists(bus, log)
            if error.err_code not in _FORMING or asyncio.get_running_loop().time() > deadline:
                raise _not_created(bus, config, error) from None
            await asyncio.sleep(_RETRY_S)
        except (TimeoutError, nats.errors.Error) as error:
            raise _not_created(bus, config, error) from None
        else:
            return True


def _not_created(bus: Bus, config: StreamConfig, error: Exception) -> BusUnavailable:
    advice = f"is JetStream enabled on {bus.url}, and may this user make streams?"
    if isinstance(error, nats.js.errors.APIError) and error.err_code in _FORMING:
        advice = f"it needs {config.num_replicas} servers that know each other: start the others, or read their logs"
    return BusUnavailable(f"could not create stream {config.name}: {advice} ({reason(error)})")


async def _exists(bus: Bus, log: str) -> bool:
    try:
        await last_sequence(bus, log)
    except StreamMissing:
        return False
    return True


class Extent(NamedTuple):
    """What a log holds: sequences from `first` on (1 more than `last` where it is empty), and how full it is."""

    first: int
    last: int
    bytes: int
    max_bytes: int


async def last_sequence(bus: Bus, log: str, *, confirmed: bool = False) -> int:
    """The sequence of the newest message of a log, 0 when there never was one, as its leader says; waits for one to be elected.

    With `confirmed` it is the end of every write that was acknowledged before: see `bus.leader`. Raises as `extent` does.
    """
    ask = leader.confirmed if confirmed else leader.state
    return (await ask(bus, bus.subjects.stream(log))).last


async def extent(bus: Bus, log: str) -> Extent:
    """What a log holds at the moment, as its leader says.

    Raises `StreamMissing` where nobody has set the cluster up, `BusUnavailable` where the server does not answer.
    """
    said = await leader.state(bus, bus.subjects.stream(log))
    return Extent(max(1, said.first), said.last, said.bytes, said.max_bytes)


async def last_sequences(bus: Bus, logs: Iterable[str]) -> dict[str, int]:
    """Like `last_sequence` for several logs, asked at once: one round trip."""
    names = tuple(logs)
    return dict(zip(names, await asyncio.gather(*(last_sequence(bus, log) for log in names)), strict=True))


async def lag_behind(bus: Bus, folded: Mapping[str, int]) -> dict[str, int]:
    """How many entries each log holds beyond the sequence folded; empty where the server does not say so within a second."""
    try:
        async with asyncio.timeout(_LAG_S):
            ends = await last_sequences(bus, folded)
    except (TimeoutError, BusUnavailable) as error:
        _log.debug("lag unknown", reason=reason(error))
        return {}
    return {log: max(0, end - folded[log]) for log, end in ends.items()}
