"""What scheduling costs: choosing nodes for 1,000 tasks among 10,000, and hearing 10,000 heartbeats every 2 s.

The choice is compared with the same rules written as plain Python loops in the same run. Time is CPU time of this
process, so that a busy neighbour counts less; each figure is the median of several runs.
"""

import bisect
import itertools
import random
import time
from collections.abc import Callable

import numpy as np

from bench.rows import Row, as_markdown, median_of
from bus.ed25519 import Check, by_libsodium, by_openssl
from bus.messages import Capabilities, Telemetry
from bus.signing import TELEMETRY, Identity
from bus.wire import encode
from coordinator.placement import Request, choose
from coordinator.registry import HEARTBEAT_MS, SUSPECT_AFTER_MS, Registry
from coordinator.room import UNKNOWN_MS, ticks
from coordinator.strategies import STRATEGIES, strategy_named
from coordinator.telemetry import TelemetryGate

__all__ = ["main"]

NODES = 10_000
TASKS = 1_000
FEW = 5
RUNS = 15
IDENTITIES = 50
"""Keys behind the heartbeats: enough that no cache holds one key's tables, few enough to be made quickly."""

HEARD_BETWEEN = 50
"""Heartbeats between two choices at 5,000 a second, so that the scores they change are paid for in the figure."""


def main() -> list[Row]:
    """Measure and return the rows; takes about ten seconds."""
    return [*_choosing(), *_variants(), _hearing()]


def _registry(count: int) -> Registry:
    chance = random.Random(1)  # noqa: S311 -- a fixed cluster, no secret
    registry = Registry(count)
    for number in range(count):
        node = f"n{number}"
        capabilities = Capabilities(version="1", engine="wasmtime", cores=4, memory_mb=4096, slots=4)
        registry.enrol(node, "ab" * 32, capabilities, 0)
        registry.heard(_telemetry(node, 0, chance), 0)
    return registry


def _telemetry(node: str, at_ms: int, chance: random.Random) -> Telemetry:
    return Telemetry(
        node=node,
        at_ms=at_ms,
        cpu_free=chance.random(),
        memory_free=chance.random(),
        latency_ms=80 * chance.random(),
        bandwidth_mbps=1000 * chance.random(),
        temperature_c=55.5,
        open=(f"me.t{at_ms}#1", f"me.u{at_ms}#1"),
        energy_j=123.4,
        energy_method="estimated:tdp",
        started_ms=1,
    )


def _cpu_ms(work: Callable[[], object], runs: int = RUNS) -> float:
    """CPU milliseconds of `work`: the median of `runs`, after one to warm up."""
    work()
    taken = []
    for _ in range(runs):
        begun = time.process_time()
        work()
        taken.append((time.process_time() - begun) * 1000)
    return median_of(taken)


def _choosing() -> list[Row]:
    registry = _registry(NODES)
    rng, strategy = np.random.default_rng(1), strategy_named("weighted")
    batch = [Request(expected_ms=1.0)] * TASKS
    again = [telemetry for telemetry in registry.telemetry[:HEARD_BETWEEN] if telemetry is not None]

    def chosen() -> None:
        for telemetry in again:
            registry.heard(telemetry, 0)
        choose(registry, batch, strategy, 0, rng)

    baseline_ms = _cpu_ms(lambda: _plain(registry, TASKS), 5)
    chosen_ms = _cpu_ms(chosen)
    return [
        Row(
            name=f"choose nodes for {TASKS:,} tasks among {NODES:,}",
            value=chosen_ms,
            unit="ms",
            aim=2.0,
            floor=5.0,
            baseline="the same in plain Python",
            ratio=chosen_ms / baseline_ms,
            note=f"weighted; with {HEARD_BETWEEN} heartbeats before it",
        )
    ]


def _plain(registry: Registry, tasks: int) -> list[int]:
    """The weighted choice as one would first write it: filter, sum up, draw, count."""
    chance = random.Random(1)  # noqa: S311 -- a fixed draw, no secret
    weight = ticks(1.0)
    state, heard = registry.state.tolist(), registry.heard_ms.tolist()
    score, used, limit = registry.score.tolist(), registry.used.tolist(), registry.limit.tolist()
    rows = [row for row in range(len(registry)) if state[row] == 0 and heard[row] >= -SUSPECT_AFTER_MS]
    sums = list(itertools.accumulate(score[row] for row in rows))
    chosen: list[int] = []
    while len(chosen) < tasks:
        row = rows[bisect.bisect(sums, chance.random() * sums[-1])]
        if limit[row] - used[row] >= weight:
            used[row] += weight
            chosen.append(row)
    return chosen


def _variants() -> list[Row]:
    """Other strategies, quorums and exclusions, and the small cluster that most people have."""
    registry, few, rng = _registry(NODES), _registry(FEW), np.random.default_rng(1)
    rows = []
    for name in STRATEGIES:
        strategy = strategy_named(name)
        batch = [Request(expected_ms=UNKNOWN_MS)] * TASKS
        taken_ms = _cpu_ms(lambda: choose(registry, batch, strategy, 0, rng))  # noqa: B023 -- called at once
        rows.append(Row(name=f"{TASKS:,} tasks of unknown length, {name}", value=taken_ms, unit="ms"))
    strategy = strategy_named("weighted")
    quorum = [Request(replicas=3, expected_ms=1.0)] * TASKS
    retried = [
        Request(replicas=3, expected_ms=1.0, excluded=frozenset({row, row + 1})) for row in range(TASKS)
    ]
    one = [Request(expected_ms=1.0)]
    measured = [
        (
            f"{TASKS:,} quorums of 3 among {NODES:,}",
            _cpu_ms(lambda: choose(registry, quorum, strategy, 0, rng)),
            "ms",
        ),
        (
            "the same, each with exclusions of its own",
            _cpu_ms(lambda: choose(registry, retried, strategy, 0, rng)),
            "ms",
        ),
        (f"one task among {FEW}", _each_us(lambda: choose(few, one, strategy, 0, rng), 1), "µs/task"),
        (
            f"a batch of {TASKS:,} among {FEW}",
            _each_us(lambda: choose(few, one * TASKS, strategy, 0, rng), TASKS),
            "µs/task",
        ),
    ]
    return rows + [Row(name=name, value=value, unit=unit) for name, value, unit in measured]


def _each_us(work: Callable[[], object], tasks: int) -> float:
    times = max(1, 2000 // tasks)
    return _cpu_ms(lambda: [work() for _ in range(times)]) * 1000 / (times * tasks)


def _hearing() -> Row:
    """A core's share for all heartbeats: open, check the signature, enter into the registry, sweep each second."""
    identities = [Identity.generate() for _ in range(IDENTITIES)]
    registry = _registry(NODES)
    for row in range(NODES):
        owner = identities[row % IDENTITIES]
        registry.enrol(registry.name(row), owner.key, registry.capabilities[row], 0)
    rounds = [
        _round(registry, identities, at_ms) for at_ms in range(HEARTBEAT_MS, 4 * HEARTBEAT_MS, HEARTBEAT_MS)
    ]
    libsodium = by_libsodium()
    baseline = median_of([_share_of_core(registry, by_openssl, bodies) for bodies in rounds])
    share = baseline
    if libsodium is not None:
        share = median_of([_share_of_core(registry, libsodium, bodies) for bodies in rounds])
    return Row(
        name=f"heartbeats of {NODES:,} nodes every {HEARTBEAT_MS // 1000} s",
        value=share,
        unit="cores",
        aim=0.5,
        floor=1.0,
        baseline="checked with OpenSSL",
        ratio=share / baseline,
        note=f"every signature checked, with {'libsodium' if libsodium else 'OpenSSL: PyNaCl is not installed'}",
    )


def _round(registry: Registry, identities: list[Identity], at_ms: int) -> list[tuple[str, bytes]]:
    """One heartbeat of every node, as it comes from the bus."""
    chance = random.Random(at_ms)  # noqa: S311 -- fixed figures, no secret
    bodies = []
    for row in range(NODES):
        node = registry.name(row)
        line = encode(_telemetry(node, at_ms, chance))
        bodies.append((node, identities[row % IDENTITIES].seal(TELEMETRY, [line])))
    return bodies


def _share_of_core(registry: Registry, check: Check, bodies: list[tuple[str, bytes]]) -> float:
    gate = TelemetryGate(registry.key, check)
    begun = time.process_time()
    for node, body in bodies:
        said = gate.open(node, body, 0)
        if not isinstance(said, Telemetry) or not registry.heard(said, 0):
            raise RuntimeError(f"the benchmark's own heartbeat of {node} was not believed")
    for _ in range(HEARTBEAT_MS // 1000):
        registry.sweep(0)
        registry.eligible(0)
        _ = registry.score
    return (time.process_time() - begun) / (HEARTBEAT_MS / 1000)


if __name__ == "__main__":
    print(as_markdown(main()))
