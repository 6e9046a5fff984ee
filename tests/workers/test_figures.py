"""What a node counts of its attempts."""

from sandbox.job import Outcome, fault
from workers.figures import Figures


def test_an_attempt_counts_by_its_end_and_a_guest_that_ran_by_its_cost() -> None:
    """One that never ran (its slot died, its module could not be had) has no time, and would draw every quantile to 0."""
    figures = Figures()
    figures.answered(Outcome(status="ok", wall_ms=300.0, fuel=50, peak_memory_bytes=65_536))
    figures.answered(Outcome(status="failed", reason="trap", wall_ms=0.2, fuel=7, peak_memory_bytes=65_537))
    figures.answered(fault("crash", "it died"))
    counted = {bucket.bound: bucket.total for bucket in figures.guest_s.buckets()}

    assert figures.attempts == {("ok", ""): 1, ("failed", "trap"): 1, ("fault", "crash"): 1}
    assert figures.fuel == 57
    assert (counted[0.1], counted[0.3], counted[float("inf")]) == (1, 2, 2)
    assert round(figures.guest_s.sum, 6) == 0.3002
    assert [bucket.total for bucket in figures.peak_bytes.buckets()][:2] == [1, 2]
