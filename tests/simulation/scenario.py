"""What a history is made of: who takes part, what is asked, and what goes wrong when. Drawn from one seed; data, nothing else.

Whoever reads a failing history reads this first, and shrinking takes parts of it away. Times are in simulated milliseconds.
"""

import json
import random
from dataclasses import dataclass, field
from typing import Any

from tests.simulation import guest

__all__ = ["Fault", "Network", "NodePlan", "Scenario", "Submission", "draw"]

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
    """At `at_ms`, `client` submits these lines together. A line without id is a bare one: no client waits for its verdict."""

    at_ms: float
    client: str
    lines: tuple[bytes, ...] = ()
    cancel: str = ""


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


@dataclass(slots=True)
class _Draft:
    rng: random.Random
    nodes: int
    calm_ms: float
    lines: dict[str, bytes] = field(default_factory=dict)
    made: int = 0

    def verify(self) -> dict[str, Any] | None:
        pick = self.rng.random()
        if pick < 0.35:
            return None
        options = [(2, 2), (2, 3), (2, 3), (2, 3), (1, 1), (3, 4), (3, 5)]
        agree, of = self.rng.choice([each for each in options if each[1] <= self.nodes])
        return {"kind": "quorum", "agree": agree, "of": of}

    def spec(self) -> dict[str, Any]:
        rng = self.rng
        spec: dict[str, Any] = {
            "work": {
                "kind": "wasm",
                "module": f"sha256:{guest.DIGEST}",
                "entry": "add",
                "args": [rng.randrange(16), self.made],
            },
            "limits": {"wall_ms": 1000, "memory_mb": 64},
            "max_attempts": rng.choice([1, 2, 3, 5, 8]),
            "priority": rng.randrange(10),
        }
        verify = self.verify()
        if verify is not None:
            spec["verify"] = verify
        if rng.random() < 0.1:
            second = int(rng.uniform(1, self.calm_ms / 1000))
            spec["deadline"] = f"2020-01-01T00:{second // 60:02d}:{second % 60:02d}Z"
        if rng.random() < 0.04:
            spec["work"]["module"] = "sha256:" + "ab" * 32
        if rng.random() < 0.03:
            spec["work"]["args"] = [1]
        return spec

    def line(self, client: str) -> bytes:
        rng = self.rng
        self.made += 1
        pick = rng.random()
        if pick < 0.02:
            return b'{"id":"odd","work":{"kind":"magic"}}'
        spec = self.spec()
        if pick < 0.12:
            return json.dumps(spec).encode()
        known = [name for name in self.lines if name.startswith(f"{client}.")]
        if pick < 0.22 and known:
            name = rng.choice(known)
            if rng.random() < 0.7:
                return self.lines[name]
            return json.dumps({"id": name.partition(".")[2], **spec}).encode()
        name = f"t{self.made}"
        line = json.dumps({"id": name, **spec}).encode()
        self.lines[f"{client}.{name}"] = line
        return line


def draw(seed: int) -> Scenario:
    """The scenario of a seed."""
    rng = random.Random(seed)  # noqa: S311 -- a simulation
    calm_ms = rng.uniform(3_000, 18_000)
    nodes = _nodes(rng)
    coordinators = COORDINATORS[: rng.choice([1, 2, 2, 2, 3])]
    verifiers = VERIFIERS[: rng.choice([1, 2, 2, 2])]
    submissions = _submissions(rng, _Draft(rng, len(nodes), calm_ms))
    everyone = [*coordinators, *coordinators, *verifiers, *verifiers, *(node.name for node in nodes), "k0"]
    return Scenario(
        seed=seed,
        network=_network(rng),
        nodes=nodes,
        coordinators=coordinators,
        verifiers=verifiers,
        submissions=submissions,
        faults=_faults(rng, everyone, submissions, calm_ms),
        calm_ms=calm_ms,
        skews_ms=tuple(rng.choice([0, 0, 0, -20_000, 20_000]) for _ in coordinators),
        strategy=rng.choice(["weighted", "weighted", "round-robin", "least-loaded", "latency-aware"]),
        checkpoint_ms=rng.choice([0.0, 150.0, 400.0, 1_500.0]),
        keep_ms=rng.choice([0.0, 500.0, 3_000.0]),
        crowded=rng.random() < 0.2,
    )


def _network(rng: random.Random) -> Network:
    if rng.random() < 0.25:
        return Network(delay_ms=rng.choice([0.2, 1.0, 20.0]))
    return Network(
        drop=rng.choice([0.0, 0.02, 0.1, 0.3]),
        duplicate=rng.choice([0.0, 0.05, 0.2]),
        lost_answers=rng.choice([0.0, 0.02, 0.1, 0.3]),
        delay_ms=rng.choice([0.2, 1.0, 5.0, 50.0]),
    )


def _nodes(rng: random.Random) -> tuple[NodePlan, ...]:
    many = rng.choice([2, 3, 3, 4, 4, 5, 6])
    liars = rng.choice([0, 0, 1, 1, 2])
    return tuple(
        NodePlan(
            f"n{at}",
            slots=rng.choice([1, 2, 4]),
            lies=rng.choice([0.5, 1.0]) if at < liars else 0.0,
            faults=rng.choice([0.0, 0.0, 0.0, 0.3]),
            forges=rng.choice([0.0, 0.3]) if at < liars else 0.0,
            garbles=rng.choice([0.0, 0.0, 0.3]) if at < liars else 0.0,
            skew_ms=rng.choice([0, 0, -90_000, 40_000]),
            twin=rng.random() < 0.03,
        )
        for at in range(many)
    )


def _submissions(rng: random.Random, draft: _Draft) -> tuple[Submission, ...]:
    made: list[Submission] = []
    burst = rng.uniform(1_000, draft.calm_ms)
    for _ in range(rng.randint(2, 10)):
        client = rng.choice(["k0", "k0", "k1"])
        at_ms = burst if rng.random() < 0.3 else rng.uniform(1_000, draft.calm_ms)
        lines = tuple(draft.line(client) for _ in range(rng.choice([1, 1, 1, 2, 3, 5])))
        made.append(Submission(at_ms, client, lines))
        if rng.random() < 0.15:
            named = [name for name in draft.lines if name.startswith(f"{client}.")]
            if named:
                made.append(Submission(at_ms + rng.uniform(0, 3_000), client, cancel=rng.choice(named)))
    return tuple(sorted(made, key=lambda each: each.at_ms))


def _faults(
    rng: random.Random, everyone: list[str], submissions: tuple[Submission, ...], calm_ms: float
) -> tuple[Fault, ...]:
    kinds = (
        ["crash"] * 5
        + ["pause"] * 4
        + ["cut", "hold"] * 2
        + ["lease", "lease", "restart", "fill", "leave", "damage"]
    )
    leaders = [name for name in everyone if name[0] in "cv"]
    made = []
    for _ in range(rng.choice([0, 2, 4, 6, 8, 12])):
        kind = rng.choice(kinds)
        # Most of what can go wrong goes wrong where something is going on.
        target = rng.choice(leaders if rng.random() < 0.3 else everyone)
        at_ms = (
            rng.choice(submissions).at_ms + rng.expovariate(1 / 200)
            if rng.random() < 0.5
            else rng.uniform(500, calm_ms)
        )
        if kind == "fill":
            target = rng.choice(LOGS)
        elif kind in ("lease", "damage"):
            target = rng.choice(["coordinator", "verifier"])
        elif kind == "restart":
            target = "server"
        elif kind == "leave":
            target = rng.choice([name for name in everyone if name.startswith("n")])
        ms = rng.choice([50, 500, 2_500, 4_000, 12_000])
        made.append(Fault(min(at_ms, calm_ms), kind, target, ms, rng.choice([0, 0, 1, 2, 3, 5, 9])))
    return tuple(sorted(made, key=lambda each: each.at_ms))
