"""One history: the world that a scenario describes, played event by event until all is done, or a promise is broken.

Guarantees that a scenario has one history, the same to the last byte wherever and whenever it is played: time is simulated,
every choice is drawn from the seed, and nothing is asked of the machine.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from bus.reader import Entry
from bus.subjects import Subjects
from coordinator.core import Core as CoordinatorCore
from coordinator.settings import Timing
from tests.simulation.clients import Client
from tests.simulation.coordinators import Coordinator, CoordinatorTerm
from tests.simulation.coverage import COUNTED
from tests.simulation.faults import arrange
from tests.simulation.identity import cheap_signatures
from tests.simulation.nodes import Node
from tests.simulation.process import Process
from tests.simulation.promises import hold
from tests.simulation.scenario import Network, Scenario
from tests.simulation.server import Log, Server
from tests.simulation.verifiers import Verifier, VerifierTerm
from tests.simulation.watch import Violation, Watch
from verifier.core import Core as VerifierCore

__all__ = ["BEGIN_MS", "History", "Parts", "Timer", "World", "play"]

type Timer = list[Any]
"""What is to happen: when, a number for the order of what happens then, the call (None once it was called off), its arguments."""

BEGIN_MS = 1_577_836_800_000
"""Simulated time begins on 2020-01-01T00:00:00Z."""

PATIENCE_MS = 240_000
"""Simulated time after the last fault in which everything must come to its end."""

_WHY_EVERY_MS = 3_000

TIMING = Timing(
    tick_ms=1_000,
    queue_allowance_ms=3_000,
    renewals=4,
    redeliver_ms=1_000,
    backoff_limit_ms=1_000,
    settle_ms=1_000,
    stranded_ms=2_500,
    unjudged_ms=4_000,
)
"""The rules are the real ones, the spans shorter: less happens between two ends of a long wait."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a world is built of; a test that breaks a rule on purpose gives another part."""

    server: type[Server] = Server
    coordinator_core: type[CoordinatorCore] = CoordinatorCore
    coordinator_term: type[CoordinatorTerm] = CoordinatorTerm
    verifier_core: type[VerifierCore] = VerifierCore
    verifier_term: type[VerifierTerm] = VerifierTerm
    node: type[Node] = Node
    client: type[Client] = Client


@dataclass(frozen=True, slots=True)
class History:
    """What came of a scenario.

    `settled_ms` is the time from the last fault to the end of everything, `print` the digest of all that was written,
    `violation` the promise that it broke, `counted` how often what happened (`tests.simulation.coverage`).
    """

    scenario: Scenario
    events: int
    simulated_ms: float
    settled_ms: float
    print: str
    violation: Violation | None
    trace: list[str]
    counted: dict[str, int]


class World:
    """Everyone, and the clock. `faulty` until the scenario's calm begins."""

    def __init__(self, scenario: Scenario, parts: Parts, *, tracing: bool = False) -> None:
        self.scenario = scenario
        self.parts = parts
        self.network = scenario.network
        self.timing = TIMING
        self.subjects = Subjects("sim")
        self.rng = random.Random(scenario.seed)  # noqa: S311 -- a simulation
        self.now = 0.0
        self.faulty = True
        self.events = 0
        self.trace: list[str] = []
        self.counted = dict.fromkeys(COUNTED, 0)
        self._tracing = tracing
        self._agenda: list[Timer] = []
        self._numbers = 0
        self._print = sha256()
        self.watch = Watch(self)
        self.server = parts.server(self)
        self.processes: dict[str, Process] = {}
        for name in scenario.coordinators:
            self.processes[name] = Coordinator(self, name)
        for name in scenario.verifiers:
            self.processes[name] = Verifier(self, name)
        for plan in scenario.nodes:
            self.processes[plan.name] = parts.node(self, plan, plan.name)
            if plan.twin:
                self.processes[f"{plan.name}'"] = parts.node(self, plan, f"{plan.name}'")
        for name in scenario.clients():
            self.processes[name] = parts.client(self, name)

    # For everyone

    def at(self, when: float, call: Callable[..., Any], arguments: tuple[Any, ...]) -> Timer:
        """Let this happen then; what is returned is for `call_off`."""
        self._numbers += 1
        timer: Timer = [when, self._numbers, call, arguments]
        heapq.heappush(self._agenda, timer)
        return timer

    @staticmethod
    def call_off(timer: Timer | None) -> None:
        """Let it not happen; harmless if it has happened."""
        if timer is not None:
            timer[2] = None

    def wall_ms(self) -> int:
        """The time that processes see."""
        return BEGIN_MS + int(self.now)

    def number(self) -> int:
        """A number that nobody else gets."""
        self._numbers += 1
        return self._numbers

    def chance(self, probability: float) -> bool:
        """Whether it happens."""
        return probability > 0 and self.rng.random() < probability

    def met(self, what: str) -> None:
        """It happened; one of `coverage.COUNTED`."""
        self.counted[what] += 1

    def say(self, who: str, what: str) -> None:
        """A line of the trace."""
        if self._tracing:
            self.trace.append(f"{self.now:10.1f}  {who:6}  {what}")

    def stored(self, log: Log, entry: Entry, mark: str) -> None:
        """A message is in a log."""
        self._print.update(b"%s %d %d %s\n" % (log.name.encode(), entry.sequence, entry.at_ms, entry.body))
        if self._tracing:
            for line in entry.body.split(b"\n"):
                if not line.startswith(b'{"payloadType"'):
                    self.say(log.name, f"{entry.sequence}: {line.decode(errors='replace')[:230]}")
        self.watch.stored(log, entry, mark)

    # The history

    def play(self) -> None:
        """Everything, from the start to the end; raises `Violation`."""
        for process in self.processes.values():
            self.at(self.rng.random() * 50, process.start, ())
        for submission in self.scenario.submissions:
            client = self.processes[submission.client]
            assert isinstance(client, Client)
            self.at(submission.at_ms, client.submit, (submission,))
        for fault in self.scenario.faults:
            arrange(self, fault)
        self._run_until(self.scenario.calm_ms)
        self._calm()
        end, asked = self.scenario.calm_ms + PATIENCE_MS, self.now
        while not self.watch.quiet:
            if self.now > end:
                raise Violation("everything comes to its end", "; ".join(self.watch.lacking()))
            self._run_until(self.now + 250)
            if self.now > asked + _WHY_EVERY_MS:
                asked = self.now
                self._ask_why()

        self._ask_why()

    def _ask_why(self) -> None:
        """Whoever leads and has read the logs can say of each task where it stands, or how it ended."""
        for process in self.processes.values():
            if process.leads and isinstance(process, Coordinator):
                assert isinstance(process.term, CoordinatorTerm)
                for name in self.watch.unsettled_names():
                    known = process.term.explain(name) != "unknown"
                    hold(known, "why says where a task stands", f"{process.name} does not know {name}")
                for name, status in self.watch.ended():
                    said = process.term.explain(name)
                    # Of what is older than the logs nobody has to know.
                    fits = said in ("", "unknown", status)
                    hold(fits, "why says how a task ended", f"{process.name}: {name} is {said}, not {status}")

    def _run_until(self, when: float) -> None:
        agenda, pop = self._agenda, heapq.heappop
        while agenda and agenda[0][0] <= when:
            self.now, _, call, arguments = pop(agenda)
            if call is not None:
                self.events += 1
                call(*arguments)
        self.now = when

    def _calm(self) -> None:
        """From here on nothing goes wrong any more; liars lie on."""
        self.say("world", "-- faults end --")
        self.faulty = False
        self.network = Network()
        for log in self.server.logs.values():
            log.full = False
        for process in self.processes.values():
            process.fuse = None
            process.join()
            process.resume()
            process.start()

    def history(self, violation: Violation | None) -> History:
        """What came of it."""
        return History(
            self.scenario,
            self.events,
            self.now,
            max(0.0, self.now - self.scenario.calm_ms),
            self._print.hexdigest(),
            violation,
            self.trace,
            self.counted,
        )


_REAL = Parts()


def play(scenario: Scenario, parts: Parts = _REAL, *, tracing: bool = False) -> History:
    """Play a scenario; its history, whether a promise was broken or not."""
    with cheap_signatures():
        world = World(scenario, parts, tracing=tracing)
        try:
            world.play()
        except Violation as violation:
            world.say("world", f"BROKEN: {violation}")
            return world.history(violation)
        return world.history(None)
