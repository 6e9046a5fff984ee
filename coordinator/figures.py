"""What one coordinator process counts while it leads, over all its terms.

Only who leads counts: a standby folds the same logs, and would count the same things again. Counting costs some tenths of a
microsecond a task, so it is always on; `coordinator.metrics` says it to whoever asks. Pure.
"""

from typing import Literal

from metrics.histogram import Histogram
from metrics.metric import STAGE_S

__all__ = ["Figures", "Kind"]

type Kind = Literal["first", "retry", "more"]


class Figures:
    """Counts and histograms; times come in as milliseconds of the servers' clock."""

    def __init__(self) -> None:
        self.read = 0
        self.refused = 0
        self.lost = 0
        self.gone = {"dead": 0, "left": 0}
        self.decided: dict[Kind, int] = {"first": 0, "retry": 0, "more": 0}
        self.stages = {stage: Histogram(STAGE_S) for stage in ("decide", "run", "judge")}
        self.whole = {status: Histogram(STAGE_S) for status in ("verified", "failed", "cancelled", "expired")}
        self._decide, self._run, self._judge = self.stages.values()

    def __repr__(self) -> str:
        """How much was counted."""
        return f"Figures(read={self.read}, decided={self.decided}, lost={self.lost})"

    def placed(self, waited_ms: int) -> None:
        """A first attempt is durable, `waited_ms` after its task was submitted."""
        self._decide.observe(max(0, waited_ms) / 1000)

    def claimed(self, took_ms: int) -> None:
        """A node claims a result, `took_ms` after it was told."""
        self._run.observe(max(0, took_ms) / 1000)

    def judged(self, took_ms: int) -> None:
        """There is a verdict, `took_ms` after the last claim."""
        self._judge.observe(max(0, took_ms) / 1000)

    def ended(self, task: str, status: str, took_ms: int) -> None:
        """There is a verdict, `took_ms` after the task was submitted."""
        self.whole[status].observe_of(max(0, took_ms) / 1000, task)
