"""A node: the real core, answers and lies of `workers`, in a shell like `workers.executor`, `enrolment` and `heartbeat`.

The disk of a node is its outbox, which survives; what it ran and did not write there is lost with it. Guests take simulated time.
"""

from collections import deque
from typing import TYPE_CHECKING

import msgspec

from bus.messages import Capabilities, Goodbye, Hello, HelloReply, Instruction, Result, Telemetry
from bus.signing import GOODBYE, HELLO, RESULTS, TELEMETRY
from bus.wire import decode, decoder, encode, sha256_hex
from sandbox.job import Outcome, fault
from tests.simulation import guest
from tests.simulation.identity import CheapIdentity
from tests.simulation.process import Process
from tests.simulation.scenario import NodePlan
from tests.simulation.writers import OpenFlight
from workers.answers import claim
from workers.attempt import Attempt, attempt_key
from workers.core import NodeCore, Orders
from workers.faults import lied

if TYPE_CHECKING:
    from tests.simulation.world import Timer, World

__all__ = ["Node"]

_INSTRUCTION: msgspec.json.Decoder[Instruction] = msgspec.json.Decoder(Instruction)
_RESULT = decoder(Result)
_BEAT_MS = 2_000.0
_ANSWER_MS = 2_000.0
_MEMORY_MB = 512
_GARBLED = ("output_digest", "spec", "module", "input")


class Node(Process):
    """The process and its disk. A twin is a second one with a copy of the first one's identity, on a disk of its own."""

    kind = "node"

    def __init__(self, world: "World", plan: NodePlan, name: str) -> None:
        super().__init__(world, name)
        self.plan = plan
        self.node = plan.name
        self.skew_ms = plan.skew_ms
        self.away_ms = 0.0
        self.identity = CheapIdentity(plan.name)
        self.outbox: dict[int, bytes] = {}
        self._places = 0
        self._capabilities = Capabilities(
            version="1", engine="e", cores=4, memory_mb=_MEMORY_MB, slots=plan.slots
        )

    def boot(self) -> None:
        """Enrol, listen, and send what an earlier life left in the outbox."""
        server, subjects = self.world.server, self.world.subjects
        self.core = NodeCore(slots=self.plan.slots, memory_mb=_MEMORY_MB)
        self._queued: deque[Attempt] = deque()
        self._busy: dict[str, Attempt] = {}
        self._stopped: set[int] = set()
        self._resting: Timer | None = None
        self._asked = 0
        self._patience: Timer | None = None
        self._beating = False
        self.writer = OpenFlight(
            self,
            server.logs["results"],
            subjects.results(self.node),
            on_durable=self._on_durable,
            seal=lambda lines: self.identity.seal(RESULTS, lines),
        )
        if self.name != self.node:
            self.world.met("a twin starts")
        for place, line in self.outbox.items():
            self.world.met("claim from an outbox")
            result = decode(line, _RESULT)
            key = attempt_key(result.task, result.attempt)
            self.core.remember((key,))
            self.writer.append(line, (key, place))
        server.subscribe(f"assign.{self.node}", self, self._on_message)
        self._hello()

    def reconnected(self) -> None:
        """Say hello again; answers to writes were lost."""
        self.writer.doubt()
        self._hello()

    # Enrolment and telemetry

    def _hello(self) -> None:
        self.world.call_off(self._patience)
        self._asked += 1
        asked = self._asked
        hello = Hello(node=self.node, capabilities=self._capabilities)

        def told(reply: HelloReply | None) -> None:
            if asked != self._asked:
                return
            if reply is None or not reply.ok:
                self.world.call_off(self._patience)
                self._patience = self.after(500 + self.rng.random() * 500, self._hello_if, asked)
                return
            self._asked += 1
            self.world.call_off(self._patience)
            self.world.watch.enrolled(self.node, self.identity.key)
            if not self._beating:
                self._beating = True
                self.after(self.rng.random() * _BEAT_MS, self._beat)
            self._telemetry()

        body = self.identity.seal(HELLO, [encode(hello)])
        self.send(self.world.server.request, "coordinator", "hello", body, self.asker(told))
        self._patience = self.after(_ANSWER_MS, self._hello_if, asked)

    def _hello_if(self, asked: int) -> None:
        if asked == self._asked:
            self._hello()

    def _beat(self) -> None:
        self.after(_BEAT_MS, self._beat)
        self._telemetry()

    def _telemetry(self) -> None:
        self.core.breakers.measured(self.world.now / 1000, latency_ms=1.0)
        telemetry = Telemetry(
            node=self.node,
            at_ms=self.world.wall_ms() + self.skew_ms,
            cpu_free=0.5,
            memory_free=0.5,
            latency_ms=1.0,
            bandwidth_mbps=100.0,
            open=self.core.held(4096),
            safe_mode=self.core.breakers.reason,
            draining=self.core.draining,
        )
        self._publish(self.identity.seal(TELEMETRY, [encode(telemetry)]))

    def _publish(self, body: bytes) -> None:
        subject = self.world.subjects.telemetry(self.node)
        self.send(self.world.server.broadcast, "telemetry", subject, body)

    # Orders

    def _on_message(self, subject: str, body: bytes) -> None:
        del subject
        self._follow(self.core.instruct(_INSTRUCTION.decode_lines(body)))

    def _follow(self, orders: Orders) -> None:
        for attempt in orders.stop:
            self._busy.pop(attempt.key, None)
            if attempt in self._queued:
                self._queued.remove(attempt)
        if orders.answer:
            self._claim(orders.answer)
        for need in orders.fetch:
            self.after(self.delay() * 2, lambda need=need: self._follow(self.core.fetched(need)))
        self._queued.extend(orders.run)
        self._run()
        if orders.hand_back:
            self.world.met("attempts handed back")
            goodbye = Goodbye(node=self.node, handed_back=tuple(orders.hand_back), leaving=False)
            self._publish(self.identity.seal(GOODBYE, [encode(goodbye)]))
        if orders.enrol:
            self.world.met("asked to enrol again")
            self._hello()
        if orders.drain is not None and orders.drain.stay:
            self._rest(orders.drain.finish_ms or 0)
        elif orders.drain is not None and not self.core.leaving:
            self.world.met("a node is drained by its operator")
            self._drain(self.away_ms)
        if orders.undrain and self.core.draining:
            self.world.call_off(self._resting)
            self._resting = None
            self.core.undrain()
            self._telemetry()

    def _rest(self, finish_ms: float) -> None:
        """As `workers.rest`: what runs may finish until the earliest end that was named."""
        end = self.world.now + finish_ms
        begins = self._resting is None
        if self._resting is None or end < self._resting[0]:
            self.world.call_off(self._resting)
            self._resting = self.after(finish_ms, self._give_up)
        if begins and not self.core.leaving:
            self.world.say(self.name, "drains, and stays")
            running = set(self._busy)
            self._follow(self.core.drain(lambda attempt: attempt.key in running, leaving=False))
            self._telemetry()

    def _give_up(self) -> None:
        if self.core.draining and not self.core.is_idle:
            self.world.met("handed back at the end of a rest")
            self._follow(self.core.drain(lambda _: False, leaving=False))
            self._telemetry()

    def _run(self) -> None:
        while self._queued and len(self._busy) < self.plan.slots:
            attempt = self._queued.popleft()
            self._busy[attempt.key] = attempt
            wall_ms = self.rng.choice((1.0, 10.0, 100.0, 100.0, 900.0, 3_000.0))
            self.after(wall_ms, self._ended, attempt, wall_ms)

    def _ended(self, attempt: Attempt, wall_ms: float) -> None:
        if self._busy.get(attempt.key) is not attempt:
            return
        del self._busy[attempt.key]
        outcome = guest.run(attempt.job, wall_ms)
        if self.rng.random() < self.plan.faults:
            outcome = fault("crash", "the slot died")
        self._follow(self.core.ended([(attempt, outcome)], self.world.now / 1000))

    # Claims

    def _claim(self, answers: list[tuple[Attempt, Outcome]]) -> None:
        written: list[tuple[str, int, bytes]] = []
        for attempt, outcome in answers:
            said = lied(outcome) if self.rng.random() < self.plan.lies else outcome
            self._places += 1
            made = claim(self.node, attempt, said, 0.5, "estimated:tdp")
            if self.rng.random() < self.plan.garbles:
                made = msgspec.structs.replace(made, **{self.rng.choice(_GARBLED): "0" * 64})
            line = encode(made)
            written.append((attempt.key, self._places, line))
        if self.rng.random() < self.plan.forges:
            self._forge()
        self.burn()  # it may die before the claims are on disk, and (at the next step) after that
        for key, place, line in written:
            self.outbox[place] = line
            self.writer.append(line, (key, place))

    def _forge(self) -> None:
        """Claim what was given to others, or to nobody yet: all that it needs to know is in the open logs."""
        made = [each for each in self.world.watch.decided[-8:] if self.node not in each[1].nodes]
        if not made:
            return
        sequence, assigned = self.rng.choice(made)
        forged = Result(
            decision=sequence + self.rng.choice((0, 0, 0, 7)),
            task=assigned.task,
            attempt=assigned.attempt + self.rng.choice((0, 0, 0, 1)),
            node=self.node,
            status="ok",
            spec=assigned.spec,
            module=assigned.module,
            input=assigned.input,
            output=b"forged",
            output_size=6,
            output_digest=sha256_hex(b"forged"),
            trace=sha256_hex(b"forged"),
        )
        self.writer.append(encode(forged), ("", 0))

    def _on_durable(self, sequence: int, tokens: list[tuple[str, int]]) -> None:
        del sequence
        self.core.settled([key for key, _ in tokens])
        for _, place in tokens:
            self.outbox.pop(place, None)

    # Leaving in order

    def leave(self, away_ms: float) -> None:
        """Drain, say goodbye when all is claimed, and come back later."""
        if self.alive and not self.core.leaving:
            self.world.met("a node leaves")
            self._take(self.life, self._drain, (away_ms,))

    def _drain(self, away_ms: float) -> None:
        self.world.say(self.name, "drains")
        running = set(self._busy)
        self._follow(self.core.drain(lambda attempt: attempt.key in running))
        self._telemetry()
        self._finish(away_ms)

    def _finish(self, away_ms: float) -> None:
        if not self.core.is_idle or not self.writer.idle:
            self.after(100.0, self._finish, away_ms)
            return
        self._publish(self.identity.seal(GOODBYE, [encode(Goodbye(node=self.node))]))
        self.kill(away_ms)
