"""What the exit code of `ambient` means, so that scripts can tell who is at fault."""

from enum import IntEnum

__all__ = ["Exit"]


class Exit(IntEnum):
    """0 is success; everything else says whose turn it is."""

    OK = 0
    """Done; for `run` and `result`: the verdict is `verified`."""
    NOT_VERIFIED = 1
    """The task ended otherwise: the guest failed, or it was cancelled or expired; for `check`, `doctor` and `audit`: not fit, or a promise is broken."""
    USAGE = 2
    """The command line is not right, or a file or task that it names."""
    REFUSED = 3
    """The task breaks the contract, found here or by the cluster: field and limit are named."""
    UNAVAILABLE = 4
    """No server, no coordinator or no verifier answers."""
    TIMEOUT = 5
    """`--timeout` ran out; the task goes on, `ambient result` will find it."""
    FULL = 6
    """The cluster or a log is full and nothing was stored: submit again when the message says."""
    INTERNAL = 70
    """A fault of ours: please report it with the log."""
