"""From a call's arguments to the line that is submitted.

Guarantees that a line which leaves here is a valid TaskSpec: whatever breaks the contract is `TaskRejected` with field and
limit, before it costs a message. The line of equal arguments is equal byte for byte, so that the same id may be submitted again.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import msgspec

from ambient import policies
from ambient.errors import TaskRejected
from bus.errors import Malformed
from bus.messages import Limits, Place, TaskSpec, Wasm
from bus.wire import MAX_MESSAGE_BYTES, decode, decoder, encode

__all__ = ["Argument", "Form", "InputLike", "TaskOptions", "as_bytes"]

Argument = int | float | str
"""An argument: text for a WASI command, a number for an exported function."""

InputLike = bytes | bytearray | memoryview | str
"""Standard input; text is sent as UTF-8."""

_SPEC = decoder(TaskSpec)


class TaskOptions(TypedDict, total=False):
    """What may be said of a task beside its module, arguments and input; everything has a default.

    Attributes:
        entry: `_start` (default: a WASI command) or the name of an exported function.
        env: environment variables of the guest.
        verify: `"signature"` (default), `"quorum:2/3"`, or a `Quorum`.
        limits: `Limits(memory_mb=…, fuel=…, wall_ms=…, output_bytes=…, stderr_bytes=…)`, or a dict of these.
        place: `Place(region=…, node_types=…, labels=…, min_cores=…, min_memory_mb=…, min_score=…, node=…)`, or a dict.
        priority: 0 to 9; higher goes first. Default 4.
        deadline: a datetime with a time zone, or a timedelta from now; later the task is `expired`.
        max_attempts: how often the task may be assigned before it is given up, 1 to 100. Default 5.
        reward: the most that it may cost, in msat, of what was deposited for this client. Default 0.
        price: msat for 10⁹ fuel, to each node that agrees, within the reward; by default the reward is shared out.
    """

    entry: str
    env: Mapping[str, str]
    verify: policies.Verify
    limits: Limits | Mapping[str, Any] | None
    place: Place | Mapping[str, Any] | None
    priority: int
    deadline: dt.datetime | dt.timedelta | None
    max_attempts: int
    reward: int
    price: int


_OPTIONS = frozenset(TaskOptions.__annotations__)


class Form:
    """What all tasks of one call have in common: all of a TaskSpec but id, arguments and input."""

    __slots__ = ("_entry", "_env", "_module", "_rest")

    def __init__(self, module: str, options: TaskOptions) -> None:
        unknown = sorted(set(options) - _OPTIONS)
        if unknown:
            raise TaskRejected(unknown[0], f"is no option of a task; there are {', '.join(sorted(_OPTIONS))}")
        self._module = module
        self._entry = options.get("entry") or "_start"
        self._env = dict(options.get("env") or {})
        self._rest: dict[str, Any] = {
            "verify": policies.policy(options.get("verify")),
            "limits": policies.limits(options.get("limits")),
            "place": policies.place(options.get("place")),
            "deadline": policies.deadline(options.get("deadline")),
        }
        for name in ("priority", "max_attempts", "reward", "price"):
            if name in options:
                self._rest[name] = options[name]

    def line(self, task_id: str, args: Sequence[Argument], content: bytes, blob: str | None = None) -> bytes:
        """The line of one task; `blob` names an input that was uploaded instead of `content`."""
        work = Wasm(
            module=self._module,
            entry=self._entry,
            args=tuple(args),
            env=self._env,
            input=content,
            input_blob=blob,
        )
        try:
            line = encode(TaskSpec(id=task_id, work=work, **self._rest))
            # Encoding checks nothing; reading the line as the coordinator will checks everything, for 2 µs.
            decode(line, _SPEC)
        except Malformed as error:
            raise TaskRejected(error.field, error.limit) from None
        except (TypeError, OverflowError, ValueError, msgspec.MsgspecError) as error:
            raise TaskRejected("work", f"cannot be written as JSON: {error}") from None
        if len(line) > MAX_MESSAGE_BYTES:
            raise TaskRejected(
                "work", f"a task holds at most {MAX_MESSAGE_BYTES} bytes, this one has {len(line)}"
            )
        return line


def as_bytes(content: InputLike) -> bytes:
    """Input as bytes; raises `TaskRejected` for anything that is neither bytes nor text."""
    if isinstance(content, bytes):
        return content
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, bytearray | memoryview):
        return bytes(content)
    raise TaskRejected("input", f"give bytes or text, not {type(content).__name__}")
