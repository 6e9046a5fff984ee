"""Checkpoints of a simulated term, and the cutting of logs below them: in an order like `folds.keeper` and `coordinator.trimmer`.

What is kept, and how far logs may be cut, is decided by the real code.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from bus.streams import Extent
from coordinator.core import Core as CoordinatorCore
from folds.manifest import Manifest
from folds.remembered import Remembered
from folds.runs import Run, build, merge
from folds.trimming import cuts, floors
from tests.simulation.leading import TermShell, Wait
from tests.simulation.server import Kept

__all__ = ["Keeper", "cut_logs"]

_SEAL_AT = 3
"""Few tasks are in a history, and some of them should be in runs."""
_LOOK_MS = 2.0
_LOOK_AT_MOST_MS = 64.0
_IDLE_AT_MOST = 4
"""Where nothing new is to be kept the next checkpoint is tried later, up to so many times the span: less happens for nothing."""


class Found(NamedTuple):
    """What the server has: manifests by fold, and the extents of the logs."""

    kept: Mapping[str, list[Manifest]]
    extents: Mapping[str, Extent]


class Keeper:
    """For one term. `state` gives positions and packed state; `is_quiet` whether nothing is undecided, after `hold(held=True)` was called."""

    def __init__(
        self,
        term: TermShell,
        remembered: Remembered,
        *,
        hold: Callable[..., None],
        is_quiet: Callable[[], bool],
        state: Callable[[], tuple[dict[str, int], bytes]],
        on_saved: Callable[[], None] = lambda: None,
    ) -> None:
        self._term = term
        self._remembered = remembered
        self._hold = hold
        self._is_quiet = is_quiet
        self._state = state
        self._on_saved = on_saved
        self._behind = 0
        self._newest: dict[str, int] = {}
        self._idle = 1

    def begin(self) -> Wait:
        """The newest checkpoint that is fit for use, or None."""
        return lambda then: self._ask_newest(lambda found: self._begun(found, then))

    def _begun(self, found: Kept | None, then: Callable[..., None]) -> None:
        if found is not None:
            self._term.world.met(f"a {self._term.role} begins from a checkpoint")
        then(found)

    def _ask_newest(self, then: Callable[[Kept | None], None]) -> None:
        term, answered = self._term, False

        def told(found: tuple[Kept | None, Kept | None]) -> None:
            nonlocal answered
            if not answered and not term.over:
                answered = True
                term.world.call_off(patience)
                newest, fit = found
                if newest is not None:
                    self._behind, self._newest = newest.number, newest.positions
                then(fit)

        def silent() -> None:
            if not answered:
                term.end("the bus is not ready", 500.0)

        server = term.world.server
        term.process.send(server.ask, term.process.asker(told), lambda: server.load(term.role))
        patience = term.process.after(1_000.0, silent)

    def run(self) -> None:
        """Keep the fold from now on, for as long as it leads."""
        every_ms = self._term.world.scenario.checkpoint_ms * self._idle
        if every_ms:
            self._term.process.after(every_ms, self._due)

    def _due(self) -> None:
        if self._term.over or not self._term.leading:
            return
        self._hold(held=True)
        self._when_quiet()

    def _when_quiet(self, look_ms: float = _LOOK_MS) -> None:
        term = self._term
        if term.over or not term.leading:
            self._hold(held=False)
            return
        if not self._is_quiet():
            term.process.after(look_ms, self._when_quiet, min(2 * look_ms, _LOOK_AT_MOST_MS))
            return
        self._seal()
        positions, packed = self._state()
        if not self._is_further(positions):
            self._idle = min(self._idle + 1, _IDLE_AT_MOST)
            self.run()
            self._hold(held=False)
            return
        self._idle = 1
        self.run()
        kept = Kept(0, positions, packed, tuple(self._remembered.runs))
        self._hold(held=False)
        server, behind = term.world.server, self._behind
        term.process.send(
            server.ask,
            term.process.asker(lambda number: self._saved(number, positions)),
            lambda: server.save(term.role, behind, kept),
        )

    def _saved(self, number: int, positions: dict[str, int]) -> None:
        if self._term.over:
            return
        if number:
            self._behind, self._newest = number, positions
            self._on_saved()
        else:  # somebody else's is newer, or the answer to an earlier one was lost
            self._ask_newest(lambda _: None)

    def _is_further(self, positions: dict[str, int]) -> bool:
        """As `folds.keeper`: further than the newest in some log, and less far in none; logs may have been cut up to it."""
        ahead = [at - self._newest.get(log, 0) for log, at in positions.items()]
        return min(ahead) >= 0 and max(ahead) > 0

    def _seal(self) -> None:
        given = self._remembered.to_seal(_SEAL_AT)
        if given is not None:
            self._remembered.sealed(Run(build(*given)))
        group = self._remembered.to_merge()
        if group is not None:
            self._remembered.merged(group, Run(merge(group)))


def cut_logs(term: TermShell, core: CoordinatorCore, now_ms: int) -> None:
    """As `coordinator.trimmer.Trimmer.trim`."""
    server, scenario = term.world.server, term.world.scenario

    def question() -> Found:
        kept = {
            fold: [Manifest(fold=fold, version=1, positions=each.positions, written_ms=0) for each in found]
            for fold, found in server.checkpoints.items()
        }
        size = 90 if scenario.crowded else 0
        return Found(
            kept, {name: Extent(log.first, log.last, size, 100) for name, log in server.logs.items()}
        )

    def told(found: Found) -> None:
        core.verdicts_from = found.extents["verdicts"].first
        reached = floors({fold: kept for fold, kept in found.kept.items() if kept})
        if term.over or reached is None:
            return
        to: dict[str, Any] = cuts(
            core.marks,
            now_ms,
            int(scenario.keep_ms),
            extents=found.extents,
            floors=reached,
            oldest_open=min((task.source[0] for task in core.ledger.open.values()), default=0),
        )
        if core.enrol_again(to.get("assignments", 0)):
            return
        core.verdicts_from = to.get("verdicts", core.verdicts_from)
        for log in sorted(to, key=lambda log: log == "verdicts"):
            term.process.send(server.trim, log, to[log])

    term.process.send(server.ask, term.process.asker(told), question)
