"""What `ambient up` shows: a bar while the cluster starts, on terminals only, and then where everything is."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from ambient.cli.output import err

__all__ = ["Starting", "where_lines"]


class Starting:
    """Tells of what happens to processes: as one bar while they start, on a terminal; otherwise, and later, as lines."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._progress: Progress | None = None
        self._done: set[str] = set()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the bar from here to `end`."""
        if err.is_terminal:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())  # fmt: skip
            self._progress = Progress(*columns, console=err, transient=True)
            self._bar = self._progress.add_task("starting", total=self._steps)
            self._progress.start()
        try:
            yield
        finally:
            self.end()

    def end(self) -> None:
        """It is up, or will not be: what happens from now on is told in lines."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def event(self, who: str, what: str) -> None:
        """`who` did `what`. Each is one step, once: a process that is started again is no progress."""
        if self._progress is None or what.startswith("ended"):
            err.print(f"[dim]{who}[/] {escape(what)}")
            return
        step = f"{who} {what}"
        if step not in self._done:
            self._done.add(step)
            self._progress.update(self._bar, advance=1, description=escape(step))


def where_lines(described: dict[str, Any], *, nodes: int) -> Iterator[str]:
    """Where everything is, as `cluster.json` has it, with the command or address to go on with."""
    cluster, nats, data = described["cluster"], described["nats"], described["data"]
    yield f"[bold green]up[/]: {nodes} nodes, cluster [bold]{escape(cluster)}[/], NATS at [bold]{escape(nats)}[/]"
    yield f"  export NATS_URL={escape(nats)} AMBIENT_CLUSTER={escape(cluster)}"
    if http := described.get("http"):
        yield f"  dashboard: [bold]{escape(http)}/#token={escape(described.get('token', ''))}[/]"
        yield f"  REST API at [bold]{escape(http)}[/] (described at /swagger-ui), token {escape(described.get('token', ''))}"
    if described.get("metrics"):
        yield f"  metrics: prometheus --config.file {escape(data)}/prometheus.yml"
    yield "  look on with `ambient watch`, find what is wrong with `ambient doctor`"
    yield f"  data, logs and cluster.json in {escape(data)}; ctrl-C drains and stops"
