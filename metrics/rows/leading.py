"""Of every service of which one leads, and of the logs that they meet at."""

from metrics.metric import Metric

__all__ = ["ROWS"]

ROWS = (
    Metric(
        "ambient_build_info", "gauge", ("service", "version"),
        "1, with what this process is and of which version.",
    ),
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
        "ambient_log_bytes", "gauge", ("log",),
        "What a log (or the blobs, or the checkpoints) takes on the servers' disks, one replica of it.",
    ),
    Metric(
        "ambient_log_max_bytes", "gauge", ("log",),
        "Where it refuses what comes: a full log takes nothing more, and drops nothing.",
    ),
    Metric(
        "ambient_log_last_sequence", "gauge", ("log",),
        "The number of its newest entry.",
    ),
    Metric(
        "ambient_log_first_sequence", "gauge", ("log",),
        "The number of its oldest entry that is kept, one beyond the newest where it is empty.",
    ),
)  # fmt: skip
