"""Scripting in each frame, out of a browser's trace: nothing is counted twice, and nothing is lost between two frames."""

from hypothesis import given
from hypothesis import strategies as st

from bench.dashboard import Span, per_frame


def test_what_is_nested_counts_once_and_by_what_it_ran() -> None:
    """A function within an animation frame is part of it; time that the thread had to wait for a core is nobody's scripting."""
    spans = [
        Span(0, 4_000, 4_000, "FireAnimationFrame"),
        Span(1_000, 2_000, 2_000, "FunctionCall"),
        Span(9_000, 6_000, 1_500, "TimerFire"),
        Span(16_700, 500, 500, "FireAnimationFrame"),
        Span(33_400, 500, 500, "FireAnimationFrame"),
    ]

    assert per_frame(spans) == [5.5, 0.5]


def test_callbacks_of_one_frame_are_one_frame() -> None:
    """Two that asked for the same animation frame are called one after the other."""
    spans = [Span(at + lag, 300, 300, "FireAnimationFrame") for at in (0, 16_700, 33_400) for lag in (0, 400)]

    assert per_frame(spans) == [0.6, 0.6]


@given(
    gaps=st.lists(st.integers(5_000, 40_000), min_size=2, max_size=30),
    work=st.lists(st.integers(0, 4_000), min_size=30, max_size=30),
)
def test_all_scripting_is_in_some_frame(gaps: list[int], work: list[int]) -> None:
    """However irregular the frames: their sum is what ran between the first and the last."""
    at, spans = 0, []
    for gap, ran in zip(gaps, work, strict=False):
        spans += [Span(at, 100, 100, "FireAnimationFrame"), Span(at + 200, ran, ran, "RunMicrotasks")]
        at += gap
    spans.append(Span(at, 100, 100, "FireAnimationFrame"))
    found = per_frame(spans)

    assert len(found) == len(gaps)
    assert round(sum(found) * 1000) == sum(span.ran for span in spans) - 100
