"""What the server that leads a log says of it, and whether it still leads.

In a cluster of servers a log has replicas, and which of them answers decides what an answer is worth:

- A direct get is answered by any replica, and one that lags does not have the newest messages. What it *has* is true for ever.
- `STREAM.INFO` is answered by the leader, but also by a replica that knows of no leader, and by one that has just been started.
- A leader that was cut off goes on believing in itself for up to 10 s, while the others elect another.

- What a direct get says of a message besides its body comes in headers, among the writer's own, who may have put the same there before.

So `state` takes only the leader's own word: enough for everyone whom the fence corrects (a writer, a term), since a stale answer can then
cost time and no more. Where "it is not there" is acted upon for good, there is `confirmed`: the leader has heard from most replicas *after*
it answered, so at that moment nobody else can have been elected (Raft, section 6.4). `stored` reads one message, and `first_from` one with
sequence, time and subject as the server has them.
Left to others: what to do meanwhile.
"""

import asyncio
from datetime import datetime
from typing import NamedTuple

import msgspec
import nats.errors
import nats.js.errors
from nats.js.api import RawStreamMsg

from bus.connection import Bus
from bus.errors import BusUnavailable, StreamMissing, reason
from bus.steps import path_of

__all__ = ["LogState", "Message", "confirmed", "first_from", "state", "stored"]

_TRY_S = 1.0
"""How long one question waits: without a leader nobody answers, and electing one takes the servers 4 to 9 s."""
_GET_S = 2.0
_PATIENCE_S = 15.0
_PAUSE_S = 0.1
_NOT_FOUND = 10059


class _Replica(msgspec.Struct):
    name: str = ""
    active: int = 0


class _Group(msgspec.Struct):
    leader: str = ""
    leader_since: str = ""
    replicas: list[_Replica] = msgspec.field(default_factory=list)


class _Config(msgspec.Struct):
    max_bytes: int = -1


class _State(msgspec.Struct):
    bytes: int = 0
    first_seq: int = 0
    last_seq: int = 0
    subjects: dict[str, int] = msgspec.field(default_factory=dict)


class _Error(msgspec.Struct):
    err_code: int = 0
    description: str = ""


class _Info(msgspec.Struct):
    config: _Config = msgspec.field(default_factory=_Config)
    state: _State | None = None
    cluster: _Group | None = None
    error: _Error | None = None
    ts: datetime | None = None


class Message(msgspec.Struct):
    """One message as its log's leader has it; `time` is RFC 3339 with nanoseconds."""

    seq: int
    subject: str
    time: str
    data: bytes = b""
    hdrs: bytes = b""

    @property
    def path(self) -> str:
        """How the tasks in it came in, as `bus.steps.path_of` has it."""
        fields = (line.partition(b":") for line in self.hdrs.split(b"\r\n"))
        return path_of({key.decode("latin-1"): value.strip().decode("latin-1") for key, _, value in fields})

    @property
    def at_ms(self) -> int:
        """The server's time in ms since the epoch, cut off and not rounded: folds compare it, and a consumer's count is cut off, too."""
        at = datetime.fromisoformat(self.time)
        return int(at.replace(microsecond=0).timestamp()) * 1000 + at.microsecond // 1000


class _Got(msgspec.Struct):
    message: Message | None = None
    error: _Error | None = None


_INFO = msgspec.json.Decoder(_Info)
_GOT = msgspec.json.Decoder(_Got)
_NO_MESSAGE = 10037


class LogState(NamedTuple):
    """First and last sequence of a log (`first` is 1 more than `last` where it was emptied), its size and what it may grow to.

    Also how many messages are on the subjects asked for, and who says so.
    """

    first: int
    last: int
    bytes: int
    max_bytes: int
    subjects: dict[str, int]
    leadership: tuple[str, str]
    silent_s: list[float]
    """For each other replica, how long before the answer its leader had last heard of it."""
    at_s: float | None
    """When it was said, in seconds since the epoch by the clock of who said it; None where it did not say."""


class _NoLeader(BusUnavailable):
    """It was not the leader that answered."""


async def state(bus: Bus, stream: str, *, subjects: str = "", timeout_s: float = _PATIENCE_S) -> LogState:
    """What the leader of `stream` says of it; `subjects` is a pattern of subjects to count messages on.

    Asks for `timeout_s` while there is no leader. Raises `StreamMissing` where the cluster has no such stream, else `BusUnavailable`.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while True:
        try:
            return await _ask(bus, stream, subjects, min(_TRY_S, timeout_s))
        except StreamMissing:
            raise
        except BusUnavailable:
            if loop.time() + _PAUSE_S >= deadline or bus.client.is_closed:
                raise
            await asyncio.sleep(_PAUSE_S)


async def confirmed(bus: Bus, stream: str, *, subjects: str = "") -> LogState:
    """Like `state`, and true of every write that was acknowledged before this was called.

    Costs one question more under load, and up to a second (a heartbeat between replicas) where nothing is written. A log without other
    replicas has none to ask.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _PATIENCE_S
    while loop.time() < deadline:
        said = await state(bus, stream, subjects=subjects)
        said_at = loop.time()
        again = said
        while again.leadership == said.leadership and loop.time() < deadline:
            if not said.silent_s:
                return said
            await asyncio.sleep(_PAUSE_S)
            asked_at = loop.time()
            again = await state(bus, stream)
            heard = sum(1 for silent_s in again.silent_s if silent_s < asked_at - said_at)
            if again.leadership == said.leadership and heard >= (len(again.silent_s) + 1) // 2:
                return said
    raise BusUnavailable(
        f"the leader of {stream} does not hear most of its replicas: see `ambient doctor` which servers are away"
    )


async def stored(
    bus: Bus, stream: str, *, sequence: int | None = None, subject: str = "", following: bool = False
) -> RawStreamMsg | None:
    """One message: at `sequence`; the newest on `subject`; or the first on it from `sequence` on (`following`). None where the leader has none.

    Any replica may answer that it has the message; that there is none, only the leader. It may have been replaced without knowing: whoever
    acts on None for good asks `confirmed`. Asks for a while where there is no leader. Raises `StreamMissing` or `BusUnavailable`.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _PATIENCE_S
    direct = True
    while True:
        try:
            async with asyncio.timeout(_GET_S):
                return await bus.js.get_msg(
                    stream, seq=sequence, subject=subject or None, next=following, direct=direct
                )
        except nats.js.errors.NotFoundError as error:
            if error.err_code == _NOT_FOUND:
                raise _missing(stream) from None
            if not direct:
                return None
        except (TimeoutError, nats.errors.Error) as error:
            # Nobody answers direct gets of a stream that does not exist, or is not yet recovered: the leader knows. Without one, nobody does.
            if not direct and (loop.time() > deadline or bus.client.is_closed):
                raise BusUnavailable(f"{stream} does not answer: try again ({reason(error)})") from None
            await asyncio.sleep(0 if direct else _PAUSE_S)
        direct = False


async def first_from(bus: Bus, stream: str, sequence: int) -> Message | None:
    """The first message at or after `sequence` that the leader has, None where there is none yet; asks once, as long as `state` does.

    What is between `sequence` and that message was deleted: whoever has a message has all before it. Raises `BusUnavailable`.
    """
    question = b'{"seq":%d,"next_by_subj":">"}' % sequence
    try:
        reply = await bus.client.request(f"$JS.API.STREAM.MSG.GET.{stream}", question, timeout=_TRY_S)
        got = _GOT.decode(reply.data)
    except (TimeoutError, nats.errors.Error, msgspec.DecodeError) as error:
        raise BusUnavailable(f"cannot read {stream}: try `ambient doctor` ({reason(error)})") from None
    if got.error is not None and got.error.err_code != _NO_MESSAGE:
        raise BusUnavailable(f"cannot read {stream}: try `ambient doctor` ({got.error.description})")
    return got.message


async def _ask(bus: Bus, stream: str, subjects: str, timeout_s: float) -> LogState:
    question = b'{"subjects_filter":"%s"}' % subjects.encode() if subjects else b""
    try:
        body = (await bus.client.request(f"$JS.API.STREAM.INFO.{stream}", question, timeout=timeout_s)).data
        info = _INFO.decode(body)
    except (TimeoutError, nats.errors.Error, msgspec.DecodeError) as error:
        raise BusUnavailable(f"cannot read {stream}: try `ambient doctor` ({reason(error)})") from None
    if info.error is not None and info.error.err_code == _NOT_FOUND:
        raise _missing(stream)
    if info.error is not None or info.state is None:
        said = info.error.description if info.error is not None else "an empty answer"
        raise BusUnavailable(f"cannot read {stream}: try `ambient doctor` ({said})")
    group = info.cluster or _Group()
    # A server does not list itself among the replicas; so where the leader is listed, or is not known, it was not the leader that answered.
    if info.cluster is not None and (
        not group.leader or group.leader in {each.name for each in group.replicas}
    ):
        raise _NoLeader(f"{stream} has no leader yet: try again")
    return LogState(
        info.state.first_seq,
        info.state.last_seq,
        info.state.bytes,
        info.config.max_bytes,
        info.state.subjects or {},
        (group.leader, group.leader_since),
        [replica.active / 1e9 for replica in group.replicas],
        info.ts.timestamp() if info.ts is not None else None,
    )


def _missing(stream: str) -> StreamMissing:
    return StreamMissing(
        f"{stream} does not exist: set the cluster up with `ambient up`, or correct AMBIENT_CLUSTER"
    )
