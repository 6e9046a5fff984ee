"""The rules: each alert has its page and its cases, and Prometheus' own tool runs them."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import grafana
from metrics.catalogue import CATALOGUE

GRAFANA = Path(grafana.__file__).parent
ROOT = GRAFANA.parent
RULES = sorted((GRAFANA / "rules").glob("*.yaml"))
CASES = sorted((GRAFANA / "rules" / "tests").glob("*.yaml"))
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed (Debian: apt-get install prometheus)"
)


def _rules(kind: str) -> dict[str, dict[str, Any]]:
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return {rule[kind]: rule for group in groups for rule in group["rules"] if kind in rule}


ALERTS, RECORDS = _rules("alert"), _rules("record")
TESTS = [case for path in CASES for case in yaml.safe_load(path.read_text())["tests"]]


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run it; it exits 0 only if all is well."""
    assert PROMTOOL is not None
    return subprocess.run(
        [PROMTOOL, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_leads_to_what_is_to_be_done(name: str) -> None:
    """A severity, a summary, and a runbook's page that names it and says where to look and what to do."""
    alert = ALERTS[name]
    page = (ROOT / alert["annotations"]["runbook"]).read_text()

    assert alert["labels"]["severity"] in ("page", "ticket")
    assert alert["annotations"]["summary"].endswith(".")
    assert f"`{name}`" in page.split("## Look")[0]
    assert all(f"\n## {part}\n" in page for part in ("Look", "Do", "Why this threshold"))


def test_each_page_is_of_an_alert_and_in_the_list() -> None:
    """No page outlives its alert."""
    folder = ROOT / "docs" / "runbooks"
    listed = (folder / "README.md").read_text()
    pages = {path for path in folder.glob("*.md") if path.name != "README.md"}

    assert pages == {ROOT / alert["annotations"]["runbook"] for alert in ALERTS.values()}
    assert all(f"({path.name})" in listed for path in pages)
    assert all(f"`{name}`" in listed for name in ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_a_case_that_fires_one_that_resolves_and_one_that_does_neither(name: str) -> None:
    """In one history it fires and later does not; in another, which comes close, it never does."""
    own = [case for case in TESTS if any(each["alertname"] == name for each in case["alert_rule_test"])]
    outcomes = [[bool(each["exp_alerts"]) for each in case["alert_rule_test"]] for case in own]

    assert [True, False] in outcomes
    assert [False] in outcomes


@needs_promtool
@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_prometheus_takes_the_rules(path: Path) -> None:
    """Syntax, templates and labels."""
    done = promtool("check", "rules", path)
    assert done.returncode == 0, done.stderr


@needs_promtool
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_cases_hold(path: Path) -> None:
    """`promtool test rules`: every history, to the words of the summary."""
    done = promtool("test", "rules", path)
    assert done.returncode == 0, done.stderr


@needs_promtool
@pytest.mark.parametrize("expr", ["vector(1) > 2", "vector(1)"])
@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_no_alert_could_be_left_out_or_always_fire(path: Path, expr: str, tmp_path: Path) -> None:
    """With an expression that never or always holds, the cases of each alert fail: they do test it."""
    rules = yaml.safe_load(path.read_text())
    for group in rules["groups"]:
        group["rules"] = [rule for rule in group["rules"] if "alert" in rule]
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    rules["groups"] = [group for group in rules["groups"] if group["rules"]]
    for alert in alerts:
        alert["expr"] = expr
        alert.pop("for", None)
    (tmp_path / path.name).write_text(yaml.safe_dump(rules))
    cases = yaml.safe_load((path.parent / "tests" / path.name).read_text())
    cases["rule_files"] = [str(tmp_path / path.name)]
    (tmp_path / "cases.yaml").write_text(yaml.safe_dump(cases))

    said = promtool("test", "rules", tmp_path / "cases.yaml").stderr

    assert set(re.findall(r"alertname: (\w+),", said)) == {alert["alert"] for alert in alerts}


def test_rules_ask_for_what_is_served_or_recorded() -> None:
    """Every metric is in the catalogue, every recorded one is recorded and used."""
    asked = set()
    for rule in (*ALERTS.values(), *RECORDS.values()):
        asked |= set(re.findall(r"\b(?:ambient[_:][a-z_0-9:]+|up\b)", re.sub(r'"[^"]*"', "", rule["expr"])))
    bases = {re.sub(r"_(bucket|count|sum)$", "", name) if name not in CATALOGUE else name for name in asked}

    assert bases - set(CATALOGUE) - {"up"} == {name for name in bases if ":" in name}
    assert {name for name in bases if ":" in name} == set(RECORDS)
