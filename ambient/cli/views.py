"""How nodes, services and tasks are drawn: within 80 columns where names are short, and never with a figure cut off."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from ambient import ClusterHealth
from ambient.cli.output import table
from ambient.rates import NodeRate, Rates
from bus.messages import NodeReason, NodeView, TaskView

__all__ = [
    "BY",
    "bars",
    "dashboard",
    "nodes_table",
    "rate_line",
    "reasons_table",
    "service_lines",
    "tasks_table",
    "top_table",
]

_STYLE = {
    "healthy": "green",
    "safe": "yellow",
    "draining": "yellow",
    "suspect": "red",
    "dead": "red",
    "left": "dim",
}
_KILO = 1000.0
_BARS = " ▁▂▃▄▅▆▇█"
_BARS_SHOWN = 30
_EVERYONE_ELSE = "*"


def nodes_table(found: Iterable[NodeView]) -> Group:
    """A row per node; below it how the energy was obtained, and why who is in safe mode is there."""
    nodes = sorted(found, key=lambda node: node.node)
    columns = (
        "node",
        "state",
        "score ",
        "slots ",
        "idle ",
        "ping ",
        "agreed ",
        "dissent ",
        "fault ",
        "energy ",
    )
    rows = [
        (
            n.node,
            f"[{_STYLE[n.state]}]{n.state}[/]",
            f"{n.score:.3f}",
            f"{n.open}/{n.capabilities.slots}",
            f"{n.cpu_free:.0%}",
            f"{n.latency_ms:.1f} ms",
            str(n.agreed),
            f"[red]{n.dissented}[/]" if n.dissented else "0",
            str(n.faulted),
            _energy(n.energy_j),
        )
        for n in nodes
    ]
    notes = [f"{n.node} is in safe mode: {escape(n.safe_mode)}" for n in nodes if n.safe_mode]
    if methods := sorted({n.energy_method for n in nodes if n.energy_method}):
        notes.append(f"[dim]energy: {', '.join(methods)}, of the whole machine since the node started[/]")
    return Group(table(columns, rows, gives_way="node"), *notes)


def reasons_table(reasons: Iterable[NodeReason]) -> Table:
    """Who was chosen, then who fits, both in the order of the strategy, then the others by name; only who fits has a score."""
    rows = [
        ("✓" if r.chosen else "", r.node, f"{r.score:.3f}" if r.score else "", escape(r.reason))
        for r in sorted(reasons, key=_place)
    ]
    return table(("", "node", "score ", "reason"), rows, gives_way="reason")


def tasks_table(tasks: Iterable[TaskView]) -> Table:
    """A row per task; attempt, priority and nodes of open ones only."""
    rows = [
        (t.task, t.state, str(t.attempt or ""), str(t.priority) if t.submitted_ms else "", " ".join(t.nodes))
        for t in tasks
    ]
    return table(("task", "state", "attempt ", "priority ", "nodes"), rows, gives_way="nodes")


def service_lines(health: ClusterHealth) -> Iterator[str]:
    """Per service who leads and what is open, how long that takes, and how far it has read each log. Then a line for each standby."""
    services = [("coordinator", health.coordinator), ("verifier", health.verifier)]
    if health.anchor is not None:
        services.append(("anchor", health.anchor))
    for name, service in services:
        if service is None:
            yield f"[bold]{name}[/] [red]does not answer[/]"
            continue
        role = "leads" if service.leading else "stands by"
        epoch = f", epoch {service.epoch}" if service.epoch else ""
        yield f"[bold]{service.service}[/] {service.name} {role}{epoch}: {service.open} open" + (
            f", {service.waiting} waiting, strategy {service.strategy}" if service.strategy else ""
        )
        if service.draining:
            yield f"  {service.draining} of {service.nodes} nodes drain: they take no work"
        if service.full:
            yield f"  [yellow]full[/], retry after {service.retry_after_ms / 1000:.0f} s: {escape(service.full)}"
        elif service.backlog and service.wait_ms is not None:
            yield f"  {service.backlog:,} tasks wait, {service.wait_ms / 1000:,.0f} s of work"
        yield "  has read " + ", ".join(f"{log} {sequence}" for log, sequence in service.folded.items())
    for standby in health.standbys:
        behind = ", ".join(f"{entries} of {log}" for log, entries in standby.lag.items() if entries)
        yield f"[bold]{standby.service}[/] {standby.name} stands by, " + (
            f"behind by {behind}" if behind else "up to date"
        )


def dashboard(
    health: ClusterHealth,
    found: Iterable[NodeView],
    tasks: Sequence[TaskView],
    rates: Rates,
    *,
    rows: int | None = None,
) -> Group:
    """What happens per second, services, the newest tasks, and the nodes that do most (at most `rows`); those that left in order are gone."""
    newest = (tasks_table(tasks), "") if tasks else ()
    here = [node for node in found if node.state != "left"]
    return Group(
        rate_line(rates), "", *service_lines(health), "", *newest, top_table(here, rates, limit=rows)
    )


def rate_line(rates: Rates) -> str:
    """Verdicts per second, now and as little bars through the last looks, and the power of all nodes."""
    now = "…" if rates.verdicts_per_s is None else f"{rates.verdicts_per_s:,.0f}"
    power = "" if rates.watts is None else f"   [bold]{rates.watts:,.1f} W[/]"
    return f"[bold]{now}[/] verdicts/s  {bars(list(rates.history)[-_BARS_SHOWN:])}{power}"


def bars(values: Sequence[float]) -> str:
    """A bar for each value, as high as its share of the highest; nothing at all is an empty place, not a small bar."""
    most = max(values, default=0.0)
    if most <= 0:
        return " " * len(values)
    steps = len(_BARS) - 1
    return "".join(_BARS[max(1, round(value / most * steps)) if value > 0 else 0] for value in values)


def _least[T](value: T | None, otherwise: T) -> T:
    return otherwise if value is None else value


BY: dict[str, Callable[[NodeView, NodeRate], Any]] = {
    "rate": lambda n, r: (-_least(r.agreed_per_s, 0.0), -n.open, n.node),
    "load": lambda n, _: (-n.open / max(1, n.capabilities.slots), n.cpu_free, n.node),
    "watts": lambda n, r: (-_least(r.watts, 0.0), n.node),
    "score": lambda n, _: (-n.score, n.node),
    "ping": lambda n, _: (n.latency_ms, n.node),
    "name": lambda n, _: n.node,
}
"""By what nodes can be sorted: keys, the first row has the smallest."""


def top_table(
    found: Iterable[NodeView],
    rates: Rates,
    *,
    sort: Callable[[NodeView, NodeRate], Any] = BY["rate"],
    limit: int | None = None,
) -> Group:
    """A row per node with what it does per second, the first by `sort`; a last line says how many more there are."""
    unknown = NodeRate("")
    ordered = sorted(found, key=lambda node: sort(node, rates.nodes.get(node.node, unknown)))
    rows = [_top_row(n, rates.nodes.get(n.node, unknown)) for n in ordered[:limit]]
    columns = (
        "node",
        "state",
        "done/s ",
        "wrong/s ",
        "slots ",
        "cpu ",
        "mem ",
        "watts ",
        "°C ",
        "ping ",
        "score ",
    )
    hidden = len(ordered) - len(rows)
    more = [f"[dim]… and {hidden:,} more: `ambient nodes` lists them all[/]"] if hidden else []
    return Group(table(columns, rows, gives_way="node"), *more)


def _top_row(n: NodeView, rate: NodeRate) -> tuple[str, ...]:
    wrong = rate.wrong_per_s
    return (
        escape(n.node),
        f"[{_STYLE[n.state]}]{n.state}[/]",
        _figure(rate.agreed_per_s, ",.0f"),
        f"[red]{wrong:,.1f}[/]" if wrong else _figure(wrong, ",.0f"),
        f"{n.open}/{n.capabilities.slots}",
        f"{1 - n.cpu_free:.0%}",
        f"{1 - n.memory_free:.0%}",
        _figure(rate.watts, ",.1f"),
        _figure(n.temperature_c, ".0f"),
        f"{n.latency_ms:.1f}",
        f"{n.score:.3f}",
    )


def _figure(value: float | None, form: str) -> str:
    return "…" if value is None else format(value, form)


def _place(reason: NodeReason) -> tuple[bool, bool, bool, str]:
    fits = reason.chosen or bool(reason.score)
    return not reason.chosen, not fits, reason.node == _EVERYONE_ELSE, "" if fits else reason.node


def _energy(joules: float) -> str:
    return f"{joules:.1f} J" if joules < _KILO else f"{joules / _KILO:.1f} kJ"
