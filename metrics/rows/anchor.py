"""Of the anchor: the log of verdicts, the ledger, and what is published on Bitcoin."""

from metrics.metric import Metric

__all__ = ["ROWS"]

ROWS = (
    Metric(
        "ambient_anchor_entries", "gauge", ("state",),
        "Verdicts in the transparency log: `kept` ones, and those under a signed state (`signed`).",
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
        "ambient_ledger_epoch", "gauge", (),
        "The newest sealed state of the ledger.",
    ),
    Metric(
        "ambient_ledger_accounts", "gauge", (),
        "Accounts that anything was ever paid to or from.",
    ),
    Metric(
        "ambient_ledger_credited_satoshis", "gauge", (),
        "All that operators ordered to be credited.",
    ),
    Metric(
        "ambient_ledger_burned_satoshis", "gauge", (),
        "All that operators ordered to be burned.",
    ),
    Metric(
        "ambient_ledger_contradictions", "gauge", (),
        "Sealed states that this fold came to other roots for: anything but 0 means that one of two folds is wrong.",
    ),
)  # fmt: skip
