"""Histograms: what they count is what came, whatever came."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.histogram import Histogram

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
