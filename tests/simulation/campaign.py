"""Many histories, in as many processes as there are cores, each in small portions so that a slow one holds nobody up."""

import gc
import logging
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

import structlog

from tests.simulation.drawing import draw
from tests.simulation.mutations import MUTATIONS
from tests.simulation.world import Parts, play

__all__ = ["Tally", "be_quiet", "campaign", "parts_of"]

_PORTION = 25


@dataclass(slots=True)
class Tally:
    """What came of some seeds; `broken` are (seed, promise). `cpu_s` is processor time, summed over all processes."""

    histories: int = 0
    events: int = 0
    simulated_ms: float = 0.0
    cpu_s: float = 0.0
    settled_ms: list[int] = field(default_factory=list)
    broken: list[tuple[int, str]] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Count another tally in."""
        self.histories += other.histories
        self.events += other.events
        self.simulated_ms += other.simulated_ms
        self.cpu_s += other.cpu_s
        self.settled_ms += other.settled_ms
        self.broken += other.broken
        self.counted.update(other.counted)

    def __str__(self) -> str:
        """For a terminal."""
        each = self.events // max(1, self.histories)
        rate = self.histories / self.cpu_s if self.cpu_s else 0.0
        hours = self.simulated_ms / 3_600_000
        return (
            f"{self.histories} histories, {self.events} events ({each} each), {hours:.1f} h of simulated time; "
            f"{rate:.0f} histories/s of one core; {len(self.broken)} broken\n"
            f"from the last fault to the end of everything: {self._settled()}"
        )

    def _settled(self) -> str:
        told = sorted(self.settled_ms)
        if not told:
            return "nothing was played"
        half, most = told[len(told) // 2] / 1000, told[-1] / 1000
        return f"{half:.1f} s in the median, {told[99 * len(told) // 100] / 1000:.1f} s in 99 of 100, {most:.1f} s at most"


def be_quiet() -> None:
    """The cores' log lines would cost more than the cores."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def parts_of(mutation: str) -> Parts:
    """The parts of a mutation by its name; the real ones for the empty name."""
    return MUTATIONS[mutation] if mutation else Parts()


def campaign(
    seeds: Iterable[int], *, mutation: str = "", jobs: int = 0, until_s: float = float("inf")
) -> Iterator[Tally]:
    """Play these seeds, with as many processes as there are cores by default; yields a tally now and then.

    After `until_s` (of `time.monotonic`) no more are begun.
    """
    jobs = jobs or os.cpu_count() or 1
    numbers = list(seeds)
    portions = [numbers[at : at + _PORTION] for at in range(0, len(numbers), _PORTION)]
    if jobs == 1:
        yield from (_portion(portion, mutation, until_s) for portion in portions)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=be_quiet) as pool:
        count = len(portions)
        yield from pool.map(_portion, portions, [mutation] * count, [until_s] * count)


def _portion(seeds: list[int], mutation: str, until_s: float) -> Tally:
    tally, parts, begun = Tally(), parts_of(mutation), time.process_time()
    # A world is one web of cycles: looked at when it is done, not a hundred times before, and without all that was imported.
    gc.freeze()
    gc.disable()
    try:
        for seed in seeds:
            if time.monotonic() >= until_s:
                break
            history = play(draw(seed), parts)
            tally.histories += 1
            tally.events += history.events
            tally.simulated_ms += history.simulated_ms
            tally.settled_ms.append(int(history.settled_ms))
            tally.counted.update(history.counted)
            if history.violation is not None:
                tally.broken.append((seed, str(history.violation)))
    finally:
        gc.enable()
        gc.collect()
    tally.cpu_s = time.process_time() - begun
    return tally
