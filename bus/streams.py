"""The streams behind the logs: their limits, and how they are made.

Every stream has explicit limits and refuses what is over them (`discard: new`): a full log says so to whoever writes, and
drops nothing. Whoever comes first makes the streams; settings that exist are left as the operator set them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import nats.errors
import nats.js.errors
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

from bus.acks import FULL
from bus.connection import Bus
from bus.errors import BusUnavailable, LogFull, StreamMissing, reason
from bus.subjects import Subjects

__all__ = ["DEFAULT_MAX_BYTES", "StreamLimits", "ensure_streams", "last_sequence"]

_GIB = 1024**3
_NAME_IN_USE = 10058

DEFAULT_MAX_BYTES: Mapping[str, int] = MappingProxyType(
    {
        "tasks": 4 * _GIB,
        "assignments": 4 * _GIB,
        "results": 8 * _GIB,
        "verdicts": 8 * _GIB,
        "blobs": 16 * _GIB,
    }
)


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """`max_bytes` of each stream by name, `replicas` of each (1, or 3 in a cluster of three servers)."""

    max_bytes: Mapping[str, int] = DEFAULT_MAX_BYTES
    replicas: int = 1

    @classmethod
    def within(cls, total_bytes: int, *, replicas: int = 1) -> "StreamLimits":
        """The defaults, made smaller in proportion where they would reserve more than `total_bytes` together.

        JetStream reserves what a stream may grow to, so a small disk refuses the defaults outright.
        """
        share = min(1.0, total_bytes / sum(DEFAULT_MAX_BYTES.values()))
        return cls({name: int(most * share) for name, most in DEFAULT_MAX_BYTES.items()}, replicas)


def _bindings(subjects: Subjects) -> dict[str, list[str]]:
    return {
        "tasks": [subjects.submit("*"), subjects.cancel("*")],
        "assignments": [subjects.assignments],
        "results": [subjects.results("*")],
        "verdicts": [subjects.verdicts],
        "blobs": [subjects.blob("*", "*", "*")],
    }


async def ensure_streams(bus: Bus, limits: StreamLimits | None = None) -> None:
    """Make the streams of the cluster that do not exist yet.

    Raises `LogFull` where the server has no room to reserve for them, `BusUnavailable` where it has no JetStream.
    """
    chosen = limits or StreamLimits()
    for name, bound in _bindings(bus.subjects).items():
        config = StreamConfig(
            name=bus.subjects.stream(name),
            subjects=bound,
            retention=RetentionPolicy.LIMITS,
            discard=DiscardPolicy.NEW,
            storage=StorageType.FILE,
            max_bytes=chosen.max_bytes.get(name, DEFAULT_MAX_BYTES[name]),
            num_replicas=chosen.replicas,
            allow_direct=True,
            # A retried submission or result with the same message id is stored once within this window; beyond it,
            # task ids and attempt numbers still make it harmless.
            duplicate_window=120,
        )
        try:
            await bus.js.add_stream(config)
        except nats.js.errors.APIError as error:
            # Room is checked before the name: where the stream is there already, it matters to nobody that ours would not fit.
            if error.err_code == _NAME_IN_USE or await _exists(bus, name):
                continue
            if error.err_code in FULL:
                raise LogFull(
                    f"no room to reserve {config.max_bytes} bytes for {config.name}: "
                    f"give JetStream more disk, or the streams less max_bytes ({error.description})"
                ) from None
            raise BusUnavailable(f"could not create stream {config.name}: {reason(error)}") from None
        except (TimeoutError, nats.errors.Error) as error:
            raise BusUnavailable(
                f"could not create stream {config.name}: is JetStream enabled on {bus.url}? ({reason(error)})"
            ) from None


async def _exists(bus: Bus, log: str) -> bool:
    try:
        await last_sequence(bus, log)
    except StreamMissing:
        return False
    return True


async def last_sequence(bus: Bus, log: str) -> int:
    """The sequence of the newest message of a log, 0 when it is empty.

    Raises `StreamMissing` where nobody has set the cluster up, `BusUnavailable` where the server does not answer.
    """
    stream = bus.subjects.stream(log)
    try:
        return (await bus.js.stream_info(stream)).state.last_seq
    except nats.js.errors.NotFoundError:
        raise StreamMissing(f"{stream} does not exist: set the cluster up with `ambient up`") from None
    except (TimeoutError, nats.errors.Error) as error:
        raise BusUnavailable(f"cannot read {stream}: try `ambient doctor` ({reason(error)})") from None
