"""The deterministic merge of RESULTS with ASSIGNMENTS.

Guarantees that claims come out in the order of RESULTS, and each only once ASSIGNMENTS is folded up to every decision it answers: a
result can overtake the decision that asked for it on the way here, never in the logs. Pure; the shell asks the server for the
log's real end when claims wait suspiciously long, and `cut` then drops answers to decisions that do not exist.
"""

from collections import deque

from verifier.claims import Claims

__all__ = ["Merge"]

_FORGERS_MAX = 1024
"""Keys remembered as forgers at most; making a key costs nothing, so the set must not grow with them."""


class Merge:
    """Holds claims back until their decisions are known."""

    def __init__(self) -> None:
        self._held: deque[Claims] = deque()
        self._forgers: set[str] = set()
        self._dropped = 0

    def __repr__(self) -> str:
        """How many claims wait, and for what."""
        return f"Merge(held={len(self._held)}, horizon={self.horizon})"

    def __len__(self) -> int:
        return len(self._held)

    @property
    def horizon(self) -> int:
        """The decision that the first claims held wait for, 0 if none are held."""
        return self._held[0].horizon if self._held else 0

    def offer(self, claims: Claims, decided: int) -> list[Claims]:
        """Take in the next claims of RESULTS; return what may be folded now that ASSIGNMENTS is at `decided`.

        A key that once answered a decision that did not exist is not waited for again, so that it cannot hold the others up.
        """
        if claims.horizon > decided and claims.key in self._forgers:
            claims = self._trim(claims, decided)
        if not self._held and claims.horizon <= decided:
            return [claims]
        self._held.append(claims)
        return self.advance(decided)

    def advance(self, decided: int) -> list[Claims]:
        """What may be folded now, in order."""
        ready: list[Claims] = []
        while self._held and self._held[0].horizon <= decided:
            ready.append(self._held.popleft())
        return ready

    @property
    def newest(self) -> int:
        """The sequence in RESULTS of the last claims held, 0 if none are held."""
        return self._held[-1].sequence if self._held else 0

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

    def _trim(self, claims: Claims, end: int) -> Claims:
        trimmed = claims.within(end)
        self._dropped += len(claims.members) - len(trimmed.members)
        return trimmed
