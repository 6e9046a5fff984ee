"""What the tracer's log says of each task whose spans it hands to the exporter, where that is asked for (`bus.steps`)."""

from bus.steps import STEPS
from tracing.spans import Span

__all__ = ["tell"]


def tell(span: Span) -> None:
    """One line for a task's own span; none for those in it."""
    if not span.parent:
        task, path = str(span.attributes["ambient.task"]), str(span.attributes["ambient.path"])
        STEPS.tell("traced", task, path, status=span.attributes["ambient.status"])
