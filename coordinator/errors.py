"""Every error that `coordinator` raises; those of the bus pass through it unchanged.

Only configuration can be at fault: what clients and nodes do wrong is answered on the bus, not raised.
"""

__all__ = ["CoordinatorError", "UnknownStrategy"]


class CoordinatorError(Exception):
    """The base of all errors of this package."""


class UnknownStrategy(CoordinatorError):
    """The configuration names a scheduling strategy that does not exist; the message names those that do."""
