"""`python -m grafana.build` writes `dashboards/*.json` from `boards/`; with `--check` it compares, and lints what it made.

Guarantees that the same boards give the same bytes: ids follow the order of panels, and keys are sorted.
"""

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    LineInterpolation,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
    VariableSort,
)

from grafana.boards import BOARDS
from grafana.lint import lint
from grafana.panel import Board, Limit, Panel

__all__ = ["DASHBOARDS", "main", "rendered"]

DASHBOARDS = Path(__file__).parent / "dashboards"
_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_TAG = "ambient"
_HEIGHT = 8
_EVERY_S = "15s"
_EXEMPLARS = "ambient_task_seconds_bucket"


def rendered(board: Board) -> str:
    """The dashboard as Grafana reads it."""
    built = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.says)
        .tags([_TAG])
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .time("now-1h", "now")
        .refresh("30s")
        .timezone("browser")
        .link(
            dashboard.DashboardLink("Ambient")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([_TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_variable("job", "Job", "label_values(ambient_build_info, job)"))
        .with_variable(
            _variable("instance", "Instance", 'label_values(ambient_build_info{job=~"$job"}, instance)')
        )
    )
    number = 0
    for row in board.rows:
        built = built.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            number += 1
            built = built.with_panel(_panel(panel).id(number))
    return json.dumps(built.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _variable(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .query({"query": query, "refId": name})
        .datasource(_SOURCE)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


def _panel(panel: Panel) -> stat.Panel | timeseries.Panel:
    made: stat.Panel | timeseries.Panel = _number() if panel.shape == "number" else _lines(panel)
    made = (
        made.title(panel.title)
        .description(panel.says)
        .datasource(_SOURCE)
        .unit(panel.unit)
        .interval(_EVERY_S)
        .height(_HEIGHT if panel.shape != "number" else _HEIGHT // 2)
        .span(panel.width)
    )
    if panel.limit is not None:
        made = made.thresholds(_thresholds(panel.limit))
    for at, query in enumerate(panel.queries):
        made = made.with_target(
            prometheus.Dataquery()
            .datasource(_SOURCE)
            .ref_id(chr(ord("A") + at))
            .expr(query.full)
            .legend_format(query.legend)
            .exemplar(_EXEMPLARS in query.expr)
        )
    return made


def _number() -> stat.Panel:
    return stat.Panel().color_mode(BigValueColorMode.VALUE).no_value("no data")


def _lines(panel: Panel) -> timeseries.Panel:
    made = (
        timeseries.Panel()
        .draw_style(GraphDrawStyle.LINE)
        .line_width(1)
        .fill_opacity(60 if panel.shape == "stack" else 10)
        .line_interpolation(
            LineInterpolation.STEP_AFTER if panel.shape == "steps" else LineInterpolation.LINEAR
        )
        .show_points(VisibilityMode.NEVER)
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
    if panel.unit != "celsius":
        made = made.min(0)
    if panel.shape == "stack":
        made = made.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    return made


def _thresholds(limit: Limit) -> dashboard.ThresholdsConfig:
    """Green, yellow, red; where falling is bad, from red at the bottom to green at the top."""
    if limit.falling:
        steps = [(None, "red"), (limit.fails, "yellow"), (limit.warns, "green")]
    else:
        steps = [(None, "green"), (limit.warns, "yellow"), (limit.fails, "red")]
    return (
        dashboard.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(value=value, color=color) for value, color in steps])
    )


def main(arguments: list[str]) -> int:
    """Write, or compare and lint with `--check`; returns an exit code."""
    wanted = {f"{board.uid}.json": rendered(board) for board in BOARDS}
    if not arguments:
        for old in DASHBOARDS.glob("*.json"):
            if old.name not in wanted:
                old.unlink()
        for name, text in wanted.items():
            (DASHBOARDS / name).write_text(text)
        return 0
    if arguments != ["--check"]:
        sys.stderr.write("usage: python -m grafana.build [--check]\n")
        return 2
    there = {path.name: path.read_text() for path in DASHBOARDS.glob("*.json")}
    faults = [fault for text in wanted.values() for fault in lint(json.loads(text))]
    if there != wanted:
        faults.append(
            "grafana/dashboards is not what grafana/boards says: run `.venv/bin/python -m grafana.build`"
        )
    sys.stderr.write("".join(f"{fault}\n" for fault in faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
