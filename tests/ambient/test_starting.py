"""What `ambient up` shows while it starts: one bar on a terminal, lines elsewhere, and then where everything is."""

import io
from pathlib import Path

import pytest
from rich.console import Console

import ambient.cli.starting
from ambient.cli.cluster import _steps
from ambient.cli.starting import Starting, where_lines
from ambient.cluster import ClusterPlan


def shown(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> io.StringIO:
    written = io.StringIO()
    console = Console(file=written, force_terminal=terminal, width=90, highlight=False, color_system=None)
    monkeypatch.setattr(ambient.cli.starting, "err", console)
    return written


def test_in_a_pipe_every_event_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log file has what happened, one after the other, without an escape."""
    written = shown(monkeypatch, terminal=False)
    starting = Starting(2)
    with starting.shown():
        starting.event("nats-0", "started")
        starting.event("coordinator", "leads")
    assert written.getvalue() == "nats-0 started\ncoordinator leads\n"


def test_on_a_terminal_a_bar_counts_steps_and_deaths_are_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is started again is no progress; that it ended is said and stays there; after the end there are lines."""
    written = shown(monkeypatch, terminal=True)
    starting = Starting(2)
    with starting.shown():
        starting.event("node-1", "started")
        starting.event("node-1", "ended with 1, starts again")
        starting.event("node-1", "started")
        assert starting._progress is not None
        starting._progress.refresh()  # drawn ten times a second, not at each event
        starting.end()
        assert "1/2" in written.getvalue()
        assert "2/2" not in written.getvalue()
        assert "ended with 1" in written.getvalue()
        starting.event("node-1", "started")
    assert written.getvalue().endswith("node-1 started\n")


def test_the_steps_are_those_of_the_plan() -> None:
    """Servers, processes, one leader of each service, gateways, nodes: the bar is full when the cluster is up."""
    plan = ClusterPlan(
        data=Path(), nodes=2, coordinators=2, anchors=1, gateways=1, servers=3, http_ports=(1,)
    )
    assert _steps(plan) == 3 + (2 + 1 + 1 + 1 + 2) + 3 + 1 + 2


def test_where_everything_is_names_what_there_is_and_nothing_else() -> None:
    """Addresses, token and commands as `cluster.json` has them; a cluster without a gateway names none."""
    described = {"cluster": "home", "nats": "nats://h:1", "data": "/d", "http": "http://h:3000", "token": "[t]", "metrics": {"a": "b"}}  # fmt: skip
    written = io.StringIO()
    console = Console(file=written, width=200)
    for line in where_lines(described, nodes=3):
        console.print(line)
    text = written.getvalue()
    bare = "\n".join(where_lines({"cluster": "home", "nats": "nats://h:1", "data": "/d"}, nodes=3))

    assert all(
        word in text for word in ("nats://h:1", "http://h:3000", "/d/prometheus.yml", "ambient watch", "[t]")
    )
    assert "REST" not in bare
    assert "prometheus" not in bare
