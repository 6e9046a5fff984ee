"""A standby's vigil over the holder of a lease: when it may take the lease over. Pure.

Either the lease was not renewed for as long as it lives, reckoned from when the standby first saw its revision: by then its holder, who
reckons from before it sent the renewal, has given it up. Or its holder is gone: NATS says at once whether anybody is subscribed to the holder's own subject (its pulse). Guarantees that a holder is called gone only
if nobody was twice in a row, on a connection that has been up for a while, and if it did not renew in between: just after a
server was lost its clients are reconnecting, and what one server of a cluster knows of the others' subscribers may lag.
A holder that is there and says nothing (paused, cut off without a word) is never called gone: for it the time runs out.

Nothing is lost where this is wrong: whoever leads beside another is refused by the log (`bus.fence`).
"""

from typing import Literal

__all__ = ["Pulse", "Vigil"]

Pulse = Literal["alive", "absent", "silent"]
"""What came of asking a holder for its pulse: an answer, "no responders", or neither in time."""

_ABSENCES = 2
_LOOK_S = 0.2
_LOOK_AGAIN_S = 0.05
_SETTLED_S = 1.0
"""After a reconnect: longer than clients wait before they try again (`bus.connection`)."""


class Vigil:
    """Over one lease that lives `ttl_s` from its last renewal, by one standby; `now_s` is any clock that only goes forward."""

    def __init__(self, ttl_s: float) -> None:
        self._ttl_s = ttl_s
        self._revision = 0
        self._since_s = 0.0
        self._absences = 0
        self._settled_at_s = float("-inf")

    def __repr__(self) -> str:
        """What was seen last."""
        return f"Vigil(revision={self._revision}, absences={self._absences})"

    def sees(self, revision: int, pulse: Pulse, now_s: float) -> None:
        """The lease has this revision, and its holder was asked for its pulse."""
        if revision != self._revision:
            self._revision, self._since_s = revision, now_s
            self._absences = 0
        if pulse != "absent":
            self._absences = 0
        self._absences += pulse == "absent"

    def reconnected(self, now_s: float) -> None:
        """The own connection was lost and is back."""
        self._absences = 0
        self._revision = 0
        self._settled_at_s = now_s + _SETTLED_S

    def is_gone(self, now_s: float) -> bool:
        """Whether the holder of the revision seen last is gone."""
        return self._absences >= _ABSENCES and now_s >= self._settled_at_s

    def is_over(self, now_s: float) -> bool:
        """Whether the revision seen last has lived its time."""
        return now_s >= self._since_s + self._ttl_s

    @property
    def pause_s(self) -> float:
        """How long to wait before the next look."""
        return _LOOK_AGAIN_S if self._absences else _LOOK_S
