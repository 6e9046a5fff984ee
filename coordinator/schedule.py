"""When a task gets nodes, when it gets others, and when it is given up.

Guarantees: a first attempt goes to as many nodes as the policy names, a later one makes good what was lost or answers exactly one need
of the verifier; retries wait, longer each time, by a jitter that depends on task and attempt alone; `max_attempts` is
never passed; a task is given up for want of attempts only when nobody who might still decide it is at work.
"""

import zlib
from itertools import islice
from typing import Literal

import numpy as np

from bus.messages import Abandoned, Assigned
from bus.wire import encode
from coordinator.constraints import node_checks
from coordinator.due import Due
from coordinator.figures import Kind
from coordinator.fold import Fold
from coordinator.health import Floats
from coordinator.instructions import Instructions, Placed, Stopped
from coordinator.placement import Request, choose, is_hopeless
from coordinator.queue import Group, ReadyQueue, Waiting
from coordinator.registry import LEFT
from coordinator.room import UNKNOWN_MS
from coordinator.settings import Timing
from coordinator.strategies import Strategy
from coordinator.tasks import ANSWERED, LOST, RUNNING, Holder, Shape, Task

__all__ = ["OFFERED_AT_ONCE", "Schedule"]

OFFERED_AT_ONCE = 256
"""Tasks offered to the placement in one turn at most, so that a turn is short."""


class Schedule(Fold):
    """The fold, and what follows from it for each task. Decisions are gathered in `out`."""

    def __init__(self, strategy: Strategy, timing: Timing, rng: np.random.Generator) -> None:
        super().__init__(timing)
        self.timing = timing
        self.strategy = strategy
        self.queue = ReadyQueue()
        self.out = Instructions()
        self.room_changed = False
        self.now_ms = 0
        self.ahead_ms = 0
        """How far the time that deadlines name is ahead of the time that is passed in, which never jumps."""
        self._rng = rng
        self._deadlines = Due()
        self._retries = Due()
        self._wanting: list[Task] = []
        self._released = 0

    # What a task needs next

    def begin(self, task: Task, now_ms: int) -> None:
        """A task is admitted, or known from an earlier leader: see to it from now on."""
        if task.deadline_ms is not None:
            self._deadlines.add(task.deadline_ms, task)
        self.reconsider(task, now_ms)

    def reconsider(self, task: Task, now_ms: int) -> None:
        """Something happened to the task: let it wait for nodes, wait to retry, or end."""
        wanted = task.wanted()
        if not wanted:
            self.queue.drop(task)
        elif task.attempt == 0:
            self._enqueue(task)
        elif task.attempt >= task.max_attempts:
            self._exhausted(task, now_ms)
        elif task.ticket:
            self._enqueue(task)
        elif not task.retry_at_ms:
            self._later(task, now_ms + self._backoff_ms(task))

    def need_arose(self, task: Task) -> None:
        """The verifier wants more: looked at in the next turn."""
        self._wanting.append(task)

    def verdict_came(self, task: Task) -> None:
        """The task waits for nothing any more. What still runs may end; it counts for reputation."""
        self.queue.drop(task)
        task.retry_at_ms = 0

    def expire(self, now_ms: int) -> None:
        """Deal with what is due: needs of the verifier, deadlines, retries."""
        wanting, self._wanting = self._wanting, []
        for task in wanting:
            self.reconsider(task, now_ms)
        for _, task in self._deadlines.until(now_ms + self.ahead_ms):
            self.abandon(task, "expired", "deadline", "its deadline passed before a verdict", now_ms)
        for due_ms, task in self._retries.until(now_ms):
            if task.retry_at_ms == due_ms:
                task.retry_at_ms = 0
                self._retry(task, now_ms)

    def _retry(self, task: Task, now_ms: int) -> None:
        if not task.wanted():
            return
        if task.attempt >= task.max_attempts:
            self._exhausted(task, now_ms)
        else:
            task.quiet_since_ms = now_ms
            self._enqueue(task)

    def _enqueue(self, task: Task) -> None:
        assert task.shape is not None  # noqa: S101 -- a task that wants nodes has been read
        self.queue.push(task, task.shape, task.wanted(), self.excluded(task))

    @staticmethod
    def excluded(task: Task) -> frozenset[str]:
        """The nodes that must not get the task: they are at it, had their say, or let it lie. One that was lost may come back."""
        if not task.holders:
            return task.excluded
        used = [holder.node for holder in task.holders if holder.state in (RUNNING, ANSWERED)]
        return task.excluded.union(used)

    def _later(self, task: Task, due_ms: int) -> None:
        task.retry_at_ms = due_ms
        self._retries.add(due_ms, task)

    def _backoff_ms(self, task: Task) -> int:
        """Doubled with each attempt; between half and the whole of it, so that what was lost together does not return together."""
        full = min(self.timing.backoff_limit_ms, self.timing.backoff_ms << min(task.attempt - 1, 20))
        share = zlib.crc32(f"{task.name}#{task.attempt}".encode()) / 2**32
        return int(full * (1 + share) / 2)

    # Giving up

    def _exhausted(self, task: Task, now_ms: int) -> None:
        """No attempt is left: give up, unless somebody may still decide the task."""
        if task.is_running():
            self._later(task, now_ms + self.timing.settle_ms)
            return
        settled_ms = task.quiet_since_ms + self.timing.settle_ms
        claimed = any(holder.state == ANSWERED for holder in task.holders)
        if claimed and not task.needs_more and now_ms < settled_ms:
            self._later(task, settled_ms)
            return
        detail = f"{task.attempt} of {task.max_attempts} attempts were made: " + _ends(task)
        self.abandon(task, "failed", "attempts", detail, now_ms)

    def abandon(
        self,
        task: Task,
        status: Literal["cancelled", "expired", "failed"],
        reason: str,
        detail: str,
        now_ms: int,
    ) -> None:
        """Decide that the task ends without a result; the verifier makes that its verdict."""
        shape = task.shape
        assert shape is not None  # noqa: S101 -- a task that was not read is not given up
        decision = Abandoned(
            task=task.name,
            source=task.source,
            status=status,
            reason=reason,
            detail=detail,
            spec=task.digest.hex(),
            module=shape.module,
            input=task.input,
            verify=shape.verify,
            together=task.together,
            path=task.path,
        )
        self.queue.drop(task)
        task.retry_at_ms = 0
        running = self.apply_abandoned(decision, now_ms)
        self.out.lines.append((encode(decision), Stopped(decision, running)))

    # Placing

    def place(self, now_ms: int) -> None:
        """Offer waiting tasks to the nodes, the first in order first."""
        self.now_ms = now_ms
        released = self.attempts.released - self._released
        offered = []
        if released or self.room_changed:
            offered = self.queue.probe(min(released, OFFERED_AT_ONCE // 8), nodes_changed=self.room_changed)
            self._released, self.room_changed = self.attempts.released, False
        offered += self.queue.take(OFFERED_AT_ONCE - len(offered))
        if offered:
            self._offer(offered, now_ms)
            self.out.more = self.out.more or self.queue.ready

    def _offer(self, offered: list[tuple[Group, Waiting]], now_ms: int) -> None:
        requests: dict[Group, Request] = {}
        for group, _ in offered:
            if group not in requests:
                requests[group] = self.request(*group.key)
        rows = choose(
            self.registry, [requests[group] for group, _ in offered], self.strategy, now_ms, self._rng
        )
        unplaced = []
        scores = self.registry.score
        for each, chosen in zip(offered, rows, strict=True):
            if chosen is None:
                unplaced.append(each)
            else:
                self._assign(each[1][2], chosen, scores, now_ms)
        missed = {group for group, _ in unplaced}
        hopeless = {group for group in missed if is_hopeless(self.registry, requests[group], now_ms)}
        self.queue.block(unplaced, hopeless)
        for group, (_, _, task) in unplaced:
            if task.attempt and now_ms - task.quiet_since_ms >= self.timing.stranded_ms:
                self._stranded(task, group, now_ms)

    def request(self, shape: Shape, replicas: int, excluded: frozenset[str]) -> Request:
        """What a task of this shape asks of the placement now."""
        rows = frozenset(row for row in map(self.registry.row, excluded) if row is not None)
        expected_ms = shape.estimate.expected_ms
        return Request(
            place=shape.place,
            replicas=replicas,
            excluded=rows,
            expected_ms=UNKNOWN_MS if expected_ms is None else expected_ms,
            memory_mb=shape.memory_mb,
        )

    def _assign(self, task: Task, rows: tuple[int, ...], scores: Floats, now_ms: int) -> None:
        shape = task.shape
        assert shape is not None  # noqa: S101 -- it was in the queue
        nodes = tuple(map(self.registry.name, rows))
        decision = Assigned(
            task=task.name,
            attempt=task.attempt + 1,
            nodes=nodes,
            source=task.source,
            spec=task.digest.hex(),
            module=shape.module,
            input=task.input,
            lease_ms=shape.wall_ms + self.timing.queue_allowance_ms,
            verify=shape.verify,
            together=task.together,
            replaces=_replaced(task, nodes) if task.attempt else (),
            reward=task.reward,
            price=task.price,
            path=task.path,
        )
        holders = self.apply_assigned(decision, now_ms, 0)
        for holder, row in zip(holders, rows, strict=True):
            holder.score = float(scores[row])
        if self.figures is not None:
            kind: Kind = "first" if decision.attempt == 1 else "retry" if decision.replaces else "more"
            self.figures.decided[kind] += 1
        self.out.lines.append((encode(decision), Placed(task, holders)))
        if task.wanted():
            self.reconsider(task, now_ms)

    def _stranded(self, task: Task, group: Group, now_ms: int) -> None:
        """A retry has found too few nodes for a while: ask for fewer at once; if every node that fits is used up, end the task."""
        shape, replicas, excluded = group.key
        if replicas > 1:
            task.quiet_since_ms = now_ms
            self.queue.push(task, shape, replicas - 1, excluded)
        elif not task.is_running() and not self._may_return(self.request(*group.key), now_ms):
            detail = f"no other node is left after {task.attempt} attempts: " + _ends(task)
            self.abandon(task, "failed", "attempts", detail, now_ms)

    def _may_return(self, request: Request, now_ms: int) -> bool:
        """Whether a node that could take this lives, or was here not long ago."""
        nodes = self.registry
        count = len(nodes)
        mask = (nodes.state[:count] != LEFT) & (nodes.heard_ms[:count] > now_ms - self.timing.return_ms)
        mask[[row for row in request.excluded if row < count]] = False
        for check in islice(node_checks(nodes, request, now_ms), 1, None):  # all but the state it is in now
            mask &= check.meets
        return bool(mask.any())


def _replaced(task: Task, nodes: tuple[str, ...]) -> tuple[str, ...]:
    """The lost nodes that these make good: first those that are back, as none may hold a task twice."""
    lost = [holder.node for holder in task.lost()]
    lost.sort(key=lambda node: node not in nodes)
    return tuple(lost[: len(nodes)])


def _ends(task: Task) -> str:
    """How the attempts of a task ended, for people."""
    words = {RUNNING: "running", ANSWERED: "answered", LOST: "lost"}
    told: list[Holder] = task.holders[-8:]
    return (
        ", ".join(f"{holder.node} {words.get(holder.state, 'lost')}" for holder in told) or "no node had it"
    )
