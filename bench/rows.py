"""How every benchmark reports: figures with their aims, and a ratio against a named baseline of the same run."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Row", "as_dicts", "as_markdown", "from_dicts", "median_of", "percentile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. `aim` and `floor` are what we want and what we accept; `ratio` is against `baseline`."""

    name: str
    value: float
    unit: str
    better: Literal["higher", "lower"] = "lower"
    aim: float | None = None
    floor: float | None = None
    baseline: str = ""
    ratio: float | None = None
    note: str = ""

    @property
    def judgement(self) -> str:
        """`aim`, `ok` or `missed`; empty where nothing was aimed at."""
        if self.aim is None or self.floor is None:
            return ""
        sign = 1 if self.better == "higher" else -1
        if sign * self.value >= sign * self.aim:
            return "aim"
        return "ok" if sign * self.value >= sign * self.floor else "missed"


def median_of(values: Sequence[float]) -> float:
    """The median, which a noisy neighbour moves least."""
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0..1) of `values` lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def as_dicts(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """For JSON."""
    return [{**asdict(row), "judgement": row.judgement} for row in rows]


def from_dicts(saved: Sequence[dict[str, Any]]) -> list[Row]:
    """Undo `as_dicts`."""
    return [Row(**{key: value for key, value in row.items() if key != "judgement"}) for row in saved]


def as_markdown(rows: Sequence[Row]) -> str:
    """A table for docs and terminals."""
    lines = ["| figure | value | aim | not worse than | | against |", "|---|---:|---:|---:|---|---|"]
    for row in rows:
        against = f"{row.ratio:.2f} x {row.baseline}" if row.ratio is not None else row.baseline
        name = row.name + (f" ({row.note})" if row.note else "")
        lines.append(
            f"| {name} | {_number(row.value)} {row.unit} | {_number(row.aim)} | {_number(row.floor)} "
            f"| {row.judgement} | {against} |"
        )
    return "\n".join(lines)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 -- three figures are enough
