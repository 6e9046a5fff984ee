"""What a process's log says of tasks: whose each is, how it came in and which trace it is; and each step that the process took, where asked for.

Guarantees that every line that names a `task` has its `submitter` and `trace_id` once `named` is among structlog's processors, and that
steps cost one look at a flag, and no line, unless `STEPS.on` was set: at thousands of tasks a second a line for each would be what a
process does most.

How a task came in (its path: a URL's path, `sdk`, `cli`) is told by who submits, in a header of the message in TASKS; the coordinator puts it
into its decisions and assignments, the verifier into the verdict. It is anybody's word, for logs and traces: nothing is decided by it.
"""

import re
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import structlog

from bus.trace import trace_id

__all__ = [
    "BARE",
    "PATH_HEADER",
    "STEPS",
    "Steps",
    "about",
    "named",
    "path_header",
    "path_of",
    "submitter_of",
]

PATH_HEADER = "Avcp-Path"
BARE = "nats"
"""The path of a task of which nobody said how it came in: a bare publish, or a client of an earlier version."""
_PATH = re.compile(r"[!-~]{1,64}")

_log = structlog.get_logger("bus.steps")


def path_of(headers: Mapping[str, str] | None) -> str:
    """How the tasks of a message in TASKS came in; empty where its headers do not say, or say what no log should hold."""
    said = headers.get(PATH_HEADER, "") if headers else ""
    return said if _PATH.fullmatch(said) else ""


def path_header(path: str) -> dict[str, str]:
    """The header that says so, of a submission that came in by `path`: 1 to 64 printable characters of ASCII without spaces."""
    return {PATH_HEADER: path}


def submitter_of(task: str) -> str:
    """In whose name a task was submitted: the first part of its full name."""
    return task.partition(".")[0]


def about(cluster: str, task: str, path: str) -> dict[str, str]:
    """What `named` adds and the path, for a program whose log is set up by others."""
    return {
        "task": task,
        "submitter": submitter_of(task),
        "path": path or BARE,
        "trace_id": trace_id(cluster, task),
    }


def named(cluster: str) -> Callable[[Any, str, MutableMapping[str, Any]], MutableMapping[str, Any]]:
    """A processor of structlog: a line about a `task` of this cluster gets its `submitter`, unless it names one, and its `trace_id`."""

    def name(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        task = event.get("task")
        if isinstance(task, str) and task:
            event.setdefault("submitter", submitter_of(task))
            event["trace_id"] = trace_id(cluster, task)
        return event

    return name


class Steps:
    """What a process did with each task, a line for each step. Look at `on` first, so that nothing is gathered for nobody."""

    def __init__(self) -> None:
        self.on = False

    def __repr__(self) -> str:
        """Whether anything is told."""
        return f"Steps(on={self.on})"

    def tell(self, step: str, task: str, path: str | None, **facts: Any) -> None:
        """`step` was taken, and is durable where it had to be, for the task of that full name that came in by `path`.

        A path of None is not known any more, which is another thing than one that nobody told.
        """
        if not self.on:
            return
        if path is not None:
            facts["path"] = path or BARE
        _log.info(step, task=task, **facts)


STEPS = Steps()
"""This process's; like the rest of its log's settings it is set once, when the process starts."""
