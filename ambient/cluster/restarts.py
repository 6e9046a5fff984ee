"""When a process that died is started again: pure, with the clock passed in."""

from dataclasses import dataclass, field

__all__ = ["RestartPolicy"]

_FIRST_S = 0.1
_LONGEST_S = 10.0
_GOOD_AFTER_S = 10.0


@dataclass(slots=True)
class RestartPolicy:
    """Doubling pauses from 0.1 s to 10 s; a process that has lived 10 s begins anew. `count` is all restarts so far."""

    count: int = 0
    _pause_s: float = field(default=_FIRST_S, repr=False)

    def died(self, lived_s: float) -> float:
        """Note a death after `lived_s` seconds and return how long to wait before the next start."""
        if lived_s >= _GOOD_AFTER_S:
            self._pause_s = _FIRST_S
        pause, self._pause_s = self._pause_s, min(self._pause_s * 2, _LONGEST_S)
        self.count += 1
        return pause
