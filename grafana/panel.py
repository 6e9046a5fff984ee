"""A dashboard as data: what is asked, in which unit, and what to do when it looks bad.

In an expression `@` stands for the selectors that every query must have, so that a board shows what its variables say:
`ambient_nodes{@}`, `ambient_slots{@, state="busy"}`.
"""

from typing import Literal, NamedTuple

__all__ = ["Board", "Limit", "Panel", "Query", "Row", "quantiles"]

SELECTORS = 'job=~"$job", instance=~"$instance"'
"""What `@` stands for."""

type Shape = Literal["lines", "stack", "number", "steps"]


class Query(NamedTuple):
    """One expression, and how its series are called (`{{label}}`)."""

    expr: str
    legend: str

    @property
    def full(self) -> str:
        """The expression with its selectors."""
        return self.expr.replace("{@", "{" + SELECTORS)


class Limit(NamedTuple):
    """From `warns` on a value is yellow, from `fails` on red; where `falling`, the other way round."""

    warns: float
    fails: float
    falling: bool = False


class Panel(NamedTuple):
    """One panel. `unit` is Grafana's; `says` is what it shows and what to do when it looks bad; `width` in 24ths of the page."""

    title: str
    unit: str
    says: str
    queries: tuple[Query, ...]
    shape: Shape = "lines"
    limit: Limit | None = None
    width: int = 8


class Row(NamedTuple):
    """Panels that belong together."""

    title: str
    panels: tuple[Panel, ...]


class Board(NamedTuple):
    """One dashboard; `uid` is in its address, for ever."""

    uid: str
    title: str
    says: str
    rows: tuple[Row, ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels in order."""
        return tuple(panel for row in self.rows for panel in row.panels)


def quantiles(metric: str, by: str = "", *, of: tuple[float, ...] = (0.5, 0.95, 0.99)) -> tuple[Query, ...]:
    """The quantiles of a histogram over the rate interval; `by` is a label that is kept."""
    kept = f"le, {by}" if by else "le"
    named = f"{{{{{by}}}}} " if by else ""
    return tuple(
        Query(
            f"histogram_quantile({each}, sum by ({kept}) (rate({metric}_bucket{{@}}[$__rate_interval])))",
            f"{named}p{each * 100:g}",
        )
        for each in of
    )
