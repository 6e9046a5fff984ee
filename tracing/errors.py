"""What may go wrong with traces."""

__all__ = ["CollectorUnusable", "TracingError"]


class TracingError(Exception):
    """Base of all errors of this package."""


class CollectorUnusable(TracingError):
    """The operator named a place that is none: the message says what one looks like."""
