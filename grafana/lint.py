"""What a dashboard must be so that a person at three in the morning can use it: the rules of Grafana's dashboard-linter, and some of ours.

Works on the JSON, as Grafana reads it, and so on any dashboard. Exclusions are in `EXCLUDED`, each with its reason; one that is not needed
any more is a fault, too.
"""

import re
from collections.abc import Iterator
from typing import Any

from metrics.catalogue import CATALOGUE

__all__ = ["EXCLUDED", "lint"]

EXCLUDED = {
    ("selectors", "Tasks that got an answer"): "what is recorded is the whole cluster's, and has no job or instance",
    ("selectors", "Decided within 10 s"): "what is recorded is the whole cluster's, and has no job or instance",
    ("selectors", "Judged within 1 s"): "what is recorded is the whole cluster's, and has no job or instance",
}  # fmt: skip
"""(rule, panel) → why it need not hold there."""

_LEAST_WORDS = 12
"""A description shorter than this cannot say what is shown and what to do."""
_SUFFIXES = ("_bucket", "_sum", "_count")
_RANGE = re.compile(r"\[([^\]]+)\]")
_COUNTING = re.compile(r"\b(rate|increase|irate)\((\w+)")
_QUANTILE = re.compile(r"histogram_quantile\(")


def lint(board: dict[str, Any]) -> list[str]:
    """All faults of one dashboard, for people."""
    found = [*_of_board(board)]
    excused = set()
    for panel in _panels(board):
        for rule, fault in _of_panel(panel):
            if (rule, panel.get("title", "")) in EXCLUDED:
                excused.add((rule, panel["title"]))
            else:
                found.append(f"{board.get('title')}: {panel.get('title') or 'a panel'}: {fault}")
    titles = {panel.get("title") for panel in _panels(board)}
    found += [
        f"{board.get('title')}: {title}: the exclusion from `{rule}` is not needed any more"
        for rule, title in EXCLUDED
        if title in titles and (rule, title) not in excused
    ]
    return found


def _panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in board.get("panels", ()):
        yield from panel.get("panels", ()) if panel.get("type") == "row" else (panel,)
        if panel.get("type") == "row" and not panel.get("title"):
            yield panel


def _of_board(board: dict[str, Any]) -> Iterator[str]:
    title = board.get("title") or "a dashboard"
    for field in ("title", "uid", "description", "tags"):
        if not board.get(field):
            yield f"{title}: has no {field}"
    if board.get("editable", True):
        yield f"{title}: can be edited in Grafana, where the next build would lose the edit"
    variables = {each["name"]: each for each in board.get("templating", {}).get("list", ())}
    if variables.get("datasource", {}).get("type") != "datasource":
        yield f"{title}: the data source is no variable"
    for name in ("job", "instance"):
        variable = variables.get(name, {})
        if variable.get("type") != "query" or not variable.get("label") or variable.get("allValue") != ".+":
            yield f"{title}: has no variable {name} of type query with a label and `.+` for all"
        elif not (variable.get("multi") and variable.get("includeAll")):
            yield f"{title}: not several and not all can be chosen of {name}"
    ids = [panel.get("id") for panel in _panels(board)]
    if None in ids or len(set(ids)) != len(ids):
        yield f"{title}: panels share ids"
    titles = [panel.get("title") for panel in _panels(board)]
    yield from (f"{title}: two panels are called {each!r}" for each in set(titles) if titles.count(each) > 1)


def _of_panel(panel: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if not panel.get("title"):
        yield "title", "has no title"
    if len(panel.get("description", "").split()) < _LEAST_WORDS:
        yield "description", "does not say what it shows and what to do when it looks bad"
    if not panel.get("fieldConfig", {}).get("defaults", {}).get("unit"):
        yield "unit", "has no unit"
    if panel.get("datasource", {}).get("uid") != "${datasource}":
        yield "source", "does not use the variable of the data source"
    if not panel.get("targets"):
        yield "targets", "asks nothing"
    for target in panel.get("targets", ()):
        if target.get("datasource", {}).get("uid") != "${datasource}":
            yield "source", "a query does not use the variable of the data source"
        if not target.get("legendFormat"):
            yield "legend", "a query has no legend"
        yield from _of_expression(target.get("expr", ""))


def _of_expression(expr: str) -> Iterator[tuple[str, str]]:
    if not expr.strip():
        yield "targets", "a query is empty"
    for at in re.finditer(r"\b(ambient[a-z_0-9:]*|up)\b(?!\s*\()", re.sub(r'"[^"]*"', '""', expr)):
        yield from _of_metric(expr, at[1])
    for interval in _RANGE.findall(expr):
        if interval != "$__rate_interval":
            yield "interval", f"looks back over [{interval}] and not over [$__rate_interval]"
    for function, metric in _COUNTING.findall(expr):
        base = _base(metric)
        if base in CATALOGUE and CATALOGUE[base].kind == "gauge":
            yield "counter", f"takes the {function} of {metric}, which is no counter"
    if _QUANTILE.search(expr) and not re.search(r"by \([^)]*\ble\b", expr):
        yield "quantile", "takes a quantile of buckets that are not kept apart by le"


def _of_metric(expr: str, metric: str) -> Iterator[tuple[str, str]]:
    if metric != "up" and ":" not in metric and _base(metric) not in CATALOGUE:
        yield "metric", f"asks for {metric}, which the catalogue does not have"
    for selectors in re.findall(rf"\b{re.escape(metric)}(?![\w:])(\{{[^}}]*\}})?", expr):
        if 'job=~"$job"' not in selectors or 'instance=~"$instance"' not in selectors:
            yield "selectors", f"{metric} is not limited to $job and $instance"
    base = CATALOGUE.get(_base(metric))
    if base is not None and base.kind == "counter" and not re.search(rf"\b(rate|increase)\({metric}\b", expr):
        if base.name.endswith("_satoshis_total"):
            return  # what was paid in all is the question there
        yield "counter", f"shows the counter {metric} itself, which says how long a process has run"


def _base(metric: str) -> str:
    """The name in the catalogue: a histogram's series have endings."""
    if metric in CATALOGUE:
        return metric
    return next((metric.removesuffix(end) for end in _SUFFIXES if metric.endswith(end)), metric)
