"""A service's clock: the server's time, which this machine's clock does not move."""

import time

import pytest

from bus.clock import ServerClock
from bus.connection import Bus


class _Steady:
    """A monotonic clock that a test may shift, which is the same as setting the server's clock the other way."""

    def __init__(self) -> None:
        self.shift_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.shift_s


async def test_a_wrong_clock_of_this_machine_is_not_seen(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that is a day ahead, the time is the server's; put right later, it goes on as before."""
    right = time.time
    with monkeypatch.context() as wrong:
        wrong.setattr("bus.clock.time.time", lambda: right() + 86_400)
        clock = ServerClock(bus)
        before = clock.now_ms() / 1000 - right()
        await clock.look()
        looked = clock.now_ms() / 1000 - right()
    await clock.look()
    after = clock.now_ms() / 1000 - right()

    assert before == pytest.approx(86_400, abs=5)
    assert looked == pytest.approx(0, abs=5)
    assert after == pytest.approx(0, abs=5)
    assert abs(clock.ahead_ms) < 5_000


@pytest.mark.parametrize("set_s", [3_600, -90_000])
async def test_a_server_whose_clock_is_set_moves_deadlines_and_no_span(bus: Bus, set_s: float) -> None:
    """`now_ms` goes on as if nothing had been; `ahead_ms` says by how much the server was set."""
    steady = _Steady()
    clock = ServerClock(bus, steady=steady)
    await clock.look()
    begun_ms = clock.now_ms()
    steady.shift_s = -set_s
    await clock.look()
    passed_ms = clock.now_ms() + set_s * 1000 - begun_ms

    assert 0 <= passed_ms < 5_000
    assert clock.ahead_ms == pytest.approx(set_s * 1000, abs=5_000)


async def test_a_clock_that_is_given_counts_alone(bus: Bus) -> None:
    """No server is asked."""
    clock = ServerClock(bus, "no-such-log", instead=lambda: 1234.5)
    await clock.look()

    assert (clock.now_ms(), clock.ahead_ms) == (1_234_500, 0)
