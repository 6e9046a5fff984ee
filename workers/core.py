"""What a node does next: the pure core. No I/O, no clock; events come in, `Orders` go out.

Guarantees, whatever order events come in: an attempt is begun at most once, however often it is delivered, and ends
in exactly one answer unless it was cancelled or handed back; nothing is begun that lacks a blob, that does not
fit into memory, or that came in safe mode or after the drain began; jobs are begun in the order they came, as
far as their materials are there.

Left to the shells: fetching, running, signing and time.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from bus.errors import Malformed
from bus.messages import Assign, CancelAttempt, Drain, EnrolAgain, Instruction, Undrain
from sandbox.job import Outcome, fault
from workers.admission import MemoryGate
from workers.attempt import Attempt, Need, attempt_key, fill
from workers.breakers import Breakers

__all__ = ["REMEMBERED", "NodeCore", "Orders"]

REMEMBERED = 65_536
"""Ended attempts that a repeated delivery is recognised by; a repetition comes within seconds."""


@dataclass(slots=True)
class Orders:
    """What the shell shall do, in this order."""

    stop: list[Attempt] = field(default_factory=list)
    """Take these from the pool; their outcomes are not wanted."""
    answer: list[tuple[Attempt, Outcome]] = field(default_factory=list)
    """Claim these."""
    fetch: list[Need] = field(default_factory=list)
    """Get these blobs, then call `fetched` or `unfetched`, once each."""
    run: list[Attempt] = field(default_factory=list)
    """Give these to the pool, then call `ended`."""
    hand_back: list[str] = field(default_factory=list)
    """Say that these attempts (keys) were not begun and may run elsewhere."""
    enrol: bool = False
    """Say hello."""
    drain: Drain | None = None
    """The coordinator asks the node to take no more work: begin the drain."""
    undrain: bool = False
    """The coordinator asks the node to take work again."""


class NodeCore:
    """The open attempts of one node and the rules they move by."""

    def __init__(self, *, slots: int, memory_mb: int, breakers: Breakers | None = None) -> None:
        self.breakers = breakers or Breakers()
        self.draining = False
        self.leaving = False
        self._gate = MemoryGate(slots=slots, memory_mb=memory_mb)
        self._open: dict[str, Attempt] = {}
        self._running: dict[str, Attempt] = {}
        self._ready: deque[Attempt] = deque()
        self._lacking: dict[Need, list[Attempt]] = {}
        self._modules: set[str] = set()
        self._unsettled: set[str] = set()
        self._ended: dict[str, None] = {}

    def __repr__(self) -> str:
        """How many attempts are where."""
        return (
            f"NodeCore(open={len(self._open)}, running={len(self._running)}, ready={len(self._ready)}, "
            f"unsettled={len(self._unsettled)}, {self._gate!r}, {self.breakers!r})"
        )

    @property
    def is_idle(self) -> bool:
        """Whether no attempt is open; claims may still be on their way."""
        return not self._open

    @property
    def open_count(self) -> int:
        """Attempts that are not answered yet."""
        return len(self._open)

    @property
    def with_pool(self) -> Iterable[Attempt]:
        """The attempts that the pool has."""
        return self._running.values()

    def held(self, limit: int) -> tuple[str, ...]:
        """The attempts (keys) that the coordinator need not send again: open, or claimed and not yet durable."""
        keys = [*self._open, *self._unsettled]
        return tuple(keys[:limit])

    def remember(self, keys: Iterable[str]) -> None:
        """These attempts were claimed before a restart, and their claims are still on the way out."""
        for key in keys:
            self._note_end(key)
            self._unsettled.add(key)

    # What the coordinator says

    def instruct(self, instructions: Sequence[Instruction]) -> Orders:
        """Take in what came on the node's subject."""
        orders = Orders()
        for instruction in instructions:
            if type(instruction) is Assign:
                self._assign(instruction, orders)
            elif type(instruction) is CancelAttempt:
                self._cancel(attempt_key(instruction.task, instruction.attempt), orders)
            elif type(instruction) is EnrolAgain:
                orders.enrol = not self.leaving  # who is about to leave does not come back
            elif type(instruction) is Drain:
                orders.drain, orders.undrain = instruction, False
            elif type(instruction) is Undrain:
                orders.drain, orders.undrain = None, not self.leaving
        self._admit(orders)
        return orders

    def _assign(self, assign: Assign, orders: Orders) -> None:
        key = attempt_key(assign.task, assign.attempt)
        if key in self._open or key in self._ended:
            return
        if self.draining or self.breakers.reason:
            orders.hand_back.append(key)
            return
        attempt = Attempt(assign, key)
        self._open[key] = attempt
        try:
            fill(attempt, assign)
        except Malformed as error:
            # The coordinator admits only what it can read itself, so it knows a spec that this version does not.
            self._answer(attempt, fault("unavailable", f"this node cannot read the spec: {error}"), orders)
            return
        limit_mb = attempt.job.limits.memory_mb
        if not self._gate.could_ever(limit_mb):
            detail = f"memory_mb {limit_mb} is more than the {self._gate.memory_mb} MB that this node offers"
            self._answer(attempt, fault("unavailable", detail), orders)
            return
        if attempt.module in self._modules:
            attempt.missing.discard(Need("module", attempt.module))
        if not attempt.missing:
            self._ready.append(attempt)
            return
        for need in sorted(attempt.missing):
            if need not in self._lacking:
                self._lacking[need] = []
                orders.fetch.append(need)
            self._lacking[need].append(attempt)

    def _cancel(self, key: str, orders: Orders) -> None:
        attempt = self._open.pop(key, None)
        # Also one that was never here: its assignment may still come, from before the cancel, by another way.
        self._note_end(key)
        if attempt is not None and self._forget(attempt):
            orders.stop.append(attempt)

    # What the materials say

    def fetched(self, need: Need, data: bytes = b"") -> Orders:
        """A blob is here: a module in the store, or an input in `data`."""
        orders = Orders()
        if need.kind == "module":
            self._modules.add(need.digest)
        for attempt in self._lacking.pop(need, ()):
            attempt.missing.discard(need)
            if need.kind == "input":
                attempt.job = msgspec.structs.replace(attempt.job, input=data)
            if not attempt.missing:
                self._ready.append(attempt)
        self._admit(orders)
        return orders

    def unfetched(self, need: Need, detail: str) -> Orders:
        """A blob cannot be had: whoever waits for it ends in a fault, so that another node may try."""
        orders = Orders()
        for attempt in self._lacking.pop(need, ()):
            self._forget(attempt)
            self._answer(attempt, fault("unavailable", detail), orders)
        return orders

    # What the pool says

    def ended(self, outcomes: Iterable[tuple[Attempt, Outcome]], now_s: float) -> Orders:
        """The pool is done with these."""
        orders = Orders()
        for attempt, outcome in outcomes:
            if self._running.get(attempt.key) is not attempt:
                continue  # it was cancelled while its outcome was on the way
            self._forget(attempt)
            if outcome.status != "fault":
                self.breakers.success()
            elif _is_own_error(attempt, outcome):
                self.breakers.fault(now_s)
            if outcome.reason == "unavailable":
                self._modules.discard(attempt.module)  # perhaps its file is damaged: fetch it again
            self._answer(attempt, outcome, orders)
        self._admit(orders)
        return orders

    def settled(self, keys: Iterable[str]) -> None:
        """The claims of these attempts are durable."""
        self._unsettled.difference_update(keys)

    # The end, or a rest

    def drain(self, is_begun: Callable[[Attempt], bool], *, leaving: bool = True) -> Orders:
        """Take no more work and hand back what is not begun; `is_begun` tells of those that the pool has.

        Who is not `leaving` may take work again; that is not taken back by a later drain of one who stays.
        """
        self.draining = True
        self.leaving = self.leaving or leaving
        orders = Orders()
        for key, attempt in list(self._open.items()):
            if key in self._running and is_begun(attempt):
                continue
            del self._open[key]
            if self._forget(attempt):
                orders.stop.append(attempt)
            orders.hand_back.append(key)
        return orders

    def undrain(self) -> None:
        """Take work again, if the node is not leaving."""
        self.draining = self.leaving

    # Inside

    def _admit(self, orders: Orders) -> None:
        gate, ready = self._gate, self._ready
        while ready:
            attempt = ready[0]
            limit_mb = attempt.job.limits.memory_mb
            if not gate.admits(limit_mb):
                return
            ready.popleft()
            gate.enter(limit_mb)
            self._running[attempt.key] = attempt
            orders.run.append(attempt)

    def _answer(self, attempt: Attempt, outcome: Outcome, orders: Orders) -> None:
        self._open.pop(attempt.key, None)
        self._note_end(attempt.key)
        self._unsettled.add(attempt.key)
        orders.answer.append((attempt, outcome))

    def _forget(self, attempt: Attempt) -> bool:
        """Take an attempt out of wherever it waits; whether the pool has it."""
        if self._running.pop(attempt.key, None) is not None:
            self._gate.leave(attempt.job.limits.memory_mb)
            return True
        if attempt in self._ready:
            self._ready.remove(attempt)
        for need in attempt.missing:
            waiting = self._lacking.get(need)
            if waiting and attempt in waiting:
                # The list stays, even empty: the fetch is under way and whoever comes next joins it.
                waiting.remove(attempt)
        return False

    def _note_end(self, key: str) -> None:
        self._ended[key] = None
        if len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]


def _is_own_error(attempt: Attempt, outcome: Outcome) -> bool:
    """Whether a fault speaks against this node.

    A guest that had the processor for most of its wall time ran out of it by itself. Were that counted, any client
    could send a cluster into safe mode with a few endless loops.
    """
    return outcome.reason != "wall" or outcome.cpu_ms < attempt.job.limits.wall_ms / 2
