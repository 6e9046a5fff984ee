"""The catalogue of metrics: it keeps its own rules, and the paper says what is in it."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from metrics import paper
from metrics.catalogue import CATALOGUE, SECTIONS

_LABELS = {
    "service", "version", "log", "kind", "stage", "status", "policy", "reason", "method", "state", "le", "server",
    "direction", "role",
}  # fmt: skip
"""Every one of them has few values, whatever happens: there is no task, no node, no client."""


def test_the_paper_is_the_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--check` passes on what is committed, and fails over a single word; writing mends it."""
    assert paper.main(["--check"]) == 0

    damaged = tmp_path / "metrics.md"
    text = paper.PAPER.read_text()
    damaged.write_text(text.replace("stands by", "waits", 1))
    monkeypatch.setattr(paper, "PAPER", damaged)
    assert paper.main(["--check"]) == 1
    assert paper.main([]) == 0
    assert damaged.read_text() == text


def test_no_metric_is_described_twice() -> None:
    """A name in two sections would be one metric with two meanings."""
    assert sum(map(len, SECTIONS.values())) == len(CATALOGUE)


@pytest.mark.parametrize("name", CATALOGUE)
def test_names_labels_and_bounds_keep_the_rules(name: str) -> None:
    """The prefix, a base unit, `_total` for counters and nothing else, labels of few values, bounds that rise."""
    metric = CATALOGUE[name]

    assert re.fullmatch(r"ambient_[a-z_]+", name)
    assert not re.search(r"_(ms|mb|kb|minutes|percent|msat)(_|$)", name)
    assert (metric.kind == "counter") == name.endswith("_total")
    assert set(metric.labels) <= _LABELS
    assert bool(metric.bounds) == (metric.kind == "histogram")
    assert all(low < high for low, high in pairwise(metric.bounds))
    assert metric.says.endswith(".")
