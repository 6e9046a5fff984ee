"""What one coordinator process counts while it leads, over all its terms.

Only who leads counts: a standby folds the same logs, and would count the same things again. Counting costs some tenths of a
microsecond a task, so it is always on; `coordinator.metrics` says it to whoever asks. Pure.
"""

from typing import Literal

from metrics.histogram import Histogram
from metrics.metric import STAGE_S

__all__ = ["Figures", "Kind"]

_MS = 1000

type Kind = Literal["first", "retry", "more"]


class Figures:
    """Counts and histograms; times come in as milliseconds of the servers' clock."""

    def __init__(self) -> None:
        self.read = 0
        self.refused = 0
        self.lost = 0
        self.gone = {"dead": 0, "left": 0}
        self.decided: dict[Kind, int] = {"first": 0, "retry": 0, "more": 0}
        self.stages = {stage: Histogram(STAGE_S, _MS) for stage in ("decide", "run", "judge")}
        self.whole = {
            status: Histogram(STAGE_S, _MS) for status in ("verified", "failed", "cancelled", "expired")
        }
        decide, run, judge = self.stages.values()
        self.placed = decide.observe
        """A first attempt is durable, so many milliseconds after its task was submitted."""
        self.claimed = run.observe
        """A node claims a result, so many milliseconds after it was told."""
        self.judged = judge.observe
        """There is a verdict, so many milliseconds after the last claim."""

    def __repr__(self) -> str:
        """How much was counted."""
        return f"Figures(read={self.read}, decided={self.decided}, lost={self.lost})"

    def ended(self, task: str, status: str, took_ms: int) -> None:
        """There is a verdict, `took_ms` after the task was submitted."""
        self.whole[status].observe_of(took_ms, task)
