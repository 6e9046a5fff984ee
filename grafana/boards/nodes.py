"""The nodes: all of them as the coordinator sees them, then each as it sees itself."""

from grafana.panel import Board, Limit, Panel, Query, Row

__all__ = ["BOARD"]

_ALL = Row("All nodes", (
    Panel(
        "Nodes by state", "short",
        "As the leading coordinator sees them. `suspect` and `dead` fell silent: see their machines and links. `safe` ones protect themselves: see their breakers below.",
        (Query("sum by (state) (ambient_nodes{@})", "{{state}}"),), "stack",
    ),
    Panel(
        "Nodes that went", "short",
        "Nodes that died or left in the interval. Many at once are a network or a site; their tasks are given to others by themselves.",
        (Query("sum by (state) (increase(ambient_node_losses_total{@}[$__rate_interval]))", "{{state}}"),), "steps",
    ),
    Panel(
        "Health of nodes", "percentunit",
        "Quantiles of the health score over the nodes that are there. When the lower ones fall, `ambient nodes` shows the terms of each score: bandwidth, latency, load, reputation.",
        (
            Query("histogram_quantile(0.1, sum by (le) (ambient_nodes_health_bucket{@}))", "p10"),
            Query("histogram_quantile(0.5, sum by (le) (ambient_nodes_health_bucket{@}))", "p50"),
            Query("histogram_quantile(0.9, sum by (le) (ambient_nodes_health_bucket{@}))", "p90"),
        ), "lines", Limit(0.5, 0.3, falling=True),
    ),
    Panel(
        "Slots in use", "percentunit",
        "Share of the healthy nodes' slots that have work. At 100 % for long, tasks wait: add nodes or slots. Low while tasks wait: they ask for what few nodes have.",
        (Query('sum(ambient_slots{@, state="busy"}) / sum(ambient_slots{@, state="offered"})', "busy"),), "lines", Limit(0.9, 1.0),
    ),
    Panel(
        "Attempts lost", "ops",
        "Attempts that were given up because their node died, left, drained or let them lie. A steady rate without dead nodes points at nodes whose bus comes and goes.",
        (Query("sum(rate(ambient_lost_attempts_total{@}[$__rate_interval]))", "lost"),),
    ),
    Panel(
        "Safe mode by reason", "short",
        "Nodes that protect themselves, as they tell the coordinator, scraped or not. `temperature`: cool them; `latency`: their link; `errors`: their logs; `means`: a disk or a log without room.",
        (Query("sum by (reason) (ambient_nodes_safe{@})", "{{reason}}"),), "stack",
    ),
    Panel(
        "Draining", "short",
        "Nodes that take no work because they end or an operator wants it so. One that stays here is forgotten: `ambient node undrain NAME`.",
        (Query("sum(ambient_node_draining{@})", "draining"),), "steps",
    ),
))  # fmt: skip

_EACH = Row("Each node that is scraped", (
    Panel(
        "Breakers that are open", "short",
        "Nodes in safe mode by reason. `temperature`: cool it. `latency`: its link. `errors`: 25 faults of its own in a row, see its log. `means`: a disk or a log without room.",
        (Query("sum by (reason) (ambient_node_safe_mode{@})", "{{reason}}"),), "stack", Limit(1, 3),
    ),
    Panel(
        "Breakers that tripped", "short",
        "Openings in the interval by reason. The same node again and again is at a limit: take it out until the reason is gone.",
        (Query("sum by (reason) (increase(ambient_node_breaker_trips_total{@}[$__rate_interval]))", "{{reason}}"),), "steps",
    ),
    Panel(
        "Round trip to the bus", "s",
        "Moving average of each node's quickest pings. From 100 ms on a node takes no work; look at its uplink, or give its site a leaf node.",
        (Query("max by (instance) (ambient_node_latency_seconds{@})", "{{instance}}"),), "lines", Limit(0.07, 0.1),
    ),
    Panel(
        "Attempts held", "short",
        "Attempts that each node has and has not answered. One that holds many while others have none is slow: compare guest times.",
        (Query("sum by (instance) (ambient_node_open_attempts{@})", "{{instance}}"),),
    ),
    Panel(
        "Claims not in the log yet", "short",
        "Results that wait in each node's outbox. They rise while the bus is away and go out once; where they stay, RESULTS refuses: see how full the logs are.",
        (Query("sum by (instance) (ambient_node_outbox_claims{@})", "{{instance}}"),), "lines", Limit(1000, 10_000),
    ),
    Panel(
        "Temperature", "celsius",
        "The hottest sensor of each machine that shows one. Above 85 °C it takes no work until it is below 75 °C: cool it, or give it fewer slots.",
        (Query("max by (instance) (ambient_node_temperature_celsius{@})", "{{instance}}"),), "lines", Limit(75, 85),
    ),
    Panel(
        "Battery", "percentunit",
        "Charge of the machines that have one. A node that runs down leaves without a goodbye: drain it before.",
        (Query("min by (instance) (ambient_node_battery_ratio{@})", "{{instance}}"),), "lines", Limit(0.3, 0.15, falling=True),
    ),
    Panel(
        "Slots of each node", "short",
        "Guests that each node runs at a time, as it was set up. With more slots than cores guests share cores and run over their wall time.",
        (Query("sum by (instance) (ambient_node_slots{@})", "{{instance}}"),), "steps",
    ),
))  # fmt: skip

BOARD = Board(
    "ambient-nodes", "Ambient: Nodes",
    "How many nodes there are, how they are, and what keeps them from working.",
    (_ALL, _EACH),
)  # fmt: skip
