"""What a history is made of: who takes part, what is asked, and what goes wrong when. Data, nothing else.

Whoever reads a failing history reads this first, and shrinking takes parts of it away. Times are in simulated milliseconds.
How scenarios are drawn from seeds: `tests.simulation.drawing`.
"""

import json
from dataclasses import dataclass

__all__ = ["COORDINATORS", "LOGS", "VERIFIERS", "Fault", "Network", "NodePlan", "Scenario", "Submission"]

COORDINATORS = ("c0", "c1", "c2")
VERIFIERS = ("v0", "v1")
LOGS = ("tasks", "assignments", "results", "verdicts")


@dataclass(frozen=True, slots=True)
class Network:
    """How messages travel while there are faults; afterwards nothing is lost. The first three are probabilities."""

    drop: float = 0.0
    duplicate: float = 0.0
    lost_answers: float = 0.0
    delay_ms: float = 1.0


@dataclass(frozen=True, slots=True)
class NodePlan:
    """A node; `lies`, `faults`, `forges` and `garbles` are probabilities.

    Liars say the same. It fails of itself (`faults`), claims what was given to others as well (`forges`), or claims what cannot be
    (`garbles`): an output that is not its digest's, an answer to another question.
    """

    name: str
    slots: int = 2
    lies: float = 0.0
    faults: float = 0.0
    forges: float = 0.0
    garbles: float = 0.0
    skew_ms: int = 0
    twin: bool = False


@dataclass(frozen=True, slots=True)
class Submission:
    """At `at_ms`, `client` submits these lines together, and `again` times more, whatever comes of them.

    A line without id is a bare one: no client waits for its verdict.
    """

    at_ms: float
    client: str
    lines: tuple[bytes, ...] = ()
    cancel: str = ""
    again: int = 0
    every_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Fault:
    """Something goes wrong at `at_ms`. What `target`, `ms` and `steps` mean depends on `kind` (see `tests.simulation.faults`)."""

    at_ms: float
    kind: str
    target: str = ""
    ms: float = 0.0
    steps: int = 0

    def __str__(self) -> str:
        """For the list of what went wrong."""
        more = f" after {self.steps} more steps" if self.kind == "crash" else ""
        return f"{self.at_ms:8.0f} ms  {self.kind} {self.target}{more}, for {self.ms:.0f} ms"


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that a history depends on.

    `skews_ms` are what the coordinators' clocks are wrong by, in turn. A checkpoint is made every `checkpoint_ms` (0: never), and logs
    are cut below what is older than `keep_ms`, or, where they are `crowded`, whatever its age.
    """

    seed: int
    network: Network = Network()
    nodes: tuple[NodePlan, ...] = ()
    coordinators: tuple[str, ...] = COORDINATORS[:2]
    verifiers: tuple[str, ...] = VERIFIERS
    submissions: tuple[Submission, ...] = ()
    faults: tuple[Fault, ...] = ()
    calm_ms: float = 20_000
    strategy: str = "weighted"
    skews_ms: tuple[int, ...] = (0,)
    checkpoint_ms: float = 0.0
    keep_ms: float = 1e9
    crowded: bool = False

    def can_end(self) -> bool:
        """Whether there is somebody for everything, so that only a bug keeps a task from its end."""
        asked = [json.loads(line) for each in self.submissions for line in each.lines]
        most = max((spec.get("verify", {}).get("of", 1) for spec in asked), default=1)
        return bool(self.coordinators and self.verifiers) and len(self.nodes) >= most

    def clients(self) -> list[str]:
        """Everyone who submits."""
        return sorted({each.client for each in self.submissions})
