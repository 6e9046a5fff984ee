"""The catalogue: every metric there is, with its meaning.

Rules: the prefix `ambient_`, base units (seconds, bytes, joules) in the name, `_total` for what only grows; labels have few
values, and never an id of a task, node or client: each value of a label is a series that somebody stores for ever.
"""

from typing import Literal, NamedTuple

__all__ = ["CATALOGUE", "Metric"]


class Metric(NamedTuple):
    """One metric; `labels` in the order in which they are told."""

    name: str
    kind: Literal["gauge", "counter"]
    labels: tuple[str, ...]
    says: str


_ROWS = (
    Metric(
        "ambient_leading", "gauge", ("service",),
        "1 where this process leads its service, 0 where it stands by.",
    ),
    Metric(
        "ambient_leadership_epoch", "gauge", ("service",),
        "The newest leadership that this process has read in the log that its service writes.",
    ),
    Metric(
        "ambient_leader_changes_total", "counter", ("service",),
        "How often this process began to lead; the sum over all processes is how often the leader changed.",
    ),
    Metric(
        "ambient_fence_refusals_total", "counter", ("service",),
        "Terms of this process that ended because the log refused it: another one had written.",
    ),
    Metric(
        "ambient_folded_sequence", "gauge", ("service", "log"),
        "The last entry of a log that this process has folded.",
    ),
    Metric(
        "ambient_fold_lag_entries", "gauge", ("service", "log"),
        "Entries that a log holds beyond the last one folded; left out where the server does not say so within a second.",
    ),
    Metric(
        "ambient_open_tasks", "gauge", ("service",),
        "Tasks without a verdict, as far as this process has read.",
    ),
    Metric(
        "ambient_anchor_publications", "gauge", ("status",),
        "Publications on Bitcoin that are still followed, by how far they are.",
    ),
    Metric(
        "ambient_anchor_lag_seconds", "gauge", (),
        "How long ago the oldest publication was begun that is not final; 0 where there is none.",
    ),
    Metric(
        "ambient_anchor_unpublished_entries", "gauge", (),
        "Entries of the log that are signed and in no final publication yet.",
    ),
    Metric(
        "ambient_anchor_fees_paid_satoshis_total", "counter", (),
        "What the final publications cost.",
    ),
    Metric(
        "ambient_anchor_held", "gauge", (),
        "What keeps publications from going on (a cap, an empty wallet, a node that cannot be used): 0 where nothing does.",
    ),
    Metric(
        "ambient_gateway_requests_total", "counter", ("status",),
        "Requests that a gateway answered, by class of status (2xx to 5xx).",
    ),
    Metric(
        "ambient_gateway_refused_tokens_total", "counter", (),
        "Requests with a token that is not known.",
    ),
    Metric(
        "ambient_gateway_event_streams", "gauge", (),
        "Event streams that are open at a gateway.",
    ),
)  # fmt: skip

CATALOGUE = {metric.name: metric for metric in _ROWS}
"""All metrics by name."""
