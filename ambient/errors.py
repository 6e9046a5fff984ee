"""Every error that the SDK raises, split by who is at fault; each message says what to do next.

`Rejected` and its children, `ModuleUnusable`, `MissingExtra`, `TaskUnknown` and `ClientClosed` blame the caller's program; `TaskNotVerified`
and its children tell how a task ended; `BusUnavailable` and its children blame the server, a service or the way
there; `OutputUnavailable` blames the blob store; `StillOpen` blames nobody: the task goes on. Errors of
`bus` never leave the SDK: `from_bus` turns each into one of these.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

import bus.errors

if TYPE_CHECKING:
    from ambient.verdict import TaskVerdict

__all__ = [
    "DEFAULT_RETRY_S",
    "AmbientError",
    "BackupUnusable",
    "BusUnavailable",
    "ClientClosed",
    "ClusterMissing",
    "LogFull",
    "MissingExtra",
    "ModuleUnusable",
    "OutputUnavailable",
    "QuestionRejected",
    "ReceiptPending",
    "ReceiptUnusable",
    "Rejected",
    "ServiceMissing",
    "StillOpen",
    "TaskCancelled",
    "TaskExpired",
    "TaskFailed",
    "TaskNotVerified",
    "TaskRejected",
    "TaskUnknown",
    "UsersUnusable",
    "checked",
    "from_bus",
    "mapped",
]


DEFAULT_RETRY_S = 1.0
"""When to submit again where the cluster cannot say it."""


class AmbientError(Exception):
    """The base of all errors of the SDK."""


class Rejected(AmbientError):
    """What was asked breaks the contract: change `field` so that it keeps `limit`."""

    def __init__(self, field: str, limit: str, *, task: str | None = None) -> None:
        about = f"task {task} was rejected: " if task else ""
        super().__init__(f"{about}{field}: {limit}" if field else f"{about}{limit}")
        self.field = field
        self.limit = limit
        self.task = task


class TaskRejected(Rejected):
    """A task was not accepted, by the SDK itself or by the coordinator; it never ran."""


class QuestionRejected(Rejected):
    """A service refused a question (`why`, `nodes`, `tasks`, …)."""


class ModuleUnusable(AmbientError):
    """The module is no file, no WebAssembly and no WAT that compiles."""


class MissingExtra(AmbientError):
    """This needs a package that the installed extras do not bring."""


class TaskUnknown(AmbientError):
    """No task of that name was ever accepted in this cluster, or its verdict is older than what the cluster keeps."""


class ClientClosed(AmbientError):
    """The client is not open: use it within `async with ambient.connect(...)`. Tasks that were submitted go on."""


class BackupUnusable(AmbientError):
    """A folder that is no whole backup, or cannot become one; or servers that have already what is to be restored."""


class UsersUnusable(AmbientError):
    """The file of the servers' users cannot be read or written, or what is asked of it contradicts what stands there."""


class BusUnavailable(AmbientError):
    """The bus cannot be reached, or does not answer."""


class ClusterMissing(BusUnavailable):
    """NATS is there, but nobody has set this cluster up."""


class ServiceMissing(BusUnavailable):
    """NATS is there, but the service that should answer is not running."""


class LogFull(BusUnavailable):
    """The cluster is full, or a log or the blob store is at its limit: nothing was stored, so submit again in `retry_after_s`.

    The cluster said so, where it could; else it is a guess.
    """

    def __init__(self, message: str, *, retry_after_s: float = DEFAULT_RETRY_S) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class OutputUnavailable(AmbientError):
    """The task was verified, but its large output cannot be had from the blob store; see `verdict`."""

    def __init__(self, message: str, verdict: "TaskVerdict") -> None:
        super().__init__(message)
        self.verdict = verdict


class StillOpen(AmbientError, TimeoutError):
    """There is no verdict within `timeout_s`. The task goes on: ask for it again with `vcp.result(error.task)`."""

    def __init__(self, task: str, timeout_s: float) -> None:
        self.within = f"task {task} has no verdict after {timeout_s:g} s; if it was submitted, it goes on"
        super().__init__(
            f"{self.within}: ask again with `vcp.result({task!r})`, or see what it waits for with `vcp.why({task!r})`"
        )
        self.task = task


class ReceiptPending(AmbientError, TimeoutError):
    """The task's verdict is in no checkpoint that may be shown, yet: ask for the receipt again."""


class ReceiptUnusable(AmbientError):
    """The anchor sent a receipt that does not hold: nothing of it is to be believed, and its operator should look into its log."""


class TaskNotVerified(AmbientError):
    """The task ended without a verified output; `verdict` has all that is known."""

    def __init__(self, verdict: "TaskVerdict") -> None:
        super().__init__(self._message(verdict))
        self.verdict = verdict
        self.task = verdict.task

    @staticmethod
    def _message(verdict: "TaskVerdict") -> str:
        return f"task {verdict.task} ended as {verdict.status}"


class TaskFailed(TaskNotVerified):
    """The guest failed, alike on every node that counted; or no node could be made to run it."""

    _ADVICE: ClassVar[dict[str, str]] = {
        "exit": "the guest says why on stderr",
        "trap": "run `ambient check` on the module; the trap is the guest's own",
        "fuel": "raise limits.fuel, or give the guest less to do",
        "memory": "raise limits.memory_mb",
        "stack": "the guest recurses too deeply: change it",
        "table": "the guest grows its table too far: change it",
        "output": "raise limits.output_bytes, or let the guest write less",
        "stderr": "raise limits.stderr_bytes, or let the guest write less to stderr",
        "invalid": "module, entry or arguments do not fit: run `ambient check` on the module",
        "wall": "raise limits.wall_ms, or choose faster nodes with `place`",
    }

    @staticmethod
    def _message(verdict: "TaskVerdict") -> str:
        parts = [f"task {verdict.task} failed: {verdict.reason or 'no reason was given'}"]
        if verdict.reason == "exit":
            parts.append(f" with status {verdict.exit_code}")
        elif verdict.detail:
            parts.append(f" ({verdict.detail})")
        default = f"see `vcp.why({verdict.task!r})` for what each node said"
        parts.append(f"; {TaskFailed._ADVICE.get(verdict.reason, default)}")
        if verdict.stderr:
            tail = verdict.stderr[-300:].decode(errors="replace").strip()
            parts.append(f". stderr: {tail}")
        return "".join(parts)


class TaskCancelled(TaskNotVerified):
    """The task was withdrawn before it had a result; submit it under a new id if it is wanted after all."""

    @staticmethod
    def _message(verdict: "TaskVerdict") -> str:
        return f"task {verdict.task} was cancelled: submit it again under a new id if it is wanted after all"


class TaskExpired(TaskNotVerified):
    """The task's deadline passed before it had a result."""

    @staticmethod
    def _message(verdict: "TaskVerdict") -> str:
        return f"task {verdict.task} passed its deadline: submit it again with a later `deadline`, or a higher `priority`"


_BY_STATUS: dict[str, type[TaskNotVerified]] = {
    "failed": TaskFailed,
    "cancelled": TaskCancelled,
    "expired": TaskExpired,
}


def checked(verdict: "TaskVerdict") -> "TaskVerdict":
    """The verdict itself if the task was verified; raises the `TaskNotVerified` that fits otherwise."""
    if verdict.verified:
        return verdict
    raise _BY_STATUS.get(verdict.status, TaskNotVerified)(verdict)


def from_bus(error: bus.errors.BusError) -> AmbientError:
    """The SDK's error for one of the bus, with the same message."""
    match error:
        case bus.errors.Malformed():
            return QuestionRejected(error.field, error.limit)
        case bus.errors.StreamMissing():
            return ClusterMissing(str(error))
        case bus.errors.NoResponder():
            return ServiceMissing(str(error))
        case bus.errors.LogFull():
            return LogFull(str(error))
        case _:
            return BusUnavailable(str(error))


@contextmanager
def mapped() -> Iterator[None]:
    """Let no error of the bus out of the block."""
    try:
        yield
    except bus.errors.BusError as error:
        raise from_bus(error) from error
