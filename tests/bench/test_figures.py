"""What a benchmark says is what it found: saved figures, groups, and when verdicts flow again."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import saved
from bench.__main__ import GROUPS, main
from bench.load import CALM_S, resumed_s
from bench.rejoin import _busiest
from bench.rows import Row, as_dicts, as_markdown, from_dicts

ROWS = [
    Row(name="rate", value=4321.0, unit="tasks/s", better="higher", aim=6000, floor=3500),
    Row(name="gap", value=0.4, unit="s", aim=1.5, floor=3, baseline="before", ratio=2.0, note="worst"),
]


def stream(begin: float, end: float, every: float) -> list[float]:
    return [begin + number * every for number in range(round((end - begin) / every))]


def test_a_gap_is_measured_to_the_first_verdict_after_it() -> None:
    """Verdicts every 10 ms, none for 1.7 s from the hit on, then as before."""
    verdicts = stream(0, 10, 0.01) + stream(11.7, 20, 0.01)

    assert resumed_s(verdicts, 10.0, 100, 20.0) == pytest.approx(1.7)


def test_a_trickle_is_no_flow() -> None:
    """One verdict in 200 ms after the hit does not count where a hundred a second came before."""
    verdicts = stream(0, 10, 0.01) + stream(10, 13, 0.2) + stream(13, 20, 0.01)

    assert resumed_s(verdicts, 10.0, 100, 20.0) == pytest.approx(13 - 10, abs=0.5)


def test_half_the_rate_is_enough() -> None:
    """As the figure's name says."""
    verdicts = stream(0, 10, 0.01) + stream(10.5, 20, 0.0199)

    assert resumed_s(verdicts, 10.0, 100, 20.0) == pytest.approx(0.5)


def test_a_second_gap_within_the_calm_begins_it_anew() -> None:
    """A burst of what had waited is no flow yet."""
    verdicts = stream(0, 10, 0.01) + stream(11, 11.8, 0.01) + stream(13, 20, 0.01)

    assert resumed_s(verdicts, 10.0, 100, 20.0) == pytest.approx(3.0)


@given(gap_s=st.floats(0.6, 30), per_s=st.sampled_from([20, 50, 100, 500]), more_s=st.floats(0.1, 5))
def test_it_is_said_only_once_it_is_known(gap_s: float, per_s: int, more_s: float) -> None:
    """Not before verdicts have flowed for two seconds; and what was said once is what is said later."""
    back = 10 + gap_s
    verdicts = stream(0, 10, 1 / per_s) + stream(back, back + 10, 1 / per_s)

    assert resumed_s(verdicts, 10.0, per_s, back + CALM_S / 2) is None
    assert resumed_s(verdicts, 10.0, per_s, back + CALM_S + more_s) == pytest.approx(gap_s)


def test_the_busiest_tenth_of_a_second_is_found_across_sittings() -> None:
    """Three within 100 ms, and those of another sitting do not count with them."""
    assert _busiest([[0.0, 0.05, 0.09, 0.3], [0.01, 0.2]]) == 3
    assert _busiest([[], []]) == 0


def test_rows_survive_being_saved() -> None:
    """The page is made of the file, so nothing may be lost in it."""
    assert from_dicts(json.loads(json.dumps(as_dicts(ROWS)))) == ROWS


def test_a_suite_that_is_saved_replaces_itself_and_nothing_else(tmp_path: Path) -> None:
    """Suites are measured on different days; the page keeps the order of the groups."""
    order = {"speed": ("latency", "peers"), "reliability": ("soak",)}
    for suite in ("peers", "latency", "peers"):
        saved.keep("speed", suite, ROWS, order=order, docs=tmp_path)
    saved.keep("reliability", "soak", ROWS[:1], order=order, docs=tmp_path)
    groups = json.loads((tmp_path / "benchmarks.json").read_text())["groups"]
    page = (tmp_path / "benchmarks.md").read_text()

    assert {name: list(suites) for name, suites in groups.items()} == {
        "speed": ["latency", "peers"],
        "reliability": ["soak"],
    }
    assert from_dicts(groups["speed"]["peers"]["rows"]) == ROWS
    assert page == saved.page(groups)
    assert page.count(as_markdown(ROWS)) == 2
    assert page.index("## Speed") < page.index("### peers") < page.index("## Reliability")


def test_what_is_in_the_repository_is_a_page_of_its_figures() -> None:
    """Nobody edits one of the two by hand."""
    docs = Path(__file__).resolve().parents[2] / "docs"
    groups = json.loads((docs / "benchmarks.json").read_text())["groups"]

    assert (docs / "benchmarks.md").read_text() == saved.page(groups)
    assert {name: set(suites) <= set(GROUPS[name]) for name, suites in groups.items()} == dict.fromkeys(
        groups, True
    )


def test_a_suite_that_there_is_not_is_refused_before_any_is_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A typing error must not cost twenty minutes."""
    assert main(["takeover", "sook"]) == 2
    assert "sook" in capsys.readouterr().err
