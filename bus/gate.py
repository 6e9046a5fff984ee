"""The gate before TASKS: how a cluster that has enough refuses new tasks before they are stored.

Guarantees that a submission is either in TASKS or refused by JetStream itself, never both: the subject of submissions belongs to
TASKS while the gate is open, and to a stream that holds nothing (`AVCP_<cluster>_FULL`) while it is shut. So everybody is refused alike, also
bare NATS clients and also while no coordinator runs; withdrawals go to TASKS all the time, and no limit that an
operator set is touched. Nothing is paid for it while the gate is open.

Between the two, for a moment, the subject is nobody's; who publishes then hears "no responders", and our writers try again at once.
When the gate is to be shut is left to the coordinator (`coordinator.load`).
"""

from typing import Any, NamedTuple

import msgspec

from bus.connection import Bus
from bus.errors import BusError, BusUnavailable, StreamMissing

__all__ = ["FULL_LOG", "LogState", "open_gate", "shut_gate", "survey"]

FULL_LOG = "full"
"""The name, as a log, of the stream that takes nothing."""
_NOT_FOUND = 10059


class LogState(NamedTuple):
    """TASKS at one moment. `max_bytes` is 0 where there is no limit; `is_open` says whether it takes submissions."""

    last: int
    messages: int
    bytes: int
    max_bytes: int
    is_open: bool


class _Failure(msgspec.Struct):
    err_code: int = 0
    description: str = ""


class _Answer(msgspec.Struct):
    config: dict[str, Any] = msgspec.field(default_factory=dict)
    state: dict[str, Any] = msgspec.field(default_factory=dict)
    error: _Failure | None = None


_ANSWER = msgspec.json.Decoder(_Answer)


async def survey(bus: Bus) -> LogState:
    """How TASKS stands. Raises `StreamMissing`, `BusUnavailable`."""
    answer = await _info(bus)
    state, config = answer.state, answer.config
    return LogState(
        last=state.get("last_seq", 0),
        messages=state.get("messages", 0),
        bytes=state.get("bytes", 0),
        max_bytes=max(0, config.get("max_bytes", 0)),
        is_open=bus.subjects.submit("*") in config.get("subjects", ()),
    )


async def shut_gate(bus: Bus) -> None:
    """Have submissions refused from now on; harmless where they are. Raises `BusUnavailable`."""
    config = (await _info(bus)).config
    submissions = bus.subjects.submit("*")
    if submissions in config["subjects"]:
        left = [subject for subject in config["subjects"] if subject != submissions]
        await _update(bus, {**config, "subjects": left})
    name = bus.subjects.stream(FULL_LOG)
    nothing = {
        "name": name,
        "subjects": [submissions],
        "description": "The cluster is full: ask svc.coordinator.room when to submit again.",
        "retention": "limits",
        "discard": "new",
        "storage": "file",
        # Less than any message has, so the first is refused like the last.
        "max_bytes": 1,
        "num_replicas": config.get("num_replicas", 1),
    }
    await _done(bus, f"CREATE.{name}", nothing)


async def open_gate(bus: Bus) -> None:
    """Have submissions stored again; harmless where they are. Raises `BusUnavailable`."""
    answer = await _call(bus, f"DELETE.{bus.subjects.stream(FULL_LOG)}", {})
    if answer.error is not None and answer.error.err_code != _NOT_FOUND:
        raise _refused(answer.error)
    config = (await _info(bus)).config
    submissions = bus.subjects.submit("*")
    if submissions not in config["subjects"]:
        await _update(bus, {**config, "subjects": [submissions, *config["subjects"]]})


async def _info(bus: Bus) -> _Answer:
    name = bus.subjects.stream("tasks")
    answer = await _call(bus, f"INFO.{name}", {})
    if answer.error is not None and answer.error.err_code == _NOT_FOUND:
        raise StreamMissing(f"{name} does not exist: set the cluster up with `ambient up`")
    if answer.error is not None:
        raise _refused(answer.error)
    return answer


async def _update(bus: Bus, config: dict[str, Any]) -> None:
    # As the server told it, with all that our client library may not know of.
    await _done(bus, f"UPDATE.{config['name']}", config)


async def _done(bus: Bus, call: str, body: dict[str, Any]) -> None:
    answer = await _call(bus, call, body)
    if answer.error is not None:
        raise _refused(answer.error)


async def _call(bus: Bus, call: str, body: dict[str, Any]) -> _Answer:
    reply = await bus.request_bytes(f"$JS.API.STREAM.{call}", msgspec.json.encode(body))
    try:
        return _ANSWER.decode(reply)
    except msgspec.MsgspecError as error:
        raise BusUnavailable(f"JetStream answered {call} unreadably: {error}") from None


def _refused(failure: _Failure) -> BusError:
    return BusUnavailable(
        f"JetStream would not change a stream: {failure.description} ({failure.err_code}); may this user update streams?"
    )
