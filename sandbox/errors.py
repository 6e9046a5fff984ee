"""What the sandbox refuses, split by who can mend it.

A guest's own failure while running is never an exception: it is an `Outcome`. The classes here are for what is
found before a guest runs (`UnfitModule`), for the machine's owner (`UnsafeStore`), and for callers.
"""

from sandbox.job import Reason


class SandboxError(Exception):
    """Base of everything that this package raises on purpose."""


class UnfitModule(SandboxError):
    """The module cannot be run here; its author has to change it.

    `field` names what is wrong in the terms of a task (`module`, `entry`, `args`, `input`, `limits.…`); `reason` is
    that of the outcome, should such a job be run all the same.
    """

    def __init__(self, field: str, message: str, reason: Reason = "invalid") -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
        self.reason: Reason = reason


class MalformedModule(UnfitModule):
    """The bytes are not a WebAssembly module that this reader understands."""

    def __init__(self, message: str) -> None:
        super().__init__("module", message)


class DigestMismatch(SandboxError):
    """Bytes were offered under a digest that is not theirs; whoever sent them is wrong or lying."""


class UnknownModule(SandboxError):
    """The store does not hold a module of this digest; add it first."""


class UnsafeStore(SandboxError):
    """The store's folder can be changed by somebody else; the machine's owner has to mend that."""


class UnsafeArtefact(SandboxError):
    """A compiled artefact is missing, damaged, or not of our making; it must be compiled again."""


class CompilerFailed(SandboxError):
    """Compilation ended for reasons of this machine: over its time, over its memory, or killed."""


class PoolBroken(SandboxError):
    """No slot can be started; the message carries what the child said or how it ended."""
