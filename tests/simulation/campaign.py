"""Many histories, in as many processes as there are cores, each in small portions so that a slow one holds nobody up.

Guarantees that portions come back in the order of their seeds, that memory is bounded however many seeds there are, and that whoever stops
listening (ctrl-C, too) ends the processes.
"""

import gc
import logging
import os
import signal
import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

import structlog

from tests.simulation.drawing import draw
from tests.simulation.mutations import MUTATIONS
from tests.simulation.world import History, Parts, play

__all__ = ["Spread", "Tally", "be_quiet", "campaign", "parts_of"]

_PORTION = 50
_AHEAD = 8
"""Portions for each process that are given out before the first of them is back."""


class Spread:
    """How a number is distributed, in steps of `step`: as large for a million histories as for a hundred."""

    def __init__(self, step: int) -> None:
        self.step = step
        self._many: Counter[int] = Counter()

    def note(self, value: float) -> None:
        """Count one."""
        self._many[int(value) // self.step] += 1

    def add(self, other: "Spread") -> None:
        """Count another spread of the same step in."""
        self._many.update(other._many)

    def at(self, share: float) -> int:
        """What so large a share of all does not exceed, to a step; 0.0 is the least, 1.0 the most."""
        left = share * self._many.total()
        value = 0
        for value in sorted(self._many):
            left -= self._many[value]
            if left <= 0:
                break
        return value * self.step

    def share_from(self, value: int) -> float:
        """The share of all that is not less than `value`, to a step."""
        many = sum(count for at, count in self._many.items() if at * self.step >= value)
        return many / max(1, self._many.total())


@dataclass(slots=True)
class Tally:
    """What came of some seeds; `broken` are (seed, promise). `cpu_s` is processor time, summed over all processes.

    `following` is the seed after the last one that was played.
    """

    following: int = 0
    histories: int = 0
    events: int = 0
    simulated_ms: float = 0.0
    cpu_s: float = 0.0
    events_each: Spread = field(default_factory=lambda: Spread(10))
    settled_ms: Spread = field(default_factory=lambda: Spread(100))
    broken: list[tuple[int, str]] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)

    def note(self, history: History) -> None:
        """Count one history."""
        self.following = history.scenario.seed + 1
        self.histories += 1
        self.events += history.events
        self.simulated_ms += history.simulated_ms
        self.events_each.note(history.events)
        self.settled_ms.note(history.settled_ms)
        self.counted.update(history.counted)
        if history.violation is not None:
            self.broken.append((history.scenario.seed, str(history.violation)))

    def add(self, other: "Tally") -> None:
        """Count another tally in, of later seeds."""
        self.following = max(self.following, other.following)
        self.histories += other.histories
        self.events += other.events
        self.simulated_ms += other.simulated_ms
        self.cpu_s += other.cpu_s
        self.events_each.add(other.events_each)
        self.settled_ms.add(other.settled_ms)
        self.broken += other.broken
        self.counted.update(other.counted)

    @property
    def rate(self) -> float:
        """Histories in a second of one core."""
        return self.histories / self.cpu_s if self.cpu_s else 0.0

    def __str__(self) -> str:
        """For a terminal."""
        each, hours = self.events / max(1, self.histories), self.simulated_ms / 3_600_000
        least, half = self.events_each.at(0.0), self.events_each.at(0.5)
        settled = [self.settled_ms.at(share) / 1000 for share in (0.5, 0.99, 1.0)]
        return (
            f"{self.histories:,} histories, {self.rate:.0f}/s of one core; {self.events:,} events, {each:.0f} each "
            f"({half} in the median, {least} at least); {hours:.1f} h of simulated time; {len(self.broken)} broken\n"
            f"from the last fault to the end of everything: {settled[0]:.1f} s in the median, "
            f"{settled[1]:.1f} s in 99 of 100, {settled[2]:.1f} s at most"
        )


def be_quiet() -> None:
    """The cores' log lines would cost more than the cores."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def parts_of(mutation: str) -> Parts:
    """The parts of a mutation by its name; the real ones for the empty name."""
    return MUTATIONS[mutation] if mutation else Parts()


def campaign(
    seeds: range, *, mutation: str = "", brief: bool = False, jobs: int = 0, until_s: float = float("inf")
) -> Iterator[Tally]:
    """Play these seeds, with as many processes as there are cores by default; yields the tally of each portion.

    After `until_s` (of `time.monotonic`) no more are begun.
    """
    jobs = jobs or os.cpu_count() or 1
    portions = (seeds[at : at + _PORTION] for at in range(0, len(seeds), _PORTION))
    if jobs == 1:
        yield from (_portion(portion, mutation, until_s, brief=brief) for portion in portions)
        return
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_begin)
    under_way: deque[Future[Tally]] = deque()
    try:
        for portion in portions:
            under_way.append(pool.submit(_portion, portion, mutation, until_s, brief=brief))
            if len(under_way) >= jobs * _AHEAD:
                yield under_way.popleft().result()
            if time.monotonic() >= until_s:
                break
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    be_quiet()
    # Ctrl-C goes to all of a terminal's processes; this one ends when the first one says so.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _portion(seeds: range, mutation: str, until_s: float, *, brief: bool) -> Tally:
    tally, parts, begun = Tally(), parts_of(mutation), time.process_time()
    # A world is one web of cycles: looked at once, when it is done, and without all that was imported. So the next one is built in the
    # memory of the last, which the processor's caches still have.
    gc.freeze()
    gc.disable()
    try:
        for seed in seeds:
            if time.monotonic() >= until_s:
                break
            tally.note(play(draw(seed, brief=brief), parts))
            gc.collect()
    finally:
        gc.enable()
        gc.unfreeze()
    tally.cpu_s = time.process_time() - begun
    return tally
