"""What the verifier remembers of tasks that have their verdict.

A task that was closed lately is one `bytes` object: the verdict's place in VERDICTS, the task's in TASKS, the agreement key of what was
accepted, and the numbers of the nodes that were heard. Only while assigned nodes still owe an answer are the assignments
kept too. Guarantees that a node is heard once per task, however often and in whatever order the logs say so.

Of all but the last `WARM` there remain the two places, in runs (`folds.remembered`), as there will be millions: who answers
so late is not heard. Nor do these remain for ever: whose verdict was cut from the log is forgotten (`verifier.term`). A name whose verdict is older than the retention may be that of a new task, so a task is told by
its name and its place in TASKS.
"""

import struct
from collections.abc import Callable, Collection

from bus.messages import Assigned, Late
from folds.remembered import Remembered
from verifier.agreement import KEY_BYTES, NOTHING
from verifier.tasks import Attempts, OpenTask, Place

__all__ = ["WARM", "Owing", "Settled"]

WARM = 32_768
"""Tasks closed last, of which all is remembered: some ten megabytes, and seconds of the quickest load."""
_HEAD = struct.Struct(f"<QIQH{KEY_BYTES}s")
_PLACES = struct.Struct("<QIQH")
_PLACE = struct.Struct("<QI")
_NUMBER = struct.Struct("<I")
_NOWHERE = (0, 0)


class Owing:
    """A closed task to some of whose attempts an answer may still come: `pairs` of node and attempt."""

    __slots__ = ("attempts", "pairs")

    def __init__(self) -> None:
        self.attempts: Attempts = ()
        self.pairs: set[tuple[str, int]] = set()


def _key(packed: bytes) -> bytes:
    return packed[_PLACES.size : _HEAD.size]


def _source(packed: bytes) -> Place:
    _, _, sequence, line = _PLACES.unpack_from(packed)
    return sequence, line


def _heard(packed: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{(len(packed) - _HEAD.size) // _NUMBER.size}I", packed[_HEAD.size :])


class Settled:
    """All closed tasks, and the late answers that are not yet in VERDICTS.

    `warm` are the last ones, `most_warm` of them at most, packed, `old` the others, `owing` those of `warm` that are owed answers, `numbers` stand for nodes.
    """

    def __init__(self) -> None:
        self.most_warm = WARM
        self.warm: dict[str, bytes] = {}
        self.old = Remembered(_PLACES.size)
        self.owing: dict[str, Owing] = {}
        self.late: dict[tuple[str, str], Late] = {}
        self.numbers: dict[str, int] = {}

    def __repr__(self) -> str:
        """How many there are, and of how many an answer is still awaited."""
        return f"Settled({len(self)}, owing={len(self.owing)}, late={len(self.late)})"

    def __contains__(self, name: str) -> bool:
        return name in self.warm or name in self.old

    def __len__(self) -> int:
        return len(self.warm) + len(self.old)

    def has(self, name: str, source: Place) -> bool:
        """Whether the task of that name that stands at `source` in TASKS has its verdict.

        A verdict that does not say of which task it is counts for every one of that name.
        """
        packed = self.warm.get(name) or self.old.get(name)
        if packed is None:
            return False
        own = _source(packed)
        return own >= source or own == _NOWHERE

    def place(self, name: str) -> Place | None:
        """Where in VERDICTS (sequence, line) the verdict is; None without one, or until it is durable."""
        packed = self.warm.get(name) or self.old.get(name)
        if packed is None:
            return None
        sequence, line = _PLACE.unpack_from(packed)
        return (sequence, line) if sequence else None

    def set_place(self, name: str, place: Place) -> None:
        """The verdict is durable, there."""
        self.warm[name] = _PLACE.pack(*place) + self.warm[name][_PLACE.size :]
        self._cool()

    def _cool(self) -> None:
        """Let the oldest go, as far as they are durable."""
        while len(self.warm) > self.most_warm:
            name, packed = next(iter(self.warm.items()))
            sequence, _ = _PLACE.unpack_from(packed)
            if not sequence:
                return
            self.old.put(name, packed[: _PLACES.size], sequence)
            del self.warm[name]
            self.owing.pop(name, None)

    def close(
        self,
        name: str,
        task: OpenTask,
        key: bytes,
        counted: Collection[str],
        *,
        source: Place,
        place: Place = _NOWHERE,
    ) -> None:
        """Take over a task that stands at `source` in TASKS and whose verdict accepted `key` and counted these nodes.

        A vote that the verdict does not count becomes late: another verifier decided before it had read that far.
        """
        numbers = self.numbers
        self.warm.pop(name, None)  # an earlier task of that name: the newest stand last
        self.owing.pop(name, None)
        packed = _HEAD.pack(*place, *source, key)
        for node in counted:
            packed += _NUMBER.pack(numbers.setdefault(node, len(numbers)))
        self.warm[name] = packed
        self._cool()
        if key == NOTHING:
            return  # there is no answer that a late one could agree with
        if len(counted) == len(task.votes) == sum(len(assigned.nodes) for _, assigned in task.attempts):
            return  # nearly every task with one replica: all that were asked have answered
        for decision, assigned in task.attempts:
            self.owe(name, decision, assigned)
        for node, vote in task.votes.items():
            if self.hear(name, node):
                self.add_late(name, node, vote.key, vote.place, task.path)
        for node, attempt in task.faults:
            self.fault(name, node, attempt)

    def owe(self, name: str, decision: int, assigned: Assigned) -> None:
        """An assignment of a closed task: answers of its nodes that were not heard yet will be late, but count."""
        packed = self.warm.get(name)
        if packed is None or _source(packed) != assigned.source:
            return
        heard = _heard(packed)
        pairs = [(node, assigned.attempt) for node in assigned.nodes if self._number(node) not in heard]
        if not pairs or _key(packed) == NOTHING:
            return
        owing = self.owing.setdefault(name, Owing())
        owing.attempts += ((decision, assigned),)
        owing.pairs.update(pairs)

    def owed(self, name: str, node: str, attempt: int) -> Attempts:
        """The task's attempts that are still owed answers, if `node` owes one to `attempt`; none otherwise."""
        owing = self.owing.get(name)
        return owing.attempts if owing is not None and (node, attempt) in owing.pairs else ()

    def hear(self, name: str, node: str) -> bool:
        """The node's answer to this closed task is known; whether it had not been before."""
        packed = self.warm.get(name)
        number = self._number(node)
        if packed is None or number in _heard(packed):
            return False
        self.warm[name] = packed + _NUMBER.pack(number)
        self._expect_no_more(name, lambda pair: pair[0] == node)
        return True

    def fault(self, name: str, node: str, attempt: int) -> None:
        """The node failed of itself in this attempt: that is no answer, and none will come to this attempt."""
        self._expect_no_more(name, lambda pair: pair == (node, attempt))

    def _expect_no_more(self, name: str, of: Callable[[tuple[str, int]], bool]) -> None:
        owing = self.owing.get(name)
        if owing is not None:
            owing.pairs = {pair for pair in owing.pairs if not of(pair)}
            if not owing.pairs:
                del self.owing[name]

    def add_late(self, name: str, node: str, key: bytes, place: Place, path: str) -> None:
        """An answer that came after the verdict, to be written."""
        agrees = key == _key(self.warm[name])
        self.late[name, node] = Late(task=name, node=node, agrees=agrees, evidence=place, path=path)

    def forget_late(self, name: str, node: str) -> None:
        """VERDICTS holds this late answer already."""
        self.late.pop((name, node), None)
        self.hear(name, node)

    def take_late(self) -> list[Late]:
        """The late answers to write; each is given out once."""
        late = list(self.late.values())
        self.late.clear()
        return late

    def _number(self, node: str) -> int:
        return self.numbers.setdefault(node, len(self.numbers))
