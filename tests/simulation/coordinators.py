"""A coordinator process: the real core, telemetry gate and explanations, in a shell like `coordinator.term` and `coordinator.desk`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from bus.errors import BadSignature, Malformed
from bus.messages import (
    DrainRequest,
    Hello,
    HelloReply,
    Telemetry,
    UndrainRequest,
    Verdict,
    WhyRequest,
)
from bus.reader import Entry
from bus.signing import HELLO, VERDICTS, open_signed
from bus.wire import decode, decoder
from coordinator import explain
from coordinator.admission import Question
from coordinator.checkpoint import pack, restore
from coordinator.core import Core
from coordinator.instructions import Instructions, Token
from coordinator.strategies import strategy_named
from coordinator.telemetry import TelemetryGate
from folds.trimming import mark
from tests.simulation import guest
from tests.simulation.identity import check
from tests.simulation.keeping import Keeper, cut_logs
from tests.simulation.leading import Leaders, Order, TermShell
from tests.simulation.process import Reader
from tests.simulation.writers import FencedFlight

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["Coordinator", "CoordinatorTerm"]

_HELLO = decoder(Hello)
_VERDICT: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Verdict)
_HINTS_BEFORE = 8


class CoordinatorTerm(TermShell):
    """One term: follow, take over, lead."""

    role = "coordinator"
    flight: type[FencedFlight] = FencedFlight

    def __init__(self, process: "Coordinator") -> None:
        super().__init__(process)
        world = self.world
        logs = world.server.logs
        self.core = process.make_core()
        self._gate = TelemetryGate(self.core.registry.key, check)
        self._tasks = Reader(process, logs["tasks"], self._on_tasks, self._on_cut)
        self._assignments = Reader(process, logs["assignments"], self._on_assignments, self._on_cut)
        self._results = Reader(process, logs["results"], self._on_results, self._on_cut)
        self._verdicts = Reader(process, logs["verdicts"], self._on_verdicts, self._on_cut)
        self._writer: FencedFlight | None = None
        self._turn_is_due = False
        self._greeting: dict[str, list[Callable[[Any], None]]] = {}
        self._held = False
        self._keeper = Keeper(
            self,
            self.core.ledger.finished,
            hold=self._hold,
            is_quiet=self._is_quiet,
            state=self._state,
            on_saved=lambda: cut_logs(self, self.core, self._now_ms()),
        )

    # The order of things

    def serve(self) -> Order:
        """As `coordinator.term.Term.serve`."""
        world, server = self.world, self.world.server
        server.subscribe("telemetry", self.process, self._on_telemetry)
        self._tick()
        kept = yield self._keeper.begin()
        positions = self.core.positions
        self.core.verdicts_from = server.logs["verdicts"].first
        if kept is not None:
            restore(self.core, kept.packed, kept.runs, self._now_ms())
        for log, reader in (("verdicts", self._verdicts), ("assignments", self._assignments)):
            reader.position = positions[log]
            reader.start()
            yield self.reached(reader, (yield self.last(log)))
        if kept is None:
            positions["results"] = max(0, self.core.judged_to - _HINTS_BEFORE - 1)
        self._results.position = positions["results"]
        self._results.start()
        self._tasks.position = positions["tasks"]
        self._tasks.start()
        yield self.reached(self._tasks, (yield self.last("tasks")))
        yield self.lease()
        yield self.reached(self._verdicts, (yield self.last("verdicts")))
        yield self.reached(self._assignments, (yield self.last("assignments")))
        self._assignments.stop()
        self._writer = self.flight(
            self.process,
            server.logs["assignments"],
            world.subjects.assignments,
            last=self._assignments.position,
            on_durable=self._on_durable,
            on_fenced=lambda: self.end("another coordinator leads"),
        )
        self.core.lead(self.process.name, self._now_ms())
        self.took_over()
        if self.core.epoch > 1:
            world.met("a coordinator takes over")
        world.say(self.process.name, f"leads from {self._assignments.position} on, epoch {self.core.epoch}")
        self._wake()
        self._keeper.run()
        server.open_desk("coordinator", self.process, self._answer)

    def _on_cut(self) -> None:
        self.end("a log was cut under it")

    def _hold(self, *, held: bool) -> None:
        self._held = held
        if not held:
            self._wake()

    def _is_quiet(self) -> bool:
        self._carry_out(self.core.take_instructions())
        return self.core.is_decided and self._writer is not None and self._writer.idle

    def _state(self) -> tuple[dict[str, int], bytes]:
        mark(self.core.marks, self._now_ms(), self.core.positions)
        return dict(self.core.positions), pack(self.core)

    def close(self) -> None:
        """As `coordinator.term.Term.close`."""
        self.core.leading = False
        server = self.world.server
        server.unsubscribe("telemetry", self._on_telemetry)
        server.close_desk("coordinator", self._answer)
        if self._writer is not None:
            self._writer.stop()

    def reconnected(self) -> None:
        """Answers to writes were lost."""
        if self._writer is not None:
            self._writer.doubt()

    def _now_ms(self) -> int:
        return self.world.wall_ms() + self.process.skew_ms

    def explain(self, name: str) -> str:
        """The state that `why` would answer; empty where nobody would answer, or it has not read so far."""
        logs = self.world.server.logs
        read = self.leading and self.core.ledger.read_to >= logs["tasks"].last
        read = read and self._verdicts.position >= logs["verdicts"].last
        return explain.why(self.core, name, self._now_ms()).state if read else ""

    # What comes in

    def _on_tasks(self, entry: Entry) -> None:
        self.core.fold_tasks(entry)
        self._wake()

    def _on_assignments(self, entry: Entry) -> None:
        self.core.fold_assignments(entry, self._now_ms())

    def _on_results(self, entry: Entry) -> None:
        self.core.fold_results(entry)
        self._wake()

    def _on_verdicts(self, entry: Entry) -> None:
        self.core.fold_verdicts(entry)
        self._wake()

    def _on_durable(self, sequence: int, tokens: list[Token]) -> None:
        self.core.durable(sequence, tokens, self._now_ms())
        self._carry_out(self.core.take_instructions())

    def _on_telemetry(self, subject: str, body: bytes) -> None:
        if self.over:
            return
        node, now_ms = subject.rpartition(".")[2], self._now_ms()
        try:
            said = self._gate.open(node, body, now_ms)
        except (BadSignature, Malformed):
            return
        if said is None:
            self.core.stranger(node)
        elif isinstance(said, Telemetry):
            self.core.hear(said, now_ms)
        else:
            self.core.goodbye(said, now_ms)
        self._wake()

    def _tick(self) -> None:
        if not self.over:
            self.core.tick(self._now_ms())
            self._wake()
            self.process.after(self.world.timing.tick_ms, self._tick)

    # Turns

    def _wake(self) -> None:
        if self.core.leading and not self._turn_is_due:
            self._turn_is_due = True
            self.process.after(0.0, self._turn)

    def _turn(self) -> None:
        self._turn_is_due = False
        if self.core.leading and not self.over and not self._held:
            self._carry_out(self.core.decide(self._now_ms()))

    def _carry_out(self, instructions: Instructions) -> None:
        if self.over or self._writer is None:
            return
        for line, token in instructions.lines:
            self._writer.append(line, token)
        for question in instructions.ask:
            self.process.after(self.process.delay() * 3, self._look_up, question)
        for subject, body in instructions.publish:
            self.process.tell(subject, body)
        for name, sequence in instructions.again:
            self._repeat(name, sequence)
        for node in instructions.enrolled:
            for reply in self._greeting.pop(node, ()):
                reply(HelloReply(ok=True))
        if instructions.more:
            self._wake()

    def _look_up(self, question: Question) -> None:
        if self.over:
            return
        if question.digest == guest.DIGEST:
            self.core.blob_found(question, guest.REPORT)
        else:
            self.core.blob_missing(question, "no such blob")
        self._wake()

    def _repeat(self, name: str, sequence: int) -> None:
        log = self.world.server.logs["verdicts"]

        def told(body: bytes) -> None:
            for line in open_signed(body, VERDICTS)[1] if body else ():
                if b'"kind":"verdict"' in line and _VERDICT.decode(line).task == name:
                    self.world.met("verdict told again")
                    self.process.tell(self.world.subjects.done(name), line)

        server = self.world.server
        self.process.send(
            server.ask, self.process.asker(told),
            lambda: log.at(sequence).body if log.holds(sequence) else b"",
        )  # fmt: skip

    # Questions

    def _answer(self, endpoint: str, asked: Any, reply: Callable[[Any], None]) -> None:
        if self.over:
            return
        if endpoint == "why":
            assert isinstance(asked, WhyRequest)
            reply(explain.why(self.core, asked.task, self._now_ms()))
            return
        if endpoint in ("drain", "undrain"):
            self._drain(asked, reply)
            return
        key, members = open_signed(asked, HELLO)
        hello = decode(members[-1], _HELLO)
        answer = self.core.hello(hello, key, self._now_ms())
        if answer is None or answer.ok:
            self._gate.forget(hello.node)
            self._wake()
        if answer is not None:
            reply(answer)
        else:
            self._greeting.setdefault(hello.node, []).append(reply)

    def _drain(self, asked: DrainRequest | UndrainRequest, reply: Callable[[Any], None]) -> None:
        try:
            if isinstance(asked, DrainRequest):
                reply(self.core.drain(asked, self._now_ms()))
            else:
                reply(self.core.undrain(asked))
        except Malformed:  # it has not enrolled yet
            reply(None)
        self._wake()


class Coordinator(Leaders):
    """The process."""

    kind = "coordinator"

    def __init__(self, world: "World", name: str) -> None:
        super().__init__(world, name)
        number, skews_ms = int(name[1:]), world.scenario.skews_ms
        self.seed = world.scenario.seed % 1000 + number
        self.skew_ms = skews_ms[number % len(skews_ms)]

    def make_core(self) -> Core:
        """The core of a term."""
        parts, world = self.world.parts, self.world
        strategy = strategy_named(world.scenario.strategy)
        return parts.coordinator_core(world.subjects, strategy, world.timing, seed=self.seed)

    def make_term(self) -> TermShell:
        """A term that knows nothing yet."""
        return self.world.parts.coordinator_term(self)
