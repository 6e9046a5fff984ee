"""Breakers: they open at the specification's values, close lower, and never flap in between."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.breakers import BreakerLimits, Breakers

LIMITS = BreakerLimits()


def test_heat_opens_above_85_and_closes_below_75() -> None:
    """Between the two values a breaker stays as it is."""
    breakers = Breakers()
    states = []
    for celsius in (85.0, 85.1, 80.0, 75.1, 74.9, 80.0):
        breakers.measured(0, temperature_c=celsius)
        states.append(bool(breakers.reason))

    assert states == [False, True, True, True, False, False]


def test_the_reason_names_value_and_limit() -> None:
    """A person reads what is wrong, and how far."""
    breakers = Breakers()
    breakers.measured(0, temperature_c=91.2, latency_ms=250.0)

    assert breakers.reason == "temperature 91 °C, over 85 °C; latency 250 ms, over 100 ms"


def test_one_slow_ping_does_not_open_and_a_slow_network_does() -> None:
    """Latency is a moving average: it opens above 100 ms and closes below 70 ms."""
    breakers = Breakers()
    breakers.measured(0, latency_ms=10.0)
    breakers.measured(0, latency_ms=250.0)
    assert breakers.reason == ""

    for _ in range(10):
        breakers.measured(0, latency_ms=150.0)
    assert "latency" in breakers.reason
    while (breakers.latency_ms or 0) > LIMITS.latency_closes_ms:
        assert "latency" in breakers.reason
        breakers.measured(0, latency_ms=20.0)
    assert breakers.reason == ""


def test_25_consecutive_errors_open_and_the_cool_down_allows_one_more_try() -> None:
    """After the cool-down one error opens again at once, and one success closes for good."""
    breakers = Breakers()
    for _ in range(24):
        breakers.fault(0)
    assert breakers.reason == ""
    breakers.fault(0)
    assert "25 consecutive errors" in breakers.reason
    breakers.tick(LIMITS.errors_close_after_s - 0.1)
    assert breakers.reason
    breakers.tick(LIMITS.errors_close_after_s)
    assert breakers.reason == ""

    breakers.fault(40)
    assert breakers.reason
    breakers.success()
    assert (breakers.reason, breakers.errors) == ("", 0)


def test_a_success_between_errors_begins_the_count_anew() -> None:
    """Only consecutive errors count."""
    breakers = Breakers()
    for _ in range(3):
        for _ in range(24):
            breakers.fault(0)
        breakers.success()

    assert breakers.reason == ""


def test_trouble_of_the_node_opens_and_closes() -> None:
    """A full disk is a reason like the others, and goes with its cause."""
    breakers = Breakers()
    breakers.trouble("disk full")
    assert breakers.reason == "disk full"
    breakers.trouble("")
    assert breakers.reason == ""


@given(st.lists(st.floats(min_value=0, max_value=200), max_size=50))
def test_the_state_follows_from_the_last_crossing(history: list[float]) -> None:
    """Whatever was measured: open exactly if the newest value outside the band 75..85 °C was above it."""
    breakers = Breakers()
    expected = False
    for celsius in history:
        breakers.measured(0, temperature_c=celsius)
        expected = True if celsius > 85 else False if celsius <= 75 else expected
        assert bool(breakers.reason) is expected


@pytest.mark.parametrize("unknown", [{"temperature_c": None}, {"latency_ms": None}])
def test_what_cannot_be_measured_changes_nothing(unknown: dict[str, None]) -> None:
    """A sensor that is gone neither opens nor closes its breaker."""
    breakers = Breakers()
    breakers.measured(0, temperature_c=90.0, latency_ms=500.0)
    before = breakers.reason
    breakers.measured(1, **unknown)

    assert breakers.reason == before


def test_each_opening_is_counted_once_by_its_reason() -> None:
    """A breaker that stays open trips once; one that closed and opens again trips twice."""
    breakers = Breakers()
    for celsius in (90.0, 91.0, 70.0, 90.0):
        breakers.measured(0, temperature_c=celsius)
    for reason in ("disk full", "disk full", "log full", "", "disk full"):
        breakers.trouble(reason)
    for _ in range(LIMITS.errors + 3):
        breakers.fault(1.0)

    assert breakers.trips == {"temperature": 2, "latency": 0, "errors": 1, "means": 2}
    assert breakers.open == {"temperature", "errors", "means"}

    breakers.success()
    assert breakers.open == {"temperature", "means"}
