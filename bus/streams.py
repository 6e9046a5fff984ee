"""The streams behind the logs: their limits, and how they are made.

Every stream has explicit limits and refuses what is over them (`discard: new`): a full log says so to whoever writes, and
drops nothing. Whoever comes first makes the streams; settings that exist are left as the operator set them.
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

from bus.acks import FULL
from bus.connection import Bus
from bus.errors import BusUnavailable, LogFull, StreamMissing, reason
from bus.subjects import Subjects

__all__ = [
    "DEFAULT_MAX_BYTES",
    "KEEP_MS",
    "Extent",
    "StreamLimits",
    "ensure_streams",
    "extent",
    "lag_behind",
    "last_sequence",
    "last_sequences",
]

_GIB = 1024**3
_NAME_IN_USE = 10058
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
        "blobs": 16 * _GIB,
        "checkpoints": 2 * _GIB,
    }
)


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """`max_bytes` of each stream by name, `replicas` of each (1, or 3 in a cluster of three servers)."""

    max_bytes: Mapping[str, int] = DEFAULT_MAX_BYTES
    replicas: int = 1


def _bindings(subjects: Subjects) -> dict[str, list[str]]:
    return {
        "tasks": [subjects.submit("*"), subjects.cancel("*")],
        "assignments": [subjects.assignments],
        "results": [subjects.results("*")],
        "verdicts": [subjects.verdicts],
        "blobs": [subjects.blob("*", "*", "*")],
        "checkpoints": [subjects.checkpoint("*"), subjects.blob("*", "*", "*", kind="checkpoints")],
    }


async def ensure_streams(bus: Bus, limits: StreamLimits | None = None) -> None:
    """Make the streams of the cluster that do not exist yet.

    JetStream reserves what a stream may grow to. Without `limits`, the defaults are halved until the server has room for them; what
    was asked for is never made smaller. Raises `LogFull` where there is no room, `BusUnavailable` where there is no JetStream.
    """
    chosen, share = limits or StreamLimits(), 1
    bindings = _bindings(bus.subjects)
    # The largest first: what is found to fit it decides the share for all.
    for name in sorted(bindings, key=lambda name: -DEFAULT_MAX_BYTES[name]):
        most = chosen.max_bytes.get(name, DEFAULT_MAX_BYTES[name])
        while not await _make(bus, name, _config(bus, name, bindings[name], most // share, chosen.replicas)):
            if limits is not None or share >= _SMALLEST_SHARE:
                raise LogFull(
                    f"no room to reserve {most // share} bytes for {bus.subjects.stream(name)}: "
                    "give JetStream more disk, or the streams less max_bytes"
                )
            share *= 2
    if share > 1:
        _log.warning("small disk: streams are smaller than usual", share=f"1/{share}", url=bus.url)


def _config(bus: Bus, name: str, bound: list[str], max_bytes: int, replicas: int) -> StreamConfig:
    return StreamConfig(
        name=bus.subjects.stream(name),
        subjects=bound,
        retention=RetentionPolicy.LIMITS,
        discard=DiscardPolicy.NEW,
        storage=StorageType.FILE,
        max_bytes=max_bytes,
        num_replicas=replicas,
        allow_direct=True,
        # The newest manifest of a checkpoint and the one before it: the older ones go by themselves.
        max_msgs_per_subject=2 if name == "checkpoints" else -1,
        # A retried submission or result with the same message id is stored once within this window; beyond it,
        # task ids and attempt numbers still make it harmless.
        duplicate_window=120,
    )


async def _make(bus: Bus, log: str, config: StreamConfig) -> bool:
    """Whether the stream is there now; False where the server has no room for it."""
    try:
        await bus.js.add_stream(config)
    except nats.js.errors.APIError as error:
        if error.err_code == _NAME_IN_USE:
            return True
        if error.err_code in FULL:
            # Room is checked before the name: where the stream is there, it matters to nobody that ours would not fit.
            return await _exists(bus, log)
        raise _not_created(bus, config, error) from None
    except (TimeoutError, nats.errors.Error) as error:
        raise _not_created(bus, config, error) from None
    return True


def _not_created(bus: Bus, config: StreamConfig, error: Exception) -> BusUnavailable:
    return BusUnavailable(
        f"could not create stream {config.name}: is JetStream enabled on {bus.url}, and may this user make streams? ({reason(error)})"
    )


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


async def last_sequence(bus: Bus, log: str) -> int:
    """The sequence of the newest message of a log, 0 when there never was one; raises as `extent` does."""
    return (await extent(bus, log)).last


async def extent(bus: Bus, log: str) -> Extent:
    """What a log holds at the moment.

    Raises `StreamMissing` where nobody has set the cluster up, `BusUnavailable` where the server does not answer.
    """
    stream = bus.subjects.stream(log)
    try:
        info = await bus.js.stream_info(stream)
        state = info.state
        first = state.first_seq if state.messages else state.last_seq + 1
        return Extent(first, state.last_seq, state.bytes, info.config.max_bytes or -1)
    except nats.js.errors.NotFoundError:
        raise StreamMissing(f"{stream} does not exist: set the cluster up with `ambient up`") from None
    except (TimeoutError, nats.errors.Error) as error:
        raise BusUnavailable(f"cannot read {stream}: try `ambient doctor` ({reason(error)})") from None


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
