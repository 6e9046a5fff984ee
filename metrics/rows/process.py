"""Of any process, its machine, and the NATS servers."""

from metrics.metric import Metric

__all__ = ["ROWS"]

ROWS = (
    Metric(
        "ambient_page_failed_sources", "gauge", (),
        "Sources of this page that failed, so that it holds less than it should: the process' log says which. It should be 0.",
    ),
    Metric(
        "ambient_process_cpu_seconds_total", "counter", ("service",),
        "Processor time of this process, its children left out.",
    ),
    Metric(
        "ambient_process_resident_memory_bytes", "gauge", ("service",),
        "Memory of this process that is in RAM.",
    ),
    Metric(
        "ambient_process_open_fds", "gauge", ("service",),
        "Open file descriptors.",
    ),
    Metric(
        "ambient_process_max_fds", "gauge", ("service",),
        "Most that it may open.",
    ),
    Metric(
        "ambient_process_start_time_seconds", "gauge", ("service",),
        "When it started, in seconds since 1970.",
    ),
    Metric(
        "ambient_supervised_processes", "gauge", ("role", "state"),
        "Processes of a local cluster that `ambient up` keeps, `running` or `down` until it has started them again.",
    ),
    Metric(
        "ambient_supervised_restarts_total", "counter", ("role",),
        "How often `ambient up` started a process again that had ended by itself.",
    ),
    Metric(
        "ambient_disk_free_bytes", "gauge", ("service",),
        "Room left for this process on the file system of its data folder.",
    ),
    Metric(
        "ambient_disk_size_bytes", "gauge", ("service",),
        "Size of that file system.",
    ),
    Metric(
        "ambient_nats_up", "gauge", ("server",),
        "1 where the server's monitor answered a coordinator that was told of it (`--monitor`), 0 where not within a second.",
    ),
    Metric(
        "ambient_nats_connections", "gauge", ("server",),
        "Clients that are connected.",
    ),
    Metric(
        "ambient_nats_slow_consumers_total", "counter", ("server",),
        "Clients that the server cut off because they did not read fast enough.",
    ),
    Metric(
        "ambient_nats_messages_total", "counter", ("server", "direction"),
        "Messages `in` from clients and `out` to them.",
    ),
    Metric(
        "ambient_nats_bytes_total", "counter", ("server", "direction"),
        "Bytes `in` from clients and `out` to them.",
    ),
    Metric(
        "ambient_nats_resident_memory_bytes", "gauge", ("server",),
        "Memory of the server that is in RAM.",
    ),
    Metric(
        "ambient_nats_jetstream_stored_bytes", "gauge", ("server",),
        "What its streams take on disk.",
    ),
    Metric(
        "ambient_nats_jetstream_max_bytes", "gauge", ("server",),
        "What they may take in all.",
    ),
    Metric(
        "ambient_nats_jetstream_errors_total", "counter", ("server",),
        "Questions to JetStream's API that it answered with an error; streams that are there already count, too.",
    ),
)  # fmt: skip
