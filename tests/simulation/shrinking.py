"""From a failing history to a short one: take away faults, submissions, lines, nodes and troubles of the network while it still fails alike.

Guarantees that what is returned breaks the same rule as what was given. Greedy and bounded: a history costs some milliseconds.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from tests.simulation.scenario import Network, Scenario
from tests.simulation.world import Parts, play

__all__ = ["shrink"]

_MOST = 3_000


def shrink(scenario: Scenario, parts: Parts, *, most: int = _MOST) -> Scenario:
    """The shortest scenario found, after at most `most` histories; raises `ValueError` for one that does not fail."""
    broken = play(scenario, parts).violation
    if broken is None:
        raise ValueError(f"seed {scenario.seed} breaks no promise: there is nothing to shrink")
    shrinker = _Shrinker(scenario, parts, broken.rule, most)
    before = None
    while before != shrinker.scenario and shrinker.left > 0:
        before = shrinker.scenario
        shrinker.sweep()
    return shrinker.scenario


class _Shrinker:
    """The shortest scenario so far, and how many more histories may be played."""

    def __init__(self, scenario: Scenario, parts: Parts, rule: str, left: int) -> None:
        self.scenario = scenario
        self.left = left
        self._parts = parts
        self._rule = rule

    def sweep(self) -> None:
        """Try to take away each thing once, much at a time first."""
        for name in ("faults", "submissions", "nodes", "coordinators", "verifiers"):
            self._fewer(getattr(self.scenario, name), partial(self._given, name))
        self._try(self._with(network=Network(delay_ms=self.scenario.network.delay_ms)))
        for name in ("drop", "duplicate", "lost_answers"):
            self._try(self._with(network=replace(self.scenario.network, **{name: 0.0})))
        self._try(self._with(skews_ms=(0,)))
        self._try(self._with(checkpoint_ms=0.0))
        self._try(self._with(crowded=False))
        self._try(self._with(calm_ms=self.scenario.calm_ms / 2))
        for at in range(len(self.scenario.submissions)):
            self._fewer(self.scenario.submissions[at].lines, partial(self._asking, at))
            self._try(self._changed("submissions", at, again=0))
        for at in range(len(self.scenario.nodes)):
            for name in ("lies", "faults", "forges", "garbles", "skew_ms", "twin"):
                self._try(self._changed("nodes", at, **{name: 0}))

    def _fewer(self, items: tuple[Any, ...], of: Callable[[tuple[Any, ...]], Scenario]) -> None:
        size = len(items)
        while size:
            start = 0
            while start < len(items):
                fewer = items[:start] + items[start + size :]
                if self._try(of(fewer)):
                    items = fewer
                else:
                    start += size
            size //= 2

    def _try(self, candidate: Scenario) -> bool:
        """Go on with the candidate if it fails alike."""
        if self.left <= 0 or candidate == self.scenario or not candidate.can_end():
            return False
        self.left -= 1
        broken = play(candidate, self._parts).violation
        if broken is None or broken.rule != self._rule:
            return False
        self.scenario = candidate
        return True

    def _given(self, name: str, items: tuple[Any, ...]) -> Scenario:
        return self._with(**{name: items})

    def _asking(self, at: int, lines: tuple[bytes, ...]) -> Scenario:
        return self._changed("submissions", at, lines=lines)

    def _with(self, **fields: Any) -> Scenario:
        return replace(self.scenario, **fields)

    def _changed(self, name: str, at: int, **fields: Any) -> Scenario:
        items = getattr(self.scenario, name)
        return self._with(**{name: (*items[:at], replace(items[at], **fields), *items[at + 1 :])})
