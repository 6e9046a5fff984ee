"""Histograms: what they count is what came, whatever came."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.histogram import Histogram
from metrics.metric import GUEST_S, STAGE_S

BOUNDS = (0.1, 1.0, 10.0)


@given(st.lists(st.floats(0, 100)))
def test_a_bucket_holds_what_is_at_most_its_bound(values: list[float]) -> None:
    """Cumulative counts, as Prometheus' `le` says: a value on a bound belongs below it; the last bucket holds all."""
    histogram = Histogram(BOUNDS)
    for value in values:
        histogram.observe(value)

    found = [(bucket.bound, bucket.total) for bucket in histogram.buckets()]
    wanted = [(bound, sum(value <= bound for value in values)) for bound in (*BOUNDS, float("inf"))]
    assert found == wanted
    assert histogram.sum == pytest.approx(sum(values))


@given(st.lists(st.integers(-5, 3_000_000)))
def test_milliseconds_are_counted_against_seconds(values: list[int]) -> None:
    """As if each were divided by a thousand; what clocks that differ made negative counts as 0, and the sum never falls."""
    scaled, plain = Histogram(STAGE_S, 1000), Histogram(STAGE_S)
    sums = [0.0]
    for value in values:
        scaled.observe(value)
        plain.observe(max(0, value) / 1000)
        sums.append(scaled.sum)

    assert [bucket.total for bucket in scaled.buckets()] == [bucket.total for bucket in plain.buckets()]
    assert scaled.sum == pytest.approx(plain.sum)
    assert sums == sorted(sums)


@pytest.mark.parametrize("bound", [*STAGE_S, *GUEST_S])
def test_a_bound_in_milliseconds_is_exactly_that(bound: float) -> None:
    """0.3 s are 300 ms, and not a hair less."""
    histogram = Histogram((bound,), 1000)
    histogram.observe(float(f"{bound * 1000:.6f}"))

    assert next(iter(histogram.buckets())).total == 1


@given(st.lists(st.tuples(st.floats(0, 100), st.text(max_size=3)), min_size=1))
def test_a_bucket_remembers_the_newest_of_its_own(values: list[tuple[float, str]]) -> None:
    """The example of a bucket lies above the bound before, and none is newer."""
    histogram = Histogram(BOUNDS)
    for value, of in values:
        histogram.observe_of(value, of)

    below = -1.0
    for bucket in histogram.buckets():
        own = [(of, value) for value, of in values if below < value <= bucket.bound]
        assert bucket.example == (own[-1] if own else None)
        below = bucket.bound
