"""Every error that ends a node, split by who can mend it. `exit_code` is what the process ends with.

A guest's failure is never an exception here, and neither is a bus that cannot be reached: the node waits for it.
"""

__all__ = [
    "EXIT_CUT_SHORT",
    "EXIT_DRAINED",
    "BadSettings",
    "DataInUse",
    "NodeError",
    "NotEnrolled",
    "SandboxUnfit",
]

EXIT_DRAINED = 0
"""The node was asked to end, finished or handed back what it had, and everything it claimed is durable."""
EXIT_CUT_SHORT = 4
"""It ended before that: a second signal, or the drain's time-out. Unsent results wait in the outbox for the next start."""


class NodeError(Exception):
    """The base of all errors of this package."""

    exit_code = 1


class BadSettings(NodeError):
    """The operator's settings: `field` and `limit` say what must change."""

    exit_code = 2

    def __init__(self, field: str, limit: str) -> None:
        super().__init__(f"{field}: {limit}")
        self.field = field
        self.limit = limit


class NotEnrolled(NodeError):
    """The coordinator refused this node for good, e.g. because its id belongs to another key."""

    exit_code = 3


class DataInUse(NodeError):
    """Another node process works in the same data folder: two would answer in one name."""

    exit_code = 5


class SandboxUnfit(NodeError):
    """Guests cannot be run on this machine as it is set up."""

    exit_code = 6
