"""Which scenario belongs to which seed.

Most are short: a handful of tasks, few processes, and faults where something is going on, so that a second of a processor sees as many
of them as it can. One in twenty-five is long, with more of everybody and more time, for what takes several turns to go wrong. Brief ones are
scenarios of their own, for more of them in a second; a second of them finds less.
"""

import json
import random
from dataclasses import dataclass, field, replace
from typing import Any

from tests.simulation import guest
from tests.simulation.scenario import (
    COORDINATORS,
    LOGS,
    VERIFIERS,
    Fault,
    Network,
    NodePlan,
    Scenario,
    Submission,
)
from tests.simulation.server import LEASE_MS

__all__ = ["draw"]

_LONG = 0.04


@dataclass(frozen=True, slots=True)
class _Size:
    """How much there is of everything; lists are drawn from evenly. `calm_ms` and `submissions` are from, to."""

    calm_ms: tuple[float, float]
    coordinators: tuple[int, ...]
    verifiers: tuple[int, ...]
    nodes: tuple[int, ...]
    submissions: tuple[int, int]
    lines: tuple[int, ...]
    faults: tuple[int, ...]
    spans_ms: tuple[float, ...]


_SHORT = _Size(
    calm_ms=(1_200, 4_200),
    coordinators=(1, 2, 2, 2),
    verifiers=(1, 2, 2),
    nodes=(2, 3, 3, 4),
    submissions=(1, 3),
    lines=(1, 1, 2, 3),
    faults=(3, 4, 5, 6, 7),
    spans_ms=(50, 300, 1_000, 2_300, 4_000),
)
_WHOLE = _Size(
    calm_ms=(3_000, 18_000),
    coordinators=(1, 2, 2, 2, 3),
    verifiers=(1, 2, 2, 2),
    nodes=(2, 3, 3, 4, 4, 5, 6),
    submissions=(2, 10),
    lines=(1, 1, 1, 2, 3, 5),
    faults=(0, 2, 4, 6, 8, 12),
    spans_ms=(50, 500, 2_500, 4_000, 12_000),
)
_BRIEF = replace(_SHORT, calm_ms=(600, 2_100), submissions=(1, 2), lines=(1, 1, 2), faults=(2, 3, 4))

_KINDS = (
    *["crash"] * 12,
    *["pause"] * 5,
    *["lease"] * 4,
    *["fill"] * 3,
    *["cut", "hold", "restart", "damage", "leave", "rest"] * 2,
    *["deaf", "mute", "power", "drain", "clock", "stop", "roll"],
)
_OF_NODES = {"leave", "drain", "rest"}
_OF_SERVICES = {"stop", "roll"}
_JUMPS_MS = (-20_000.0, -2_000.0, 2_000.0, 20_000.0)


@dataclass(slots=True)
class _Draft:
    rng: random.Random
    nodes: int
    calm_ms: float
    lines: dict[str, bytes] = field(default_factory=dict)
    made: int = 0

    def verify(self) -> dict[str, Any] | None:
        pick = self.rng.random()
        if pick < 0.25:
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
            second = round(rng.uniform(1, max(2, self.calm_ms / 1000)))
            spec["deadline"] = f"2020-01-01T00:{second // 60:02d}:{second % 60:02d}Z"
        if rng.random() < 0.04:
            spec["work"]["module"] = "sha256:" + "ab" * 32
        if rng.random() < 0.03:
            spec["work"]["args"] = [1]
        return spec

    def known(self, client: str) -> list[str]:
        """The names that this client has used, in whichever of its processes."""
        return [name for name in self.lines if name.startswith(f"{client.rstrip("'")}.")]

    def line(self, client: str) -> bytes:
        rng = self.rng
        self.made += 1
        pick = rng.random()
        if pick < 0.02:
            return b'{"id":"odd","work":{"kind":"magic"}}'
        spec = self.spec()
        if pick < 0.12:
            return json.dumps(spec).encode()
        known = self.known(client)
        if pick < (0.4 if client.endswith("'") else 0.2) and known:
            name = rng.choice(known)
            if rng.random() < 0.5:
                return self.lines[name]
            return json.dumps({"id": name.partition(".")[2], **spec}).encode()
        name = f"t{self.made}"
        line = json.dumps({"id": name, **spec}).encode()
        self.lines[f"{client.rstrip("'")}.{name}"] = line
        return line


def draw(seed: int, *, brief: bool = False) -> Scenario:
    """The scenario of a seed, or its brief one."""
    rng = random.Random(seed)  # noqa: S311 -- a simulation
    size = _BRIEF if brief else _WHOLE if rng.random() < _LONG else _SHORT
    calm_ms = rng.uniform(*size.calm_ms)
    nodes = _nodes(rng, size)
    coordinators = COORDINATORS[: rng.choice(size.coordinators)]
    verifiers = VERIFIERS[: rng.choice(size.verifiers)]
    submissions = _submissions(rng, size, _Draft(rng, len(nodes), calm_ms))
    clients = sorted({each.client for each in submissions})
    everyone = [
        *coordinators, *coordinators, *verifiers, *verifiers, *(node.name for node in nodes), *clients,
    ]  # fmt: skip
    return Scenario(
        seed=seed,
        network=_network(rng),
        nodes=nodes,
        coordinators=coordinators,
        verifiers=verifiers,
        submissions=submissions,
        faults=_faults(rng, size, everyone, submissions, calm_ms),
        calm_ms=calm_ms,
        skews_ms=tuple(rng.choice([0, 0, 0, -20_000, 20_000]) for _ in coordinators),
        strategy=rng.choice(["weighted", "weighted", "round-robin", "least-loaded", "latency-aware"]),
        checkpoint_ms=rng.choice([0.0, 0.0, 150.0, 400.0, 1_000.0]),
        keep_ms=rng.choice([0.0, 500.0, 3_000.0]),
        crowded=rng.random() < 0.2,
    )


def _network(rng: random.Random) -> Network:
    if rng.random() < 0.25:
        return Network(delay_ms=rng.choice([0.2, 1.0, 20.0]))
    return Network(
        drop=rng.choice([0.05, 0.1, 0.3, 0.4]),
        duplicate=rng.choice([0.05, 0.2, 0.5]),
        lost_answers=rng.choice([0.0, 0.02, 0.1, 0.3]),
        delay_ms=rng.choice([0.2, 2.0, 10.0, 50.0]),
    )


def _nodes(rng: random.Random, size: _Size) -> tuple[NodePlan, ...]:
    liars = rng.choice([0, 1, 1, 2])
    return tuple(
        NodePlan(
            f"n{at}",
            slots=rng.choice([1, 2, 4]),
            lies=rng.choice([0.5, 1.0]) if at < liars else 0.0,
            faults=rng.choice([0.0, 0.0, 0.5]),
            forges=rng.choice([0.0, 0.5]) if at < liars else 0.0,
            garbles=rng.choice([0.0, 0.0, 0.3]) if at < liars else 0.0,
            skew_ms=rng.choice([0, 0, -90_000, 40_000]),
            twin=rng.random() < 0.03,
        )
        for at in range(rng.choice(size.nodes))
    )


def _submissions(rng: random.Random, size: _Size, draft: _Draft) -> tuple[Submission, ...]:
    made: list[Submission] = []
    first = min(1_000.0, draft.calm_ms / 5)
    burst = rng.uniform(first, draft.calm_ms)
    for _ in range(rng.randint(*size.submissions)):
        client = rng.choice(["k0", "k0", "k0", "k0", "k0'", "k1", "k1"])
        at_ms = burst if rng.random() < 0.3 else rng.uniform(first, draft.calm_ms)
        lines = tuple(draft.line(client) for _ in range(rng.choice(size.lines)))
        again = rng.choice([1, 2, 4]) if rng.random() < 0.06 else 0
        made.append(Submission(at_ms, client, lines, again=again, every_ms=rng.choice([5, 200, 1_500])))
        named = draft.known(client)
        if rng.random() < 0.15 and named:
            made.append(Submission(at_ms + rng.uniform(0, 3_000), client, cancel=rng.choice(named)))
    return tuple(sorted(made, key=lambda each: each.at_ms))


def _faults(
    rng: random.Random, size: _Size, everyone: list[str], submissions: tuple[Submission, ...], calm_ms: float
) -> tuple[Fault, ...]:
    leaders = [name for name in everyone if name[0] in "cv"]
    nodes = [name for name in everyone if name[0] == "n"]
    made = []
    for _ in range(rng.choice(size.faults)):
        kind = rng.choice(_KINDS)
        ms = rng.choice(size.spans_ms)
        # Most of what can go wrong goes wrong where something is going on.
        target = rng.choice(leaders if rng.random() < 0.5 or kind in _OF_SERVICES else everyone)
        steps = rng.choice([0, 0, 1, 2] if target[0] in "kn" else [0, 0, 1, 2, 3, 5, 9])
        at_ms = rng.uniform(50, calm_ms)
        if rng.random() < 0.65:
            at_ms = max(50, rng.choice(submissions).at_ms + _lag_ms(rng, kind))
        if kind == "fill":
            target = rng.choice((*LOGS, "results", "verdicts"))
            ms = rng.choice((1_000, 3_000))
        elif kind in ("lease", "damage"):
            target = rng.choice(["coordinator", "verifier"])
        elif kind in ("restart", "power"):
            target = "server"
        elif kind in _OF_NODES:
            target = rng.choice(nodes)
        elif kind == "clock":
            target = rng.choice([everyone[0], rng.choice(nodes), "server"])
            ms = rng.choice(_JUMPS_MS)
        elif kind == "pause" and ms > LEASE_MS:
            # Early enough to be over before the calm, when somebody else may have the lease.
            at_ms = min(at_ms, max(50, calm_ms - ms))
        made.append(Fault(min(at_ms, calm_ms), kind, target, ms, steps))
    return tuple(sorted(made, key=lambda each: each.at_ms))


def _lag_ms(rng: random.Random, kind: str) -> float:
    """How long after a submission it strikes, or before it."""
    if kind == "lease":
        # Of two who lead the first one finds out with its next renewal: there must be something to decide before that.
        return rng.uniform(-LEASE_MS / 2, LEASE_MS / 2)
    return rng.expovariate(1 / (600 if kind == "restart" else 150))
