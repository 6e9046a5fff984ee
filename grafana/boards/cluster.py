"""Is it up, who leads, does it keep up: the first board that a person opens."""

from grafana.panel import Board, Limit, Panel, Query, Row, quantiles

__all__ = ["BOARD"]

_HEALTH = Row("At a glance", (
    Panel(
        "Leaders", "short",
        "How many processes lead each service. It must be 1. At 0 for more than a few seconds nothing is decided: see that a process of that "
        "service runs (`ambient doctor`); at 2 for longer than a moment, restart the one that does not write.",
        (Query("sum by (service) (ambient_leading{@})", "{{service}}"),), "number", Limit(1, 1, falling=True), 6,
    ),
    Panel(
        "Processes that do not answer", "short",
        "Targets whose page Prometheus could not read, and pages that hold less than they should. Look at the log of the process; `ambient up` starts again what dies.",
        (
            Query("count(up{@} == 0) or vector(0)", "down"),
            Query("count(ambient_page_failed_sources{@} > 0) or vector(0)", "incomplete"),
        ), "number", Limit(1, 2), 6,
    ),
    Panel(
        "Nodes that take work", "short",
        "Healthy nodes, as the leading coordinator sees them. When it falls, the board Nodes says why.",
        (Query('sum(ambient_nodes{@, state="healthy"})', "healthy"),), "number", Limit(2, 1, falling=True), 6,
    ),
    Panel(
        "Open tasks", "short",
        "Tasks without a verdict. When it only grows, nodes are too few for what is asked: add some, or see Tasks and verdicts for what fails.",
        (Query('max(ambient_open_tasks{@, service="coordinator"})', "open"),), "number", Limit(50_000, 150_000), 6,
    ),
))  # fmt: skip

_WORK = Row("Work", (
    Panel(
        "Tasks a second", "ops",
        "Submissions read, and verdicts written. Where verdicts stay below for long, work piles up: look at waiting tasks and at the nodes.",
        (
            Query("sum(rate(ambient_tasks_read_total{@}[$__rate_interval]))", "asked"),
            Query("sum(rate(ambient_verdicts_total{@}[$__rate_interval]))", "accepted"),
        ), width=12,
    ),
    Panel(
        "From submitted to verdict", "s",
        "Whole time of a task, by the servers' clock. When it rises while few tasks wait, look at the stages on the board Tasks and verdicts to find the slow part.",
        quantiles("ambient_task_seconds"), width=12,
    ),
))  # fmt: skip

_LEADING = Row("Leading and folding", (
    Panel(
        "Changes of leader", "short",
        "Leaderships begun in the interval. More than one or two an hour means that leases are lost: a machine that is too busy, or a bus that comes and goes.",
        (Query("sum by (service) (increase(ambient_leader_changes_total{@}[$__rate_interval]))", "{{service}}"),), "steps",
    ),
    Panel(
        "Writes refused by the fence", "short",
        "Terms that ended because another one had written. One at a takeover is as it should be; many mean two processes that both believe they lead: check the clocks and pauses of their machines.",
        (Query("sum by (service) (increase(ambient_fence_refusals_total{@}[$__rate_interval]))", "{{service}}"),), "steps",
    ),
    Panel(
        "Entries not folded yet", "short",
        "How far each service is behind the logs that it reads. What only grows cannot keep up: give it a faster core, or find what it logs.",
        (Query("max by (service, log) (ambient_fold_lag_entries{@})", "{{service}} reads {{log}}"),), "lines", Limit(1000, 10_000),
    ),
))  # fmt: skip

_LOGS = Row("Logs and disks", (
    Panel(
        "Logs against their limits", "percentunit",
        "How full each log is. A full log refuses what comes and drops nothing. Above 70 % the coordinator cuts earlier; above 90 % raise `max_bytes` or find out which service's checkpoint holds the cut up.",
        (Query("max by (log) (ambient_log_bytes{@}) / max by (log) (ambient_log_max_bytes{@})", "{{log}}"),), "lines", Limit(0.7, 0.9),
    ),
    Panel(
        "Entries written a second", "wps",
        "New entries of each log; one entry holds many tasks under load. A log that stands still while the one to its left moves is a service that does not work.",
        (Query("max by (log) (deriv(ambient_log_last_sequence{@}[$__rate_interval]))", "{{log}}"),),
    ),
    Panel(
        "Room on disks", "percentunit",
        "Free part of the file system of each process' data. Below 10 % free some: nodes stop taking work, and servers refuse writes, before anything is lost.",
        (Query("min by (instance) (ambient_disk_free_bytes{@} / ambient_disk_size_bytes{@})", "{{instance}}"),), "lines", Limit(0.2, 0.1, falling=True),
    ),
))  # fmt: skip

_PROCESSES = Row("Processes", (
    Panel(
        "Processor", "percentunit",
        "Share of one core that each process uses. A coordinator near 100 % is at the end of what one cell bears: split the load over more cells.",
        (Query("sum by (instance) (rate(ambient_process_cpu_seconds_total{@}[$__rate_interval]))", "{{instance}}"),), "lines", Limit(0.8, 0.95),
    ),
    Panel(
        "Memory", "bytes",
        "Resident memory of each process. It follows the number of open tasks; what grows with nothing open is worth a report.",
        (Query("sum by (instance) (ambient_process_resident_memory_bytes{@})", "{{instance}}"),),
    ),
    Panel(
        "Open files", "percentunit",
        "Share of the file descriptors that a process may open. Above 80 % raise its limit (`ulimit -n`, `LimitNOFILE`).",
        (Query("max by (instance) (ambient_process_open_fds{@} / ambient_process_max_fds{@})", "{{instance}}"),), "lines", Limit(0.8, 0.95),
    ),
    Panel(
        "Processes that ambient up keeps", "short",
        "Of a local cluster, by role. Those that are down are started again within ten seconds; the log in its `logs` folder says why one ended.",
        (Query("sum by (role, state) (ambient_supervised_processes{@})", "{{role}} {{state}}"),), "stack", width=12,
    ),
    Panel(
        "Restarts by ambient up", "short",
        "Of a local cluster: processes that ended by themselves and were started again. The same role again and again does not get better by restarting: read its log.",
        (Query("sum by (role) (increase(ambient_supervised_restarts_total{@}[$__rate_interval]))", "{{role}}"),), "steps", Limit(1, 3), 12,
    ),
))  # fmt: skip

_GATEWAY = Row("Gateways", (
    Panel(
        "Requests", "reqps",
        "Answers by class of status. `4xx` are callers' mistakes and limits, told with their reason; `5xx` are ours: see the gateway's log and whether the services that it asks lead.",
        (Query("sum by (status) (rate(ambient_gateway_requests_total{@}[$__rate_interval]))", "{{status}}"),), "stack",
    ),
    Panel(
        "Refused tokens", "short",
        "Requests with a token that is none or may not do what was asked. A burst is somebody who tries: look where they come from, and who lost a token (`ambient token`).",
        (Query("sum(increase(ambient_gateway_refused_tokens_total{@}[$__rate_interval]))", "refused"),), "steps", Limit(10, 100),
    ),
    Panel(
        "Event streams", "short",
        "Clients that watch events. Each costs the gateway some memory and every event a write: many of them want a second gateway.",
        (Query("sum by (instance) (ambient_gateway_event_streams{@})", "{{instance}}"),),
    ),
))  # fmt: skip

_NATS = Row("NATS servers", (
    Panel(
        "Servers that answer", "short",
        "1 for each server whose monitor answers a coordinator. Of three, one may be away: bring it back before a second one goes.",
        (Query("max by (server) (ambient_nats_up{@})", "{{server}}"),), "steps", Limit(1, 1, falling=True), 6,
    ),
    Panel(
        "Connections", "short",
        "Clients of each server: every process has one, every SDK one more. A sudden fall is a network that broke; a steady rise is a client that opens a connection for each task.",
        (Query("max by (server) (ambient_nats_connections{@})", "{{server}}"),), width=6,
    ),
    Panel(
        "Messages", "mps",
        "Messages from and to clients. What goes out at many times of what comes in is read by many: look for clients that listen to all of telemetry.",
        (Query("max by (server, direction) (rate(ambient_nats_messages_total{@}[$__rate_interval]))", "{{server}} {{direction}}"),), width=6,
    ),
    Panel(
        "Bytes", "Bps",
        "Bytes from and to clients. Near the line rate of the machine inputs and outputs should become smaller, or servers more.",
        (Query("max by (server, direction) (rate(ambient_nats_bytes_total{@}[$__rate_interval]))", "{{server}} {{direction}}"),), width=6,
    ),
    Panel(
        "Clients cut off for being slow", "short",
        "Connections that a server closed because they did not read fast enough. Each reconnects and reads on, but a process that appears here again and again is starved of processor.",
        (Query("max by (server) (increase(ambient_nats_slow_consumers_total{@}[$__rate_interval]))", "{{server}}"),), "steps", width=6,
    ),
    Panel(
        "Stored by JetStream", "percentunit",
        "What streams take of what they may take in all. Above 80 % give JetStream more disk, or streams less: a server without room refuses every write.",
        (Query("max by (server) (ambient_nats_jetstream_stored_bytes{@}) / max by (server) (ambient_nats_jetstream_max_bytes{@})", "{{server}}"),), "lines", Limit(0.8, 0.9), 6,
    ),
    Panel(
        "Memory of servers", "bytes",
        "Resident memory. It rises with connections and with what waits for slow clients; compare with the two panels for these.",
        (Query("max by (server) (ambient_nats_resident_memory_bytes{@})", "{{server}}"),), width=6,
    ),
    Panel(
        "Errors of JetStream's API", "short",
        "Questions that were answered with an error. Some at every start are streams that are there already; a steady rate is a process that asks for what it may not have: see the server's log.",
        (Query("max by (server) (increase(ambient_nats_jetstream_errors_total{@}[$__rate_interval]))", "{{server}}"),), "steps", width=6,
    ),
))  # fmt: skip

BOARD = Board(
    "ambient-cluster", "Ambient: Cluster",
    "Whether the cluster is up, who leads, and whether every part keeps up.",
    (_HEALTH, _WORK, _LEADING, _LOGS, _PROCESSES, _GATEWAY, _NATS),
)  # fmt: skip
