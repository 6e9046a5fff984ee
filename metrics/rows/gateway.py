"""Of the gateway: what it answers, and to how many."""

from metrics.metric import Metric

__all__ = ["ROWS"]

ROWS = (
    Metric(
        "ambient_gateway_requests_total", "counter", ("status",),
        "Requests that were answered, by class of status (2xx to 5xx).",
    ),
    Metric(
        "ambient_gateway_refused_tokens_total", "counter", (),
        "Requests with a token that is not known.",
    ),
    Metric(
        "ambient_gateway_event_streams", "gauge", (),
        "Event streams that are open.",
    ),
    Metric(
        "ambient_gateway_tasks", "gauge", (),
        "Tasks that this gateway remembers; of older ones it reads in the logs.",
    ),
)  # fmt: skip
