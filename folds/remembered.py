"""What is remembered of everything that is finished: the newest in memory, the older in runs.

Guarantees that what was put in is found until it is forgotten, whatever is being sealed or merged meanwhile, and that memory is
bounded: some megabytes for the newest, one byte for each of the rest. Forgetting goes by the place in VERDICTS and may come late,
never early.

Synchronous. Building and merging runs take tens of milliseconds and are done elsewhere (`folds.keeper`), between `to_seal` and `sealed`,
`to_merge` and `merged`.
"""

from collections.abc import Iterable, Sequence

from folds.runs import KEY_BYTES, Run, key_of, probe

__all__ = ["MERGED_AT_ONCE", "SEAL_AT", "Remembered"]

SEAL_AT = 16_384
"""Things in memory that are worth a run: some three megabytes, which come and go every few seconds under load."""
MERGED_AT_ONCE = 4
"""Runs of one level that become one of the next."""
_LEVELS = 3
"""A run of the top level (a million things) is not merged any further: a merge has all of it in memory."""


class Remembered:
    """Values of `width` bytes by name; `last` is the highest sequence in VERDICTS of what is in memory."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.runs: list[Run] = []
        self._recent: dict[bytes, bytes] = {}
        self._sealing: dict[bytes, bytes] = {}
        self._last = 0
        self._last_sealing = 0

    def __repr__(self) -> str:
        """How much is where."""
        return f"Remembered({len(self)}, in memory={self.in_memory}, runs={len(self.runs)})"

    def __len__(self) -> int:
        return sum((run.count for run in self.runs), self.in_memory)

    @property
    def in_memory(self) -> int:
        """Things that are not in a run yet."""
        return len(self._recent) + len(self._sealing)

    def put(self, name: str, value: bytes, sequence: int) -> None:
        """Remember `value` for `name`, whose verdict stands at `sequence`; a later value for a name replaces the earlier one."""
        self._recent[key_of(name)] = value
        self._last = max(self._last, sequence)

    def get(self, name: str) -> bytes | None:
        """What is remembered of `name`, None if nothing is."""
        key = key_of(name)
        found = self._recent.get(key) or self._sealing.get(key)
        if found is not None or not self.runs:
            return found
        asked = probe(key)
        for run in reversed(self.runs):
            if run.may_hold(asked) and (found := run.get(asked)) is not None:
                return found
        return None

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    # Into runs

    def to_seal(self, at: int = SEAL_AT) -> tuple[Sequence[bytes], Sequence[bytes], int] | None:
        """Keys, values and highest sequence of what is to become a run, once there are `at` of them; None until then.

        They are still found. Call `sealed` with the run.
        """
        if self._sealing or len(self._recent) < at:
            return None
        self._sealing, self._recent = self._recent, {}
        self._last_sealing = self._last
        return list(self._sealing), list(self._sealing.values()), self._last_sealing

    def sealed(self, run: Run) -> None:
        """What `to_seal` gave out is in this run."""
        self.runs.append(run)
        self._sealing = {}

    def to_merge(self) -> list[Run] | None:
        """Neighbours of one level, as many as make one of the next; None where there are not."""
        for at in range(len(self.runs) - MERGED_AT_ONCE, -1, -1):
            group = self.runs[at : at + MERGED_AT_ONCE]
            levels = {_level(run.count) for run in group}
            if len(levels) == 1 and levels < set(range(_LEVELS)):
                return group
        return None

    def merged(self, group: Sequence[Run], run: Run) -> None:
        """`run` has all that was in `group`, as `to_merge` gave it out; harmless if some of it was forgotten meanwhile."""
        if all(each in self.runs for each in group):
            at = self.runs.index(group[0])
            self.runs[at : at + len(group)] = [run]

    def forget(self, before: int) -> None:
        """Let go of runs in which every verdict stands before this sequence in VERDICTS."""
        self.runs = [run for run in self.runs if run.last >= before]

    # Into a checkpoint

    def pack(self) -> tuple[bytes, int]:
        """What is in memory, as one block for `unpack`, and its highest sequence."""
        packed = [key + value for kept in (self._sealing, self._recent) for key, value in kept.items()]
        return b"".join(packed), self._last

    def unpack(self, packed: bytes, last: int, runs: Iterable[Run]) -> None:
        """Become what was packed beside these runs."""
        size = KEY_BYTES + self.width
        self._recent = {
            packed[at : at + KEY_BYTES]: packed[at + KEY_BYTES : at + size]
            for at in range(0, len(packed), size)
        }
        self._sealing = {}
        self._last = last
        self.runs = list(runs)


def _level(count: int) -> int:
    """0 for a run as it is sealed, one more for each merge."""
    level = 0
    while count >= SEAL_AT * MERGED_AT_ONCE and level < _LEVELS:
        count //= MERGED_AT_ONCE
        level += 1
    return level
