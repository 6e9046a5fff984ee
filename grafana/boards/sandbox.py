"""Guests and what running them costs."""

from grafana.panel import Board, Limit, Panel, Query, Row, quantiles

__all__ = ["BOARD"]

_GUESTS = Row("Guests", (
    Panel(
        "Wall time of a guest", "s",
        "Quantiles over all scraped nodes, instantiation included. A rise with the same work means machines that share their cores with something else: see the processors.",
        quantiles("ambient_sandbox_guest_seconds"),
    ),
    Panel(
        "Wall time by node, 95 of 100", "s",
        "The same for each node. One far above the others is slow or overloaded: give it fewer slots, or none.",
        quantiles("ambient_sandbox_guest_seconds", "instance", of=(0.95,)),
    ),
    Panel(
        "Memory of a guest", "bytes",
        "Linear memory that guests came to. Near the limit of the tasks (512 MiB unless they say otherwise) guests will fail with `memory`: raise `limits.memory_mb` or tell the author.",
        quantiles("ambient_sandbox_peak_memory_bytes"),
    ),
    Panel(
        "Instructions", "ops",
        "Fuel used a second by each node. For the same module, it is the measure of how fast a machine is.",
        (Query("sum by (instance) (rate(ambient_sandbox_fuel_total{@}[$__rate_interval]))", "{{instance}}"),),
    ),
    Panel(
        "How attempts ended", "ops",
        "By status and the sandbox's reason. `failed` is the guest's own end. `fault` is the machine's: `wall` (too slow), `crash` (a slot died), `unavailable` (a module or a spec that cannot be had).",
        (Query("sum by (status, reason) (rate(ambient_node_attempts_total{@}[$__rate_interval]))", "{{status}} {{reason}}"),), "stack",
    ),
    Panel(
        "Instructions accepted", "ops",
        "Fuel of accepted results, each task counted once: what was asked for and delivered. Divide the panel Instructions by it to see what verification multiplies.",
        (Query("sum(rate(ambient_verified_fuel_total{@}[$__rate_interval]))", "accepted"),),
    ),
))  # fmt: skip

_COST = Row("What it costs beside", (
    Panel(
        "Overhead", "percentunit",
        "Part of the time for which slots had work that was not a guest's wall time. For guests of less than a millisecond it is large by nature; when it rises with the same work, the node's own process lacks processor: fewer slots.",
        (
            Query(
                "1 - sum by (instance) (rate(ambient_sandbox_guest_seconds_sum{@}[$__rate_interval])) / "
                "(sum by (instance) (rate(ambient_sandbox_busy_seconds_total{@}[$__rate_interval])) > 0)",
                "{{instance}}",
            ),
        ), "lines", Limit(0.5, 0.8),
    ),
    Panel(
        "Slots at work", "short",
        "Slots that had work, on average over the interval. Compare with the slots that the node offers.",
        (Query("sum by (instance) (rate(ambient_sandbox_busy_seconds_total{@}[$__rate_interval]))", "{{instance}}"),),
    ),
    Panel(
        "Slots lost", "short",
        "Slot processes that died or were killed, and replaced. Each cost one attempt, which goes elsewhere. A steady rate is a module that crashes the engine or resists interruption: find it in the node's log, and report it.",
        (Query("sum by (instance) (increase(ambient_sandbox_slot_losses_total{@}[$__rate_interval]))", "{{instance}}"),), "steps", Limit(1, 5),
    ),
    Panel(
        "Compiling", "percentunit",
        "Share of one core that compiling modules takes. A module is compiled once on a node: where this stays up, every task brings a module of its own.",
        (Query("sum by (instance) (rate(ambient_sandbox_compile_seconds_total{@}[$__rate_interval]))", "{{instance}}"),),
    ),
))  # fmt: skip

BOARD = Board(
    "ambient-sandbox", "Ambient: Sandbox",
    "How long guests run, how they end, and what running them costs beside.",
    (_GUESTS, _COST),
)  # fmt: skip
