"""Where the processes of a local cluster serve metrics, and the files that tell Prometheus so.

Guarantees that a process has the same port after a restart, and one name (`instance`) in Prometheus whatever its port.
"""

import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ambient.cluster.plan import ClusterPlan
from bus.server import free_port

__all__ = ["SUPERVISOR", "describe_targets", "pages", "with_pages"]

SUPERVISOR = "up"
"""The name of the process that keeps the others, and what it is."""

_PROMETHEUS = """\
# Scrapes every process of this cluster, and judges by the alerts in rules/: prometheus --config.file {folder}/prometheus.yml
global:
  scrape_interval: 5s
  evaluation_interval: 5s
rule_files: [{rules}]
scrape_configs:
  - job_name: ambient
    file_sd_configs:
      - files: [targets.json]
"""
_RULES = Path(__file__).resolve().parents[2] / "grafana/rules"
"""Recording and alerting rules; they come with the source, and not with the installed package."""


def with_pages(plan: ClusterPlan, monitors: Iterable[str]) -> ClusterPlan:
    """The plan with a free port for each of its processes, and the servers' monitors."""
    names = [SUPERVISOR, *(process.name for process in plan.services(""))]
    return replace(plan, pages={name: free_port() for name in names}, monitors=tuple(monitors))


def pages(plan: ClusterPlan) -> dict[str, str]:
    """The address of each page by the name of its process."""
    return {name: f"http://127.0.0.1:{port}/metrics" for name, port in plan.pages.items()}


def describe_targets(plan: ClusterPlan) -> None:
    """Write `targets.json` (for `file_sd_configs`), `prometheus.yml` and the rules, where they are here, into the cluster's folder, if there are pages."""
    if not plan.pages:
        return
    described = [
        {
            "targets": [f"127.0.0.1:{plan.pages[name]}"],
            "labels": {"job": f"ambient-{role}", "instance": name, "cluster": plan.cluster},
        }
        for name, role in ((SUPERVISOR, SUPERVISOR), *((each.name, each.role) for each in plan.services("")))
    ]
    (plan.data / "targets.json").write_text(json.dumps(described, indent=2))
    (plan.data / "prometheus.yml").write_text(
        _PROMETHEUS.format(folder=plan.data, rules=_copy_rules(plan.data))
    )


def _copy_rules(folder: Path) -> str:
    """Those of this version beside the configuration, as nobody's working tree should be a running Prometheus' affair; what to name them as."""
    if not _RULES.is_dir():
        return ""
    (folder / "rules").mkdir(exist_ok=True)
    for path in _RULES.glob("*.yaml"):
        shutil.copyfile(path, folder / "rules" / path.name)
    return "rules/*.yaml"
