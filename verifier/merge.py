"""The deterministic merge of RESULTS with ASSIGNMENTS.

Guarantees that claims come out in the order of RESULTS, and each only once ASSIGNMENTS is folded up to every decision it answers: a
result can overtake the decision that asked for it on the way here, never in the logs. Pure; the shell asks the server for the
log's real end when claims wait suspiciously long, and `cut` then drops answers to decisions that do not exist.

Only a key that once answered a decision that did not exist loses its place in the order: what it claims ahead waits aside, so that
it cannot hold the others up. It is not dropped: its node may have been given that task, and someone waits for the verdict.
"""

from bisect import insort
from collections import deque

from verifier.claims import Claims

__all__ = ["Merge"]

_FORGERS_MAX = 1024
"""Keys remembered as forgers at most; making a key costs nothing, so the set must not grow with them."""
_ASIDE_MAX = 4096
"""Answers of forgers that wait aside at most. Beyond, the one to the farthest decision is dropped: those that exist are nearer."""


class Merge:
    """Holds claims back until their decisions are known."""

    def __init__(self) -> None:
        self._held: deque[Claims] = deque()
        self._aside: list[tuple[int, int, Claims]] = []
        self._serial = 0
        self._forgers: set[str] = set()
        self._dropped = 0

    def __repr__(self) -> str:
        """How many claims wait, and for what."""
        return f"Merge(held={len(self._held)}, horizon={self.horizon}, aside={len(self._aside)})"

    def __len__(self) -> int:
        return len(self._held)

    @property
    def horizon(self) -> int:
        """The decision that the first claims held wait for, 0 if none are held."""
        return self._held[0].horizon if self._held else 0

    def offer(self, claims: Claims, decided: int) -> list[Claims]:
        """Take in the next claims of RESULTS; return what may be folded now that ASSIGNMENTS is at `decided`."""
        if claims.horizon > decided and claims.key in self._forgers:
            self._set_aside(claims, decided)
            claims = claims.within(decided)
        if not self._held and claims.horizon <= decided:
            return [claims]
        self._held.append(claims)
        return self.advance(decided)

    def advance(self, decided: int) -> list[Claims]:
        """What may be folded now, in order; last what waited aside."""
        ready: list[Claims] = []
        while self._held and self._held[0].horizon <= decided:
            ready.append(self._held.popleft())
        while self._aside and self._aside[0][0] <= decided:
            ready.append(self._aside.pop(0)[2])
        return ready

    @property
    def newest(self) -> int:
        """The sequence in RESULTS of the last claims held, 0 if none are held."""
        return self._held[-1].sequence if self._held else 0

    @property
    def oldest(self) -> int:
        """The sequence in RESULTS of the first claims that are not given out in whole, 0 if all are."""
        waiting = [claims.sequence for claims in self._held] + [each[2].sequence for each in self._aside]
        return min(waiting, default=0)

    def cut(self, end: int, newest: int) -> None:
        """Drop answers to decisions beyond `end` from the claims up to `newest`.

        `end` must have been asked of the server after the claims `newest` came in: only then are such answers forgeries.
        """
        for at, claims in enumerate(self._held):
            if claims.horizon > end and claims.sequence <= newest:
                if len(self._forgers) >= _FORGERS_MAX:
                    self._forgers.clear()
                self._forgers.add(claims.key)
                self._held[at] = self._trim(claims, end)

    def take_dropped(self) -> int:
        """How many answers were dropped since this was last asked."""
        dropped, self._dropped = self._dropped, 0
        return dropped

    def _set_aside(self, claims: Claims, decided: int) -> None:
        for at, result in claims.members:
            if result.decision > decided:
                self._serial += 1
                alone = claims._replace(members=[(at, result)], malformed=0, horizon=result.decision)
                insort(self._aside, (result.decision, self._serial, alone))
        self._dropped += max(0, len(self._aside) - _ASIDE_MAX)
        del self._aside[_ASIDE_MAX:]

    def _trim(self, claims: Claims, end: int) -> Claims:
        trimmed = claims.within(end)
        self._dropped += len(claims.members) - len(trimmed.members)
        return trimmed
