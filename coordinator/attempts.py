"""Which node holds which attempt, and since when: the room it takes, its lease, its delivery.

Guarantees: what was taken of a node's room is released exactly once, whether a result came, the node was lost, or the task is over; and
an attempt is given up when its node is lost, its lease ran out or its node drops it each time, never because the verifier
is slow. No timer per attempt: a node that lives sends telemetry, and that is when its attempts are looked at; one that does not is
dead within 10 s.
"""

from collections.abc import Collection
from typing import NamedTuple

from coordinator.registry import Registry
from coordinator.settings import Timing
from coordinator.tasks import ANSWERED, LOST, RUNNING, Holder

__all__ = ["Attempts", "Checked", "attempt_key"]


def attempt_key(task: str, attempt: int) -> str:
    """How telemetry and goodbyes name an attempt."""
    return f"{task}#{attempt}"


class Checked(NamedTuple):
    """What a heartbeat tells of a node's attempts: to deliver again, and given up."""

    undelivered: list[Holder]
    expired: list[Holder]


_NOTHING = Checked([], [])


class Attempts:
    """All holders that still take room on a node, by node."""

    def __init__(self, registry: Registry, timing: Timing) -> None:
        self._registry = registry
        self._timing = timing
        self._by_node: dict[str, dict[str, Holder]] = {}
        self.released = 0

    def __repr__(self) -> str:
        """How much is held."""
        return f"Attempts(held={sum(map(len, self._by_node.values()))}, nodes={len(self._by_node)})"

    def nodes(self) -> list[str]:
        """The nodes that hold something."""
        return list(self._by_node)

    def holds(self, node: str, key: str) -> bool:
        """Whether the node owes an answer to this attempt."""
        return key in self._by_node.get(node, ())

    def start(self, holder: Holder) -> None:
        """The node holds it from now on."""
        if holder.row is not None:
            self._registry.take(holder.row, holder.expected_ms)
        self._by_node.setdefault(holder.node, {})[holder.key] = holder

    def answered(self, node: str, key: str, decision: int) -> Holder | None:
        """A claim for it arrived: its room is free, and its node is not asked for it again.

        A claim that answers another decision than the one that gave the attempt is no answer: the verifier ignores it, too.
        """
        holder = self._by_node.get(node, {}).get(key)
        if holder is None or holder.decision != decision:
            return None
        self._end(holder, ANSWERED)
        return holder

    def given_up(self, holder: Holder) -> None:
        """Nobody waits for it any more."""
        if holder.state == RUNNING:
            self._end(holder, LOST)

    def lost_node(self, node: str) -> list[Holder]:
        """The node is dead or gone: everything that it still owed."""
        owed = list(self._by_node.get(node, {}).values())
        for holder in owed:
            self._end(holder, LOST)
        return owed

    def handed_back(self, node: str, keys: Collection[str]) -> list[Holder]:
        """The node returns these unbegun."""
        held = self._by_node.get(node, {})
        owed = [held[key] for key in keys if key in held]
        for holder in owed:
            self._end(holder, LOST)
        return owed

    def heartbeat(self, node: str, listed: Collection[str], now_ms: int) -> Checked:
        """Renew the leases of what the node lists as open; find what it should hold and does not list."""
        held = self._by_node.get(node)
        if not held:
            return _NOTHING
        listed = frozenset(listed)
        checked = Checked([], [])
        for holder in list(held.values()):
            if holder.decision == 0:
                continue  # not durable yet, so nobody was told
            if holder.key in listed:
                holder.renewed_ms = now_ms
            self._check(holder, now_ms, checked, listed=holder.key in listed)
        return checked

    def unheard(self, now_ms: int) -> list[Holder]:
        """What no heartbeat has listed since it was sent, to be sent again: whoever decided it may have died before it told the node."""
        unheard = [
            holder
            for held in self._by_node.values()
            for holder in held.values()
            if holder.renewed_ms <= holder.sent_ms and not holder.task.closing
        ]
        for holder in unheard:
            holder.sent_ms = now_ms
        return unheard

    def _check(self, holder: Holder, now_ms: int, checked: Checked, *, listed: bool) -> None:
        lease_ms = self.lease_ms(holder)
        late = now_ms - holder.renewed_ms > lease_ms
        # A node that lists an attempt for ever renews its lease, but not without end.
        if late or now_ms - holder.since_ms > lease_ms * self._timing.renewals:
            self._end(holder, LOST)
            checked.expired.append(holder)
        elif not listed and now_ms - holder.sent_ms > self._timing.redeliver_ms:
            if holder.task.closing:
                self._end(holder, LOST)
            elif holder.deliveries >= self._timing.deliveries:
                self._end(holder, LOST)
                checked.expired.append(holder)
            elif holder.task.raw is not None:
                holder.sent_ms = now_ms
                holder.deliveries += 1
                checked.undelivered.append(holder)

    def lease_ms(self, holder: Holder) -> int:
        """How long an attempt may go unlisted: its wall time and an allowance for waiting at the node."""
        shape = holder.task.shape
        return (shape.wall_ms if shape is not None else 0) + self._timing.queue_allowance_ms

    def _end(self, holder: Holder, state: int) -> None:
        holder.state = state
        held = self._by_node[holder.node]
        del held[holder.key]
        if not held:
            del self._by_node[holder.node]
        if holder.row is not None:
            self._registry.release(holder.row, holder.expected_ms)
        self.released += 1
