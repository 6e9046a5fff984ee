"""The health score against the specification, written out once more in plain Python."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator import health

amounts = st.floats(0, 1e12, allow_nan=False)
shares = st.floats(0, 1)


def specified(bandwidth_mbps, latency_ms, cpu_free, memory_free, reputation):
    """The score as the design states it, one node at a time."""

    def clamp(value):
        return min(1.0, max(0.0, value))

    return (
        0.4 * clamp(bandwidth_mbps / 1000)
        + 0.3 * clamp(1 - latency_ms / 100)
        + 0.2 * clamp((cpu_free + memory_free) / 2)
        + 0.1 * clamp(reputation)
    )


@given(st.lists(st.tuples(amounts, amounts, shares, shares, shares), min_size=1, max_size=20))
def test_the_score_is_the_specified_one(nodes):
    """Vectorised over any nodes, the score equals the formula of the specification for each of them."""
    weighted = health.terms(*np.array(nodes).T)

    assert health.score(weighted) == pytest.approx([specified(*node) for node in nodes])


@given(st.tuples(amounts, amounts, shares, shares, shares))
def test_no_report_takes_a_term_out_of_its_bounds(node):
    """Each term lies between 0 and its weight, and they add up to the score."""
    weighted = health.terms(*np.array([node]).T)[:, 0]

    assert all(0 <= term <= weight for term, weight in zip(weighted, health.WEIGHTS, strict=True))
    assert sum(weighted) == pytest.approx(health.score(weighted[:, None])[0])


def test_the_score_takes_a_known_value():
    """A gigabit at 20 ms, a quarter and three quarters free, reputation 0.5: 0.4 + 0.24 + 0.1 + 0.05."""
    weighted = health.terms(*np.array([[1000.0], [20.0], [0.25], [0.75], [0.5]]))

    assert weighted[:, 0] == pytest.approx([0.4, 0.24, 0.1, 0.05])
