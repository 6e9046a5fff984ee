"""How nodes, services and tasks are drawn: within 80 columns where names are short, and never with a figure cut off."""

from collections.abc import Iterable, Iterator

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from ambient import ClusterHealth
from ambient.cli.output import table
from bus.messages import NodeReason, NodeView, TaskView

__all__ = ["dashboard", "nodes_table", "reasons_table", "service_lines", "tasks_table"]

_STYLE = {
    "healthy": "green",
    "safe": "yellow",
    "draining": "yellow",
    "suspect": "red",
    "dead": "red",
    "left": "dim",
}
_KILO = 1000.0
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


def dashboard(health: ClusterHealth, found: Iterable[NodeView]) -> Group:
    """Services above, nodes below; nodes that left in order are gone."""
    return Group(*service_lines(health), "", nodes_table(n for n in found if n.state != "left"))


def _place(reason: NodeReason) -> tuple[bool, bool, bool, str]:
    fits = reason.chosen or bool(reason.score)
    return not reason.chosen, not fits, reason.node == _EVERYONE_ELSE, "" if fits else reason.node


def _energy(joules: float) -> str:
    return f"{joules:.1f} J" if joules < _KILO else f"{joules / _KILO:.1f} kJ"
