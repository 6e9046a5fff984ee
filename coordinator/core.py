"""The coordinator's decisions: events in, instructions out; no I/O, and the clock passed in.

Guarantees, for any history of events and any cut into leaderships:

- every admitted task goes on until it has a verdict: it is assigned, assigned again, or abandoned with a reason;
- attempts of a task are numbered 1, 2, 3 … up to `max_attempts`, and each is decided once;
- nobody is told of a decision before `durable` said that it is in the log;
- what a log already decided is not decided again, by whomever it was.

A turn (`decide`) looks at everything that came since the last one, so that many events cost one turn. Here is who leads, and what nodes say of
themselves. Left to others: what the logs say (`fold`), what becomes of a task (`schedule`) and of a submission (`submissions`), who hears of it
(`telling`); what is a valid submission (`intake`, `admission`), which nodes (`placement`), and the writing (`term`).
"""

import numpy as np

from bus.messages import (
    CancelAttempt,
    Drain,
    DrainReply,
    DrainRequest,
    EnrolAgain,
    Enrolled,
    Goodbye,
    Hello,
    HelloReply,
    Leader,
    Telemetry,
    Undrain,
    UndrainRequest,
)
from bus.subjects import Subjects
from bus.wire import encode
from coordinator.drains import Drains
from coordinator.instructions import Instructions
from coordinator.patrol import Patrol
from coordinator.registry import DEAD, LEFT
from coordinator.settings import Timing
from coordinator.strategies import Strategy
from coordinator.tasks import Holder
from coordinator.telling import Telling

__all__ = ["Core"]

_ENROL_AGAIN = encode(EnrolAgain())
_GONE = frozenset({"dead", "left"})
_WITHDRAWN = frozenset({"cancelled", "expired"})
"""Verdicts after which no attempt is of use to anybody; after the others what still runs may end, and counts for its node."""


class Core(Telling):
    """One coordinator's view and decisions. It decides only after `lead`."""

    def __init__(
        self, subjects: Subjects, strategy: Strategy, timing: Timing | None = None, *, seed: int = 0
    ) -> None:
        super().__init__(subjects, strategy, timing or Timing(), np.random.default_rng(seed))
        self.drains = Drains(self.registry)
        self._patrol = Patrol(self.registry, self.timing)

    def __repr__(self) -> str:
        """Who leads, and how much there is to do."""
        return f"Core(epoch={self.epoch}, leading={self.leading}, {self.ledger}, {self.queue})"

    # Leadership and turns

    def lead(self, leader: str, now_ms: int) -> None:
        """Begin to decide, under the next epoch; the logs must be folded to their ends."""
        self.leading = True
        self.epoch += 1
        decision = Leader(epoch=self.epoch, leader=leader)
        self.out.lines.append((encode(decision), decision))
        # A node may have been given up before the decision that gave it work was read.
        self.registry.sweep(now_ms)
        for node in self.attempts.nodes():
            row = self.registry.row(node)
            if row is None or self.registry.state[row] in (DEAD, LEFT):
                self.attempts.lost_node(node)
        for holder in self.attempts.unheard(now_ms):
            self._deliver(holder)
        self.ledger.lead()
        recent = now_ms - self.timing.resubmitted_ms
        self.ledger.again = type(self.ledger.again)(
            (each for each in self.ledger.again if each[0] >= recent), maxlen=self.ledger.again.maxlen
        )

    def tick(self, now_ms: int) -> None:
        """Let time pass: nodes that fell silent are noted, and room is looked for again."""
        self.repute()
        for node, _, state in self.registry.sweep(now_ms):
            if state in _GONE:
                if self.figures is not None:
                    self.figures.gone[state] += 1
                self._lost(self.attempts.lost_node(node), now_ms)
        self.room_changed = True
        if self.leading:
            self._go_round(now_ms)

    def _go_round(self, now_ms: int) -> None:
        for task in self._patrol.next(self.ledger.open):
            if task.closing or not task.attempt:
                continue
            gone = self._patrol.gone(task)
            for holder in gone:
                self.attempts.given_up(holder)
            self._count_lost(len(gone))
            if gone or self._patrol.disbelieve(task, self.judged_to, now_ms):
                self.reconsider(task, now_ms)

    def decide(self, now_ms: int) -> Instructions:
        """One turn: admit, give up, and place; returns all there is to do."""
        if self.leading:
            self._admit(now_ms)
            self._refuse()
            self._cancel(now_ms)
            self.expire(now_ms)
            self.place(now_ms)
            again = self.ledger.again
            while again:
                _, name, verdict = again.popleft()
                self.out.again.append((name, verdict))
        return self.take_instructions()

    @property
    def is_decided(self) -> bool:
        """Whether every line of what was decided has been handed out."""
        return not self.out.lines

    def enrol_again(self, before: int) -> bool:
        """Write the enrolments that stand before this sequence of ASSIGNMENTS once more, so that it can be cut there.

        Whether there were any. A name belongs to its key for ever, also for who reads the log from where it then begins.
        """
        old = [node for node, sequence in self.enrolled.items() if sequence < before]
        for node in old:
            row, key = self.registry.row(node), self.registry.key(node)
            if row is not None and key is not None and node not in self._enrolling:
                self._enrol(Enrolled(node=node, key=key, capabilities=self.registry.capabilities[row]))
        return bool(old)

    def _enrol(self, decision: Enrolled) -> None:
        self._enrolling[decision.node] = self._enrolling.get(decision.node, 0) + 1
        self.out.lines.append((encode(decision), decision))

    def take_instructions(self) -> Instructions:
        """What there is to do now, without deciding anything."""
        out, self.out = self.out, Instructions()
        return out.close()

    # Nodes

    def hello(self, hello: Hello, key: str, now_ms: int) -> HelloReply | None:
        """A node asks in with a signed hello; None where the answer is yes once its enrolment is durable.

        A name belongs to the first key that was enrolled under it.
        """
        if not self.leading:
            return HelloReply(ok=False, error="this coordinator stands by: ask again, the leader answers")
        node, owner = hello.node, self.registry.key(hello.node)
        if owner is not None and owner != key:
            return HelloReply(
                ok=False,
                error=f"node {node!r} belongs to key {owner[:16]}…, not to {key[:16]}…: "
                "start it with its own identity file, or choose another --id",
            )
        row = self.registry.row(node)
        same = row is not None and self.registry.capabilities[row] == hello.capabilities
        self.registry.enrol(node, key, hello.capabilities, now_ms)
        self.room_changed = True
        if same:
            return None if node in self._enrolling else HelloReply(ok=True)
        self._enrol(Enrolled(node=node, key=key, capabilities=hello.capabilities))
        return None

    def hear(self, telemetry: Telemetry, now_ms: int) -> None:
        """A genuine heartbeat: how the node is, and what it is busy with."""
        node = telemetry.node
        if not self.registry.heard(telemetry, now_ms):
            self._ask_to_enrol(node)
            return
        self.drains.hear(telemetry, now_ms)
        checked = self.attempts.heartbeat(node, telemetry.open, now_ms)
        for holder in checked.undelivered:
            self._deliver(holder)
        for holder in checked.expired:
            holder.task.excluded |= {node}
        self._lost(checked.expired, now_ms)
        self._stop_again(node, telemetry.open)

    def _stop_again(self, node: str, listed: tuple[str, ...]) -> None:
        """A cancel is sent once and may be lost: who still lists an attempt of a task that is given up for good, is told again."""
        for key in listed if self.leading else ():
            if self.attempts.holds(node, key):
                continue
            name, _, attempt = key.rpartition("#")
            if attempt.isdecimal() and self._is_given_up(name):
                line = encode(CancelAttempt(task=name, attempt=int(attempt)))
                self.out.batch(self._subjects.assign(node), line)

    def _is_given_up(self, name: str) -> bool:
        task = self.ledger.open.get(name)
        if task is not None:
            return task.closing_durable
        finished = self.ledger.known(name)
        return finished is not None and finished.status in _WITHDRAWN

    def stranger(self, node: str) -> None:
        """Telemetry came under a name that is not enrolled: its node is to say hello."""
        self._ask_to_enrol(node)

    def goodbye(self, goodbye: Goodbye, now_ms: int) -> None:
        """A node hands work back, and leaves or stays: what it does not keep is for others.

        It gets no more until its next heartbeat says that it takes work: given back to it at once, a task would be out of attempts before that.
        """
        if goodbye.handed_back:
            self.registry.handed_back(goodbye.node)
        self._lost(self.attempts.handed_back(goodbye.node, goodbye.handed_back), now_ms)
        if goodbye.leaving:
            self.registry.left(goodbye.node)
            self._lost(self.attempts.lost_node(goodbye.node), now_ms)

    def drain(self, asked: DrainRequest, now_ms: int) -> DrainReply:
        """An operator wants a node to have no more work. Raises `Malformed` for a name that nobody has."""
        return self._tell(asked.node, self.drains.drain(asked, now_ms))

    def undrain(self, asked: UndrainRequest) -> DrainReply:
        """An operator wants a node to have work again. Raises `Malformed` for a name that nobody has."""
        return self._tell(asked.node, self.drains.undrain(asked))

    def _tell(self, node: str, told: Drain | Undrain | None) -> DrainReply:
        if told is not None:
            self.out.publish.append((self._subjects.assign(node), encode(told)))
        return self.drains.standing(node, told=told is not None)

    def _ask_to_enrol(self, node: str) -> None:
        if self.leading:
            self.out.publish.append((self._subjects.assign(node), _ENROL_AGAIN))

    def _lost(self, holders: list[Holder], now_ms: int) -> None:
        if self.leading:
            self._count_lost(len(holders))
            for holder in holders:
                self.reconsider(holder.task, now_ms)

    def _count_lost(self, holders: int) -> None:
        if self.figures is not None:
            self.figures.lost += holders
