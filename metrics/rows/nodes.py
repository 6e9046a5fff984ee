"""Of nodes: all of them as the coordinator sees them, and each as it sees itself."""

from metrics.metric import GUEST_S, MEMORY_BYTES, Metric

__all__ = ["ROWS"]

ROWS = (
    Metric(
        "ambient_nodes", "gauge", ("state",),
        "Nodes that ever enrolled, by state.",
    ),
    Metric(
        "ambient_node_losses_total", "counter", ("state",),
        "Nodes that went while this coordinator led: `dead` ones fell silent, those that `left` said goodbye.",
    ),
    Metric(
        "ambient_nodes_safe", "gauge", ("reason",),
        "Nodes in safe mode by what they say is the reason, also those that nobody scrapes; one may have several.",
    ),
    Metric(
        "ambient_nodes_health_bucket", "gauge", ("le",),
        "Nodes present (healthy, safe, draining) whose health score is at most `le`, at this moment.",
    ),
    Metric(
        "ambient_slots", "gauge", ("state",),
        "Slots of the healthy nodes: `offered`, and `busy` ones, at most as many.",
    ),
    Metric(
        "ambient_node_safe_mode", "gauge", ("reason",),
        "1 where this breaker is open and the node takes no work: `temperature`, `latency`, `errors`, `means` (a disk or log without room).",
    ),
    Metric(
        "ambient_node_breaker_trips_total", "counter", ("reason",),
        "How often a breaker of this node opened.",
    ),
    Metric(
        "ambient_node_draining", "gauge", (),
        "1 where the node takes no work because it ends, or its operator wants it so.",
    ),
    Metric(
        "ambient_node_slots", "gauge", (),
        "Guests that it runs at a time.",
    ),
    Metric(
        "ambient_node_open_attempts", "gauge", (),
        "Attempts that it holds and has not answered.",
    ),
    Metric(
        "ambient_node_outbox_claims", "gauge", (),
        "Claims that are not in RESULTS yet; more than a moment's worth means that the bus is away or refuses.",
    ),
    Metric(
        "ambient_node_attempts_total", "counter", ("status", "reason"),
        "Attempts that it answered: `ok`, `failed` (the guest's own end) or `fault` (this machine's), with the sandbox's reason.",
    ),
    Metric(
        "ambient_node_latency_seconds", "gauge", (),
        "Round trip to the bus, moving average of the quickest pings; left out before the first one.",
    ),
    Metric(
        "ambient_node_temperature_celsius", "gauge", (),
        "The hottest sensor; left out where the machine shows none.",
    ),
    Metric(
        "ambient_node_battery_ratio", "gauge", (),
        "Charge, 0 to 1; left out where there is no battery.",
    ),
    Metric(
        "ambient_node_energy_joules_total", "counter", ("method",),
        "Energy of the machine since the node started: `measured` by the processor's counters or `estimated` by a model.",
    ),
    Metric(
        "ambient_node_charged_joules_total", "counter", (),
        "What of it was charged to tasks.",
    ),
    Metric(
        "ambient_sandbox_guest_seconds", "histogram", (),
        "Wall time of one guest, its instantiation included.",
        GUEST_S,
    ),
    Metric(
        "ambient_sandbox_peak_memory_bytes", "histogram", (),
        "Linear memory that one guest came to.",
        MEMORY_BYTES,
    ),
    Metric(
        "ambient_sandbox_fuel_total", "counter", (),
        "Instructions that guests executed.",
    ),
    Metric(
        "ambient_sandbox_busy_seconds_total", "counter", (),
        "Time for which slots had work, over all slots: what exceeds the guests' wall time is overhead.",
    ),
    Metric(
        "ambient_sandbox_slot_losses_total", "counter", (),
        "Slots whose process died or was killed, and was replaced.",
    ),
    Metric(
        "ambient_sandbox_compile_seconds_total", "counter", (),
        "Processor time of compiling modules; each module is compiled once on a node.",
    ),
)  # fmt: skip
