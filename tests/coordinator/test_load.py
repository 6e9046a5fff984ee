"""When a cluster has enough: bounds, hysteresis, and waits that are told only where they are known."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bus.gate import LogState
from coordinator.load import Held, Load
from coordinator.settings import Settings

SETTINGS = Settings(data=Path(), full_tasks=10_000, full_bytes=1_000_000, full_wait_s=600)


def log(last: int = 0, *, size: int = 0, most: int = 0) -> LogState:
    return LogState(last=last, messages=last, bytes=size, max_bytes=most, is_open=True)


def working(per_s: float, open_tasks: int, *, hopeless: int = 0, seconds: int = 30) -> Load:
    """A load after `seconds` in which so many tasks a second ended and others came in their place."""
    load = Load(SETTINGS)
    for second in range(seconds + 1):
        load.look(second * 1000, log(), 0, Held(open_tasks, open_tasks, hopeless))
        load.ended(round(per_s))
    return load


def test_an_empty_cluster_has_room_and_nothing_to_wait_for() -> None:
    """Nothing waits, so the wait is none, known, and no retry is advised."""
    load = Load(SETTINGS)
    load.look(0, log(), 0, Held(0, 0))
    reply = load.reply()

    assert (reply.full, reply.backlog, reply.wait_ms, reply.retry_after_ms) == ("", 0, 0, 0)


def test_what_is_not_read_counts_by_what_messages_usually_hold() -> None:
    """A thousand unread messages of ten lines are ten thousand tasks."""
    load = Load(SETTINGS)
    for _ in range(2000):
        load.read(10, 50)
    load.look(0, log(1500), 500, Held(0, 0))

    assert load.backlog == 10_000
    assert load.full == "10,000 tasks wait, 10,000 are the most"


def test_the_wait_is_what_waits_over_the_rate_and_shuts_the_gate() -> None:
    """Four thousand tasks at five a second are 800 s, more than the 600 s that are accepted; a fifth less is not."""
    too_much, enough = working(5, 4000), working(5, 2900)

    assert too_much.wait_s == 800
    assert "800 s of work" in too_much.full
    assert 1 <= too_much.retry_after_s <= 60
    assert enough.full == ""


def test_few_tasks_are_taken_however_long_they_last() -> None:
    """A thousand tasks of a minute each are nobody's burden."""
    assert working(1, 1000).full == ""


def test_a_wait_without_a_verdict_is_unknown_and_refuses_nobody() -> None:
    """Long tasks that have just begun say nothing about a rate."""
    load = working(0, 5000)

    assert load.wait_s is None
    assert load.full == ""
    assert load.reply().wait_ms is None


def test_a_slow_first_moment_is_no_rate() -> None:
    """One verdict a second for five seconds, while modules are compiled, does not make five thousand tasks an hour of work."""
    assert working(1, 5000, seconds=5).wait_s is None
    assert working(100, 5000, seconds=10).wait_s == 50


def test_tasks_that_no_node_fits_make_nobody_wait() -> None:
    """Anybody may submit tasks for nodes that do not exist; they count for memory, not for time."""
    assert working(2, 9000, hopeless=8900).full == ""
    assert working(2, 10_000, hopeless=9900).full


def test_a_long_task_for_an_hour_does_not_make_short_ones_wait() -> None:
    """What a cluster does when it is asked for little says nothing of what it can do: a flood after that is accepted."""
    load = Load(SETTINGS)
    for second in range(3600):
        load.look(second * 1000, log(), 0, Held(1, 1))
        load.ended(int(second % 60 == 0))
    load.look(3_600_000, log(), 0, Held(9000, 9000))

    assert load.wait_s is None
    assert load.full == ""


def test_verdicts_in_quiet_times_do_not_count_as_speed() -> None:
    """A thousand a second for a few tasks each, then a jam at five a second: the jam's rate is told."""
    load = working(1000, 500)
    for second in range(31, 62):
        load.look(second * 1000, log(), 0, Held(4000, 4000))
        load.ended(5)

    assert load.wait_s is not None
    assert 700 < load.wait_s < 900


def test_an_idle_hour_does_not_make_the_rate_slow() -> None:
    """Only time in which something waited counts."""
    load = working(5, 2000)
    load.look(4_000_000, log(), 0, Held(0, 0))
    load.look(4_000_500, log(), 0, Held(2000, 2000))

    assert load.wait_s is not None
    assert load.wait_s < 600


def test_a_log_near_its_own_limit_is_told_and_left_to_refuse_by_itself() -> None:
    """The gate is for what waits; a log that is full of the past is the operator's to trim."""
    load = Load(SETTINGS)
    load.look(0, log(5, size=980, most=1000), 5, Held(0, 0))

    assert "max_bytes" in load.full
    assert not load.is_over


@given(st.lists(st.integers(min_value=0, max_value=30_000), min_size=1, max_size=60))
def test_the_gate_moves_only_across_both_bounds(backlogs: list[int]) -> None:
    """It shuts at the bound and opens a fifth below; between them it stays as it was, and who is refused is told when to return."""
    load = Load(SETTINGS)
    over = False
    for second, backlog in enumerate(backlogs):
        load.look(second * 1000, log(), 0, Held(backlog, 0))
        over = backlog >= (8000 if over else 10_000)

        assert load.is_over == over
        assert bool(load.full) == over
        assert (1 <= load.retry_after_s <= 60) == over
