"""Ambient VCP for programs: `async with ambient.connect() as vcp: await vcp.run(...)`.

Everything that users need is here; `ambient.errors` says which error blames whom. A name is loaded when it is first used: whoever needs
an error or a setting need not wait for a client.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ambient.client import Client, connect
    from ambient.errors import (
        AmbientError,
        BusUnavailable,
        ClientClosed,
        ClusterMissing,
        LogFull,
        MissingExtra,
        ModuleUnusable,
        OutputUnavailable,
        QuestionRejected,
        Rejected,
        ServiceMissing,
        StillOpen,
        TaskCancelled,
        TaskExpired,
        TaskFailed,
        TaskNotVerified,
        TaskRejected,
        TaskUnknown,
    )
    from ambient.policies import Limits, Place, Quorum, Signature
    from ambient.questions import ClusterHealth
    from ambient.submission import TaskOptions
    from ambient.sync import SyncClient, SyncTask, connect_sync
    from ambient.task import Task
    from ambient.verdict import TaskVerdict

__all__ = [
    "AmbientError",
    "BusUnavailable",
    "Client",
    "ClientClosed",
    "ClusterHealth",
    "ClusterMissing",
    "Limits",
    "LogFull",
    "MissingExtra",
    "ModuleUnusable",
    "OutputUnavailable",
    "Place",
    "QuestionRejected",
    "Quorum",
    "Rejected",
    "ServiceMissing",
    "Signature",
    "StillOpen",
    "SyncClient",
    "SyncTask",
    "Task",
    "TaskCancelled",
    "TaskExpired",
    "TaskFailed",
    "TaskNotVerified",
    "TaskOptions",
    "TaskRejected",
    "TaskUnknown",
    "TaskVerdict",
    "connect",
    "connect_sync",
]

_PARTS = {
    "client": ("Client", "connect"),
    "errors": (
        "AmbientError",
        "BusUnavailable",
        "ClientClosed",
        "ClusterMissing",
        "LogFull",
        "MissingExtra",
        "ModuleUnusable",
        "OutputUnavailable",
        "QuestionRejected",
        "Rejected",
        "ServiceMissing",
        "StillOpen",
        "TaskCancelled",
        "TaskExpired",
        "TaskFailed",
        "TaskNotVerified",
        "TaskRejected",
        "TaskUnknown",
    ),
    "policies": ("Limits", "Place", "Quorum", "Signature"),
    "questions": ("ClusterHealth",),
    "submission": ("TaskOptions",),
    "sync": ("SyncClient", "SyncTask", "connect_sync"),
    "task": ("Task",),
    "verdict": ("TaskVerdict",),
}
_WHERE = {name: part for part, names in _PARTS.items() for name in names}


def __getattr__(name: str) -> Any:
    """A name of `__all__`, or a module that holds some."""
    if name in _PARTS:
        return import_module(f"ambient.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module 'ambient' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"ambient.{_WHERE[name]}"), name)
    return found
