"""Whom a decision concerns, and what they are told once the log has it.

Guarantees that nodes and clients hear of what is durable and of nothing else, and that what is told of an attempt is told alike however often it is
sent. Told are batches: all that goes to one node in a turn travels together (`instructions`); sending is the `courier`'s.
"""

import numpy as np
from msgspec import Raw

from bus.messages import Assign, CancelAttempt, Enrolled, Progress, Refused
from bus.subjects import Subjects
from bus.wire import encode
from coordinator.instructions import Placed, Stopped, Token
from coordinator.settings import Timing
from coordinator.strategies import Strategy
from coordinator.submissions import Submissions
from coordinator.tasks import RUNNING, Holder

__all__ = ["Telling"]


class Telling(Submissions):
    """What was decided, and who hears of it. `leading` says whether anybody is to be told anything by this coordinator."""

    def __init__(
        self, subjects: Subjects, strategy: Strategy, timing: Timing, rng: np.random.Generator
    ) -> None:
        super().__init__(strategy, timing, rng)
        self.leading = False
        self._subjects = subjects
        self._enrolling: dict[str, int] = {}

    def durable(self, sequence: int, tokens: list[Token], now_ms: int) -> None:
        """The lines of these tokens are in ASSIGNMENTS at `sequence`: now tell whom they concern."""
        self.positions["assignments"] = sequence
        for token in tokens:
            match token:
                case Placed():
                    self._tell_placed(token, sequence, now_ms)
                case Stopped():
                    self.abandoned(token.decision)
                    self._tell_stopped(token)
                case Refused():
                    self.out.batch(self._subjects.rejected(token.client), encode(token))
                case Enrolled():
                    self.enrolled[token.node] = sequence
                    self._tell_enrolled(token.node)

    def _tell_placed(self, placed: Placed, sequence: int, now_ms: int) -> None:
        task = placed.task
        for holder in placed.holders:
            holder.decision = sequence
            holder.sent_ms = holder.renewed_ms = now_ms
        if self.figures is not None and placed.holders[0].attempt == 1:
            self.figures.placed(now_ms - task.arrival_ms)
        if task.raw is None:
            return
        line = self._assign_line(placed.holders[0])
        for holder in placed.holders:
            if holder.state == RUNNING:
                self.out.batch(self._subjects.assign(holder.node), line)
        if not task.together:
            nodes = tuple(holder.node for holder in placed.holders)
            notice = Progress(
                task=task.name, state="assigned", attempt=placed.holders[0].attempt, nodes=nodes
            )
            self.out.publish.append((self._subjects.progress(task.name), encode(notice)))

    def _tell_stopped(self, stopped: Stopped) -> None:
        for holder in stopped.holders:
            line = encode(CancelAttempt(task=stopped.decision.task, attempt=holder.attempt))
            self.out.batch(self._subjects.assign(holder.node), line)

    def _tell_enrolled(self, node: str) -> None:
        left = self._enrolling.pop(node, 1) - 1
        if left:
            self._enrolling[node] = left
        else:
            self.out.enrolled.append(node)

    def _deliver(self, holder: Holder) -> None:
        if self.leading and holder.task.raw is not None:
            self.out.batch(self._subjects.assign(holder.node), self._assign_line(holder))

    def _assign_line(self, holder: Holder) -> bytes:
        task = holder.task
        return encode(
            Assign(
                decision=holder.decision,
                task=task.name,
                attempt=holder.attempt,
                lease_ms=self.attempts.lease_ms(holder),
                spec=Raw(task.raw or b"null"),
                path=task.path,
            )
        )
