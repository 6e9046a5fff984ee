"""The time for which slots had work, over generated stretches."""

from hypothesis import given
from hypothesis import strategies as st

from sandbox.work import Work


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(("given", "empty", "lost")), st.integers(0, 5))))
def test_a_slot_is_busy_from_its_first_job_until_nothing_is_left(steps: list[tuple[int, str, int]]) -> None:
    """Second by second: whatever is given twice or emptied twice, each second of each slot counts once."""
    work, busy, wanted, losses, now = Work(3), set[int](), 0, 0, 0
    for slot, what, passed in steps:
        wanted += len(busy) * passed
        now += passed
        getattr(work, what)(slot, float(now))
        losses += what == "lost"
        if what == "given":
            busy.add(slot)
        else:
            busy.discard(slot)

    assert work.busy_s(float(now)) == wanted
    assert work.losses == losses
