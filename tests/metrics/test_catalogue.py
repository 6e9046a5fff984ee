"""The catalogue of metrics: it keeps its own rules, and the paper says what is in it."""

import re
from pathlib import Path

from metrics.catalogue import CATALOGUE

PAPER = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()


def test_the_paper_is_the_catalogue() -> None:
    """A row for each metric, in the same order and words."""
    rows = re.findall(r"^\| `(ambient_\w+)` \| (\w+) \|(.*?)\| (.*) \|$", PAPER, re.MULTILINE)

    assert [(name, kind, labels.strip(), says) for name, kind, labels, says in rows] == [
        (each.name, each.kind, ", ".join(f"`{label}`" for label in each.labels), each.says)
        for each in CATALOGUE.values()
    ]


def test_names_and_labels_keep_the_rules() -> None:
    """The prefix, `_total` for counters and nothing else, and no label whose values are without number."""
    for metric in CATALOGUE.values():
        assert re.fullmatch(r"ambient_[a-z_]+", metric.name)
        assert (metric.kind == "counter") == metric.name.endswith("_total")
        assert set(metric.labels) <= {"service", "log", "status"}
