"""What the exit code of `ambient` means, so that scripts can tell who is at fault. The one place where codes are documented.

`ambient --help`, docs/cli.md and the manual page are made from here.
"""

from collections.abc import Iterator
from enum import IntEnum

__all__ = ["INTERRUPTED", "NODE", "Exit", "explained", "in_short"]

INTERRUPTED = 130
"""Ctrl-C, as shells have it; what was submitted goes on."""


class Exit(IntEnum):
    """0 is success; everything else says whose turn it is."""

    OK = 0
    NOT_VERIFIED = 1
    USAGE = 2
    REFUSED = 3
    UNAVAILABLE = 4
    TIMEOUT = 5
    FULL = 6
    INTERNAL = 70

    @property
    def word(self) -> str:
        """Its name in words, as `--help` and `--json` say it."""
        return self.name.lower().replace("_", " ")


_MEANT = {
    Exit.OK: "done; of `run` and `result`: the verdict is `verified`",
    Exit.NOT_VERIFIED: "the task ended otherwise: the guest failed, or it was cancelled or expired; of `check`, `doctor`, `health`, `verify` and `audit`: not fit, or a promise is broken",
    Exit.USAGE: "the command line is not right, or a file or task that it names",
    Exit.REFUSED: "the task breaks the contract: field and limit are named",
    Exit.UNAVAILABLE: "no server, no coordinator or no verifier answers",
    Exit.TIMEOUT: "`--timeout` ran out; the task goes on, and `ambient result` will find it",
    Exit.FULL: "the cluster or a log is full and nothing was stored: submit again when the message says",
    Exit.INTERNAL: "a fault of ours: please report it with the log",
}

NODE = {
    0: "drained: it finished or handed back what it had, and every claim is durable",
    1: "a fault of ours, or of the machine",
    2: "a setting is not right; field and limit are named",
    3: "the coordinator refuses this node for good, as its name belongs to another key",
    4: "cut short by a second signal or the end of `--drain-s`: what was not sent waits in the outbox for the next start",
    5: "another node works in the same data folder",
    6: "guests cannot be run on this machine as it is set up",
}
"""The codes of the process `ambient node`, which are its own from 3 on: for who starts it again, or should not."""


def in_short() -> str:
    """All codes on one line each, for `--help`."""
    return "Exit codes: " + ", ".join(f"{code.value} {code.word}" for code in Exit)


def explained() -> Iterator[tuple[int, str]]:
    """Every code with its meaning, by number."""
    yield from ((code.value, _MEANT[code]) for code in Exit)
    yield INTERRUPTED, "interrupted by ctrl-C"
