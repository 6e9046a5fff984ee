"""Every error that `metrics` raises, split by who is at fault: who writes the code, or who chose the port."""

__all__ = ["AddressTaken", "MetricsError", "NotInCatalogue"]


class MetricsError(Exception):
    """The base of all errors of this package."""


class NotInCatalogue(MetricsError):
    """A source says a metric, or labels of one, that the catalogue does not have: add the row first."""


class AddressTaken(MetricsError):
    """The page cannot be served at the host and port that were asked for."""
