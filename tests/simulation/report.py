"""What a campaign says while it runs and when it ends: seeds that fail at once, how far it is now and then, a summary whatever ended it."""

import shlex
import sys
import time
from collections.abc import Iterable
from typing import TextIO

from tests.simulation.campaign import Tally
from tests.simulation.coverage import table

__all__ = ["Report"]

_EVERY_S = 5.0
_EVERY_IN_A_FILE_S = 60.0
_TOLD = 50
"""Failing seeds that are told of; who breaks more than that knows enough."""


class Report:
    """For these seeds. `out` is told every few seconds if it is a terminal, and every minute if it is a file."""

    def __init__(
        self,
        seeds: range,
        *,
        mutation: str = "",
        brief: bool = False,
        bounded: bool = True,
        out: TextIO = sys.stdout,
    ) -> None:
        self.total = Tally(following=seeds.start)
        self._seeds = seeds
        self._options = (" --brief" if brief else "") + (
            f" --mutation {shlex.quote(mutation)}" if mutation else ""
        )
        self._bounded = bounded
        self._out = out
        self._begun = self._told = time.monotonic()
        self._every_s = _EVERY_S if out.isatty() else _EVERY_IN_A_FILE_S

    def follow(self, tallies: Iterable[Tally]) -> bool:
        """Count and tell until the campaign ends; False if it was interrupted (ctrl-C)."""
        try:
            for tally in tallies:
                self._count(tally)
        except KeyboardInterrupt:
            return False
        return True

    def _count(self, tally: Tally) -> None:
        known = len(self.total.broken)
        self.total.add(tally)
        for seed, promise in tally.broken[: max(0, _TOLD - known)]:
            self._say(f"seed {seed}: {promise}\n    {self._command(seed)}")
        if time.monotonic() - self._told >= self._every_s:
            self._told = time.monotonic()
            self._say(self._progress())

    def _progress(self) -> str:
        total, passed_s = self.total, time.monotonic() - self._begun
        done, each = total.histories, total.events / max(1, total.histories)
        far = f"{done:,} histories"
        if self._bounded:
            left_s = passed_s * (len(self._seeds) - done) / max(1, done)
            far += f" of {len(self._seeds):,}, {left_s / 60:.0f} min left"
        return f"{far}; {total.rate:.0f}/s of one core, {each:.0f} events each, {len(total.broken)} broken"

    def end(self, *, coverage: bool, whole: bool) -> None:
        """The summary; of a campaign that was not played to its end, also how to go on with it."""
        self._say(f"{self.total}; {time.monotonic() - self._begun:.1f} s")
        if coverage:
            self._say("\n".join(table(self.total.counted, self.total.histories, self.total.cpu_s)))
        if self.total.broken:
            self._say(f"look at one: {self._command(self.total.broken[0][0])}")
        if not whole:
            rest = f"--seeds {self.total.following}-{self._seeds.stop}{self._options}"
            self._say(f"interrupted; the rest: python -m tests.simulation {rest}")

    def _command(self, seed: int) -> str:
        return f"python -m tests.simulation --seed {seed}{self._options} --shrink"

    def _say(self, text: str) -> None:
        print(text, file=self._out, flush=True)
