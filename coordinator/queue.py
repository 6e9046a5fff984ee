"""The tasks that wait for nodes, in one order, grouped by what they need.

Guarantees: the order is by `arrival - priority * 10 s`, fixed when a task arrives, so nothing starves (docs/adr/0008); a group that no
node can take does not hold up the others; what is looked at in a turn is bounded, however many groups cannot be placed; and what is kept of
tasks that wait no more is no more than what waits.

Groups that cannot be placed wait in two rotations: for room, looked at whenever some is released, and hopeless ones, that no node fits
whatever its room, looked at as nodes come and change. In one rotation anybody could keep the others from free room, by
tasks for a thousand nodes that do not exist.
"""

import heapq
from collections import deque
from collections.abc import Collection, Iterable
from itertools import islice

from coordinator.tasks import Shape, Task

__all__ = ["PRIORITY_STEP_MS", "Group", "ReadyQueue", "Waiting", "order_key"]

PRIORITY_STEP_MS = 10_000
"""One step of priority is worth this much waiting."""

PROBES = 8
"""Groups without room that are looked at again in one turn, in rotation."""

HOPELESS_PROBES = 64
"""Groups that no node fitted that are looked at again at once, in rotation, when nodes may have changed."""

_FEW = 1024
"""So many that wait no more may stay behind others: to look for them costs more than they do."""

_AGED = 1000
"""Groups whose first tasks are looked at for the age of the queue: clients choose how many groups there are."""

GroupKey = tuple[Shape, int, frozenset[str]]
Waiting = tuple[int, int, Task]
"""A task in the queue: its order key, its serial number (which breaks ties), itself."""


def order_key(task: Task) -> int:
    """The smaller, the sooner."""
    return task.arrival_ms - task.priority * PRIORITY_STEP_MS


class Group:
    """Tasks with one shape, one number of replicas and the same excluded nodes: where one fits, so does the next.

    `listed` is the (order, serial) under which the queue will look at it, None while it is blocked or empty.
    """

    __slots__ = ("blocked", "entries", "key", "listed")

    def __init__(self, key: GroupKey) -> None:
        self.key = key
        self.entries: list[Waiting] = []
        self.blocked = False
        self.listed: tuple[int, int] | None = None

    def head(self) -> tuple[int, int] | None:
        """Order and serial of the first task that still waits."""
        entries = self.entries
        while entries and entries[0][2].ticket != entries[0][1]:
            heapq.heappop(entries)
        return entries[0][:2] if entries else None

    def __repr__(self) -> str:
        """How many wait, and whether there is room."""
        return f"Group(waiting={len(self.entries)}, blocked={self.blocked})"


class ReadyQueue:
    """All groups. A task's `ticket` is its serial in the queue; 0 means that it does not wait here."""

    def __init__(self) -> None:
        self._groups: dict[GroupKey, Group] = {}
        # The number settles ties: a group that was emptied and made anew may be listed twice under the same head.
        self._heads: list[tuple[int, int, int, Group]] = []
        self._listings = 0
        self._blocked: deque[Group] = deque()
        self._hopeless: deque[Group] = deque()
        self._serial = 0
        self._dropped = 0
        self.waiting = 0

    def __repr__(self) -> str:
        """How much waits."""
        return f"ReadyQueue(waiting={self.waiting}, groups={len(self._groups)}, blocked={len(self._blocked)}, hopeless={len(self._hopeless)})"

    @property
    def ready(self) -> bool:
        """Whether some group may have room."""
        return bool(self._heads)

    @property
    def hopeless(self) -> int:
        """Tasks that no node fits, whatever its room; some may have been dropped meanwhile."""
        return sum(len(group.entries) for group in self._hopeless)

    def oldest_ms(self) -> int | None:
        """When the oldest of the tasks that are the first of their groups was submitted, None where none waits; looks at so many groups at most."""
        waiting = (group.entries[0][2] for group in islice(self._groups.values(), _AGED) if group.head())
        return min((task.arrival_ms for task in waiting), default=None)

    def push(self, task: Task, shape: Shape, replicas: int, excluded: frozenset[str]) -> None:
        """Let a task wait for `replicas` nodes that are not in `excluded`."""
        self.drop(task)
        self._serial += 1
        self._insert((shape, replicas, excluded), (order_key(task), self._serial, task))

    def drop(self, task: Task) -> None:
        """The task waits no more."""
        if task.ticket:
            task.ticket = 0
            self.waiting -= 1
            self._dropped += 1
            if self._dropped > max(_FEW, self.waiting):
                self._sweep()

    def _sweep(self) -> None:
        """Let go of what waits no more behind others: these may wait for ever, and clients choose what they withdraw."""
        self._dropped = 0
        for group in self._groups.values():
            group.entries = [each for each in group.entries if each[2].ticket == each[1]]
            heapq.heapify(group.entries)

    def take(self, limit: int) -> list[tuple[Group, Waiting]]:
        """The next tasks in order, from groups that are not blocked; each is placed, or put back with `block`."""
        taken: list[tuple[Group, Waiting]] = []
        while self._heads and len(taken) < limit:
            order, serial, _, group = heapq.heappop(self._heads)
            if group.listed != (order, serial):
                continue  # listed anew under another head, or blocked, since
            group.listed = None
            if group.head() == (order, serial):
                self._take_run(group, taken, limit)
            self._list(group)
        return taken

    def probe(self, released: int, *, nodes_changed: bool = False) -> list[tuple[Group, Waiting]]:
        """A few tasks of groups that had no room, now that `released` holders are gone, in rotation over the groups.

        With `nodes_changed` also one task each of some that no node fitted.
        """
        taken: list[tuple[Group, Waiting]] = []
        for _ in range(min(PROBES, len(self._blocked))):
            self._probe(self._blocked.popleft(), released + 1, taken)
        for _ in range(min(HOPELESS_PROBES, len(self._hopeless)) if nodes_changed else 0):
            self._probe(self._hopeless.popleft(), 1, taken)
        return taken

    def _probe(self, group: Group, most: int, taken: list[tuple[Group, Waiting]]) -> None:
        group.blocked = False
        for _ in range(most):
            if group.head() is None:
                break
            taken.append((group, self._pop(group)))
        self._list(group)

    def block(self, unplaced: Iterable[tuple[Group, Waiting]], hopeless: Collection[Group] = ()) -> None:
        """No node took these: put them back, and leave their groups alone until there is more room.

        `hopeless` are the groups among them that no node fits, whatever its room.
        """
        for group, waiting in unplaced:
            kept = self._insert(group.key, waiting)
            kept.listed = None
            if not kept.blocked:
                kept.blocked = True
                (self._hopeless if group in hopeless else self._blocked).append(kept)

    def _insert(self, key: GroupKey, waiting: Waiting) -> Group:
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(key)
        waiting[2].ticket = waiting[1]
        self.waiting += 1
        heapq.heappush(group.entries, waiting)
        if not group.blocked and (group.listed is None or waiting[:2] < group.listed):
            self._list(group)
        return group

    def _take_run(self, group: Group, taken: list[tuple[Group, Waiting]], limit: int) -> None:
        """Take from one group for as long as its tasks come before those of all others."""
        others = self._heads[0][0] if self._heads else None
        while len(taken) < limit:
            head = group.head()
            if head is None or (others is not None and head[0] > others):
                return
            taken.append((group, self._pop(group)))

    def _pop(self, group: Group) -> Waiting:
        waiting = heapq.heappop(group.entries)
        waiting[2].ticket = 0
        self.waiting -= 1
        return waiting

    def _list(self, group: Group) -> None:
        """Have the group looked at under its present head; an empty one is forgotten."""
        head = group.head()
        group.listed = head
        if head is None:
            self._groups.pop(group.key, None)
        else:
            self._listings += 1
            heapq.heappush(self._heads, (*head, self._listings, group))
