"""The dashboards: what is committed is what is described, and the lint finds what it promises to find."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from grafana import build
from grafana.boards import BOARDS
from grafana.lint import EXCLUDED, lint

GRAFANA = Path(build.__file__).parent
COMMITTED = {path.stem: path for path in sorted((GRAFANA / "dashboards").glob("*.json"))}


def test_the_committed_dashboards_are_those_that_are_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--check` passes on what is committed, and fails over a file that somebody edited, added or removed; writing mends it."""
    assert build.main(["--check"]) == 0

    for path in COMMITTED.values():
        (tmp_path / path.name).write_text(path.read_text())
    monkeypatch.setattr(build, "DASHBOARDS", tmp_path)
    assert build.main(["--check"]) == 0
    first = next(tmp_path.glob("*.json"))
    for damage in (
        lambda: first.write_text(first.read_text().replace("rate(", "irate(", 1)),
        first.unlink,
        lambda: (tmp_path / "another.json").write_text("{}"),
    ):
        damage()
        assert build.main(["--check"]) == 1
        assert "run `.venv/bin/python -m grafana.build`" in capsys.readouterr().err
        assert build.main([]) == 0
        assert build.main(["--check"]) == 0


def test_each_board_has_an_address_of_its_own() -> None:
    """And one file, named after it."""
    assert {board.uid for board in BOARDS} == set(COMMITTED)
    assert len(COMMITTED) == len(BOARDS) == 6


@pytest.mark.parametrize("name", COMMITTED)
def test_panels_do_not_overlap_and_fit_the_page(name: str) -> None:
    """24 columns, and no place taken twice."""
    taken = set()
    for panel in json.loads(COMMITTED[name].read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def _target(board: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _graph(board)["targets"][0]
    return found


def _graph(board: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(panel for panel in board["panels"] if panel["type"] == "timeseries")
    return found


def _asks(expr: str) -> Callable[[dict[str, Any]], None]:
    return lambda board: _target(board).update(expr=expr)


_CHOSEN = '{job=~"$job", instance=~"$instance"}'


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda board: board.pop("uid"), "has no uid"),
        (lambda board: board.update(editable=True), "can be edited"),
        (lambda board: board["templating"]["list"].pop(0), "the data source is no variable"),
        (lambda board: board["templating"]["list"].pop(1), "no variable job"),
        (lambda board: board["templating"]["list"][2].update(multi=False), "not several"),
        (lambda board: board["panels"].append(copy.deepcopy(_graph(board))), "share ids"),
        (lambda board: _graph(board).update(title=""), "has no title"),
        (lambda board: _graph(board).update(description="Nodes."), "what to do when it looks bad"),
        (lambda board: _graph(board)["fieldConfig"]["defaults"].pop("unit"), "has no unit"),
        (lambda board: _graph(board)["datasource"].update(uid="abc"), "variable of the data source"),
        (lambda board: _target(board)["datasource"].update(uid="abc"), "a query does not use the variable"),
        (lambda board: _target(board).update(legendFormat=""), "no legend"),
        (lambda board: _graph(board).update(targets=[]), "asks nothing"),
        (_asks(""), "a query is empty"),
        (_asks('sum(ambient_nodes{job=~"$job"})'), "not limited to $job and $instance"),
        (_asks("sum(ambient_nodes)"), "not limited to $job and $instance"),
        (_asks(f"sum(ambient_noodles{_CHOSEN})"), "ambient_noodles, which the catalogue does not have"),
        (_asks(f"sum(rate(ambient_dissents_total{_CHOSEN}[5m]))"), "not over [$__rate_interval]"),
        (_asks(f"sum(rate(ambient_nodes{_CHOSEN}[$__rate_interval]))"), "which is no counter"),
        (_asks(f"sum(ambient_dissents_total{_CHOSEN})"), "shows the counter"),
        (
            _asks(f"histogram_quantile(0.5, sum(rate(ambient_task_seconds_bucket{_CHOSEN}[$__rate_interval])))"),
            "not kept apart by le",
        ),
    ],
)  # fmt: skip
def test_the_lint_finds(damage: Callable[[dict[str, Any]], object], said: str) -> None:
    """Each rule, broken on a dashboard that has no fault."""
    board = json.loads(COMMITTED["ambient-nodes"].read_text())
    assert lint(board) == []

    damage(board)

    assert any(said in fault for fault in lint(board))


def test_an_exclusion_that_is_not_needed_is_a_fault() -> None:
    """Or they would outlive their reasons; and each has one."""
    board = json.loads(COMMITTED["ambient-tasks"].read_text())
    assert lint(board) == []
    for panel in board["panels"]:
        if panel["title"] == "Judged within 1 s":
            panel["targets"][0]["expr"] = f"max(ambient_open_tasks{_CHOSEN})"

    assert [fault for fault in lint(board) if "not needed any more" in fault]
    assert all(EXCLUDED.values())


def test_provisioning_names_what_the_dashboards_ask_for() -> None:
    """A Prometheus under the variable's type, and a folder of dashboards that nobody edits in place."""
    sources = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yaml").read_text())
    folders = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "ambient.yaml").read_text())

    assert [(each["type"], each["url"]) for each in sources["datasources"]] == [
        ("prometheus", "${PROMETHEUS_URL}")
    ]
    assert [(each["folder"], each["allowUiUpdates"]) for each in folders["providers"]] == [
        ("Ambient VCP", False)
    ]
