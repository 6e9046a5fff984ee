"""Ambient VCP for programs: `async with ambient.connect() as vcp: await vcp.run(...)`.

Everything that users need is here; `ambient.errors` says which error blames whom.
"""

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
