"""Joules: of machines, of tasks, and what an accepted answer took."""

from grafana.panel import Board, Panel, Query, Row

__all__ = ["BOARD"]

_MACHINES = Row("Machines", (
    Panel(
        "Power of each node", "watt",
        "By the processor's counters, or by the declared model where these cannot be read: the panel beside says which. A node above its kind is worth a look at what else runs there.",
        (Query("sum by (instance) (rate(ambient_node_energy_joules_total{@}[$__rate_interval]))", "{{instance}}"),),
    ),
    Panel(
        "Power by how it is known", "watt",
        "`measured` is believed more than `estimated`. Where a machine has counters and is estimated, let the node read /sys/class/powercap.",
        (Query("sum by (method) (rate(ambient_node_energy_joules_total{@}[$__rate_interval]))", "{{method}}"),), "stack",
    ),
    Panel(
        "Charged to tasks", "percentunit",
        "Part of the machines' energy that was charged to tasks. The rest is idle: where it is most of it, fewer machines would do.",
        (
            Query(
                "sum(rate(ambient_node_charged_joules_total{@}[$__rate_interval])) / "
                "sum(rate(ambient_node_energy_joules_total{@}[$__rate_interval]))",
                "charged",
            ),
        ),
    ),
))  # fmt: skip

_ANSWERS = Row("Answers", (
    Panel(
        "Energy of accepted results", "watt",
        "Joules a second of the results that verdicts counted, of all nodes that took part, by how they are known. Compare with the power of the nodes.",
        (Query("sum by (method) (rate(ambient_verified_energy_joules_total{@}[$__rate_interval]))", "{{method}}"),), "stack",
    ),
    Panel(
        "Energy of one answer", "joule",
        "Joules per verified task, all its replicas together. When it rises with the same work, machines have become less busy or less efficient; a quorum of three costs three times one node.",
        (
            Query(
                "sum(rate(ambient_verified_energy_joules_total{@}[$__rate_interval])) / "
                '(sum(rate(ambient_verdicts_total{@, status="verified"}[$__rate_interval])) > 0)',
                "a task",
            ),
        ),
    ),
    Panel(
        "Energy of a billion instructions", "joule",
        "Joules per 10^9 accepted instructions: the figure to compare kinds of machines, and clusters, by. Move work to where it is low.",
        (
            Query(
                "sum(rate(ambient_verified_energy_joules_total{@}[$__rate_interval])) / "
                "(sum(rate(ambient_verified_fuel_total{@}[$__rate_interval])) > 0) * 1e9",
                "10^9 instructions",
            ),
        ),
    ),
))  # fmt: skip

BOARD = Board(
    "ambient-energy", "Ambient: Energy",
    "What machines draw, what of it tasks are charged, and what an answer costs.",
    (_MACHINES, _ANSWERS),
)  # fmt: skip
