"""The registry: what is heard of nodes, what silence means, what nodes hold, and how they are shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator import health
from coordinator.registry import Registry
from coordinator.room import LANE_TICKS, MIN_TICKS, PER_LANE, UNKNOWN_MS, ticks
from tests.coordinator.nodes import KEY, capabilities, registry_of, telemetry


def test_a_row_stays_its_nodes_while_the_table_grows():
    """Names, keys, rows and columns hold together over growth and re-enrolment."""
    registry = registry_of(100, slots=3)
    row = registry.enrol("n7", "cd" * 32, capabilities(slots=5, region="eu"), 10)

    assert row == registry.row("n7") == 7
    assert registry.name(7) == "n7"
    assert registry.key("n7") == "cd" * 32
    assert registry.slots[[6, 7, 8]].tolist() == [3, 5, 3]
    assert len(registry) == 100
    assert registry.row("nobody") is None
    assert registry.key("nobody") is None
    assert registry.view("nobody", 0) is None


def test_silence_makes_suspect_then_dead_and_a_heartbeat_brings_back():
    """Suspect after more than 6 s, dead at 10 s, healthy when heard; each change is reported once."""
    registry = registry_of(2)
    registry.heard(telemetry("n0"), 5_000)

    assert registry.sweep(6_000) == []
    assert registry.sweep(6_001) == [("n1", "healthy", "suspect")]
    assert registry.sweep(9_999) == []
    assert registry.sweep(10_000) == [("n1", "suspect", "dead")]
    registry.heard(telemetry("n1"), 10_500)
    assert registry.sweep(10_600) == [("n1", "dead", "healthy")]
    assert registry.sweep(15_000) == [("n0", "healthy", "dead")]
    assert registry.counts()["dead"] == 1
    assert repr(registry) == "Registry(1 healthy, 1 dead)"


def test_silence_counts_before_any_sweep():
    """A node silent for more than 6 s is not eligible, whether or not a sweep has come."""
    registry = registry_of(1)

    assert registry.eligible(6_000).tolist() == [True]
    assert registry.eligible(6_001).tolist() == [False]


@pytest.mark.parametrize(
    ("report", "state"),
    [
        ({"safe_mode": "temperature 91 °C"}, "safe"),
        ({"draining": True}, "draining"),
        ({"draining": True, "safe_mode": "latency"}, "draining"),
        ({}, "healthy"),
    ],
)
def test_what_a_node_says_of_itself_is_its_state(report, state):
    """Only a node that is neither in safe mode nor draining gets work."""
    registry = registry_of(1)
    registry.heard(telemetry("n0", **report), 1)

    assert registry.view("n0", 1).state == state
    assert registry.eligible(1).tolist() == [state == "healthy"]


def test_a_node_that_left_is_out_until_it_enrols_again():
    """A heartbeat that was still under way does not bring a node back; its next hello does."""
    registry = registry_of(1)
    registry.left("n0")

    assert not registry.heard(telemetry("n0"), 1)
    assert registry.sweep(60_000) == [("n0", "healthy", "left")]
    registry.enrol("n0", KEY, capabilities(), 60_001)
    assert registry.sweep(60_002) == [("n0", "left", "healthy")]


def test_unknown_nodes_are_told_apart():
    """Telemetry of a node that never enrolled changes nothing and says so."""
    registry = Registry()

    assert not registry.heard(telemetry("ghost"), 1)
    registry.left("ghost")
    assert len(registry) == 0


def test_an_enrolment_from_the_log_gets_no_work_until_it_is_heard():
    """Whoever takes over does not send work to the ghosts of the log, and gives the living 10 s to be heard."""
    registry = Registry()
    registry.enrol("n0", KEY, capabilities(), 1_000, present=False)

    assert not registry.eligible(1_000).any()
    assert registry.sweep(10_999) == []
    assert registry.sweep(11_000) == [("n0", "suspect", "dead")]
    registry.heard(telemetry("n0"), 11_001)
    assert registry.eligible(11_001).all()


def test_reputation_reaches_the_score_also_if_it_was_there_first():
    """Verdicts may be folded before enrolments; the counts are kept, shown, and count a tenth of the score."""
    registry = Registry()
    registry.set_reputation("n0", 96, 0, 0)
    registry.enrol("n0", KEY, capabilities(), 0)
    good = registry.view("n0", 0)
    registry.set_reputation("n0", 96, 100, 1)
    bad = registry.view("n0", 0)

    assert (good.reputation, good.agreed) == (0.98, 96)
    assert (bad.dissented, bad.faulted) == (100, 1)
    assert good.score - bad.score == pytest.approx(0.1 * (good.reputation - bad.reputation))
    assert registry.score[0] == pytest.approx(bad.score)


def test_a_view_shows_what_was_reported_and_its_terms_add_up():
    """Everything a person asks about a node is in its view, and the terms explain the score."""
    registry = registry_of(1, region="eu")
    registry.heard(
        telemetry("n0", bandwidth_mbps=1e308, latency_ms=20.5, temperature_c=61.5, safe_mode="hot"), 500
    )
    registry.take(0, 1.0)
    view = registry.view("n0", 1_500)

    assert (view.node, view.key, view.state, view.open) == ("n0", KEY, "safe", 1)
    assert (view.latency_ms, view.temperature_c, view.safe_mode) == (20.5, 61.5, "hot")
    assert view.seen_ms_ago == 1_000
    assert tuple(view.terms) == health.TERMS
    assert sum(view.terms.values()) == view.score
    assert view.terms["bandwidth"] == 0.4
    assert [other.node for other in registry.views(0)] == ["n0"]


@given(
    st.lists(st.tuples(st.integers(0, 9), st.floats(0, 2000), st.floats(0, 200), st.booleans()), max_size=60)
)
def test_the_score_column_is_that_of_the_last_report(reports):
    """However reports and readings interleave, the lazily computed column equals the formula on the inputs."""
    registry = registry_of(10)
    for number, bandwidth, latency, read in reports:
        registry.heard(telemetry(f"n{number}", bandwidth_mbps=bandwidth, latency_ms=latency), 1)
        if read:
            assert len(registry.score) == 10

    assert registry.score.tolist() == pytest.approx([view.score for view in registry.views(1)])


def test_scores_that_nobody_reads_cost_no_memory():
    """Under a strategy without scores heartbeats come for ever; what is noted of them stays bounded, and right."""
    registry = registry_of(3)
    for number in range(1000):
        registry.heard(telemetry("n0", latency_ms=number % 100), 1)
    registry.enrol("n3", KEY, capabilities(), 2)
    registry.heard(telemetry("n2", latency_ms=1.0), 2)

    assert len(registry._stale) <= len(registry)
    assert registry.score.tolist() == pytest.approx([view.score for view in registry.views(1)])


def test_labels_follow_re_enrolment():
    """A node that enrols with other labels is found under these and no longer under the old ones."""
    registry = registry_of(3, labels={"gpu": "yes", "zone": "a"})
    registry.enrol("n1", KEY, capabilities(labels={"zone": "b"}), 1)

    assert registry.labelled("gpu", "yes").tolist() == [True, False, True]
    assert registry.labelled("zone", "b").tolist() == [False, True, False]
    assert not registry.labelled("zone", "c").any()


@given(st.lists(st.one_of(st.floats(allow_nan=False), st.just(UNKNOWN_MS)), max_size=50), st.randoms())
def test_taking_and_releasing_in_any_order_ends_at_nothing(durations, shuffled):
    """Room is counted exactly: no rest of any sum of expected durations stays behind."""
    registry = registry_of(1)
    for duration in durations:
        registry.take(0, duration)
    held = int(registry.used[0])
    shuffled.shuffle(durations)
    for duration in durations:
        registry.release(0, duration)

    assert len(durations) * MIN_TICKS <= held <= len(durations) * LANE_TICKS
    assert (registry.used[0], registry.open[0]) == (0, 0)


@pytest.mark.parametrize(
    ("expected_ms", "per_slot"),
    [
        (UNKNOWN_MS, 1),
        (float("nan"), 1),
        (0.0, 1),
        (1e9, 1),
        (50.0, 1),
        (25.1, 1),
        (25.0, 2),
        (1.0, 50),
        (0.01, PER_LANE),
    ],
)
def test_how_many_attempts_fill_a_slot(expected_ms, per_slot):
    """Unknown and long ones fill a slot alone, short ones up to 50 ms and 128 of them."""
    assert LANE_TICKS // ticks(expected_ms) == per_slot
