"""The simulator finds bugs: each rule that is broken on purpose is seen within a few seeds."""

import pytest

from tests.simulation.campaign import be_quiet
from tests.simulation.drawing import draw
from tests.simulation.mutations import MUTATIONS
from tests.simulation.scenario import Scenario
from tests.simulation.shrinking import shrink
from tests.simulation.world import play

WITHIN = 100
"""Seeds that are enough for each of the mutations; half of them need ten or fewer."""

SEEN_AS = {
    "the server acknowledges before it writes": {"what is acknowledged is stored"},
    "message ids forgotten after a restart": {"what is sent again is stored once"},
    "a retry without a new attempt number": {"one decision for an attempt"},
    "decisions forgotten after a restart": {"one decision for an attempt"},
    "nodes told before it is durable": {"durable before told"},
    "notices before it is durable": {"durable before told"},
    "results of unassigned nodes believed": {"only assigned nodes count"},
    "verdicts forgotten after a restart": {"one verdict for a task"},
    "a leadership under an old epoch": {"epochs follow each other"},
    "finished tasks forgotten after a restart": {
        "everything comes to its end",
        "one decision for an attempt",
        "why says how a task ended",
    },
}
"""The promise that each breaks first; the others break several, and which is seen first is chance."""


def _first_failure(mutation: str, *, within: int = WITHIN, at_least: int = 0) -> int:
    for seed in range(within):
        scenario = draw(seed)
        if _size(scenario) >= at_least and play(scenario, MUTATIONS[mutation]).violation is not None:
            return seed
    raise AssertionError(f"not seen within {within} seeds: {mutation}")


@pytest.mark.parametrize("mutation", list(MUTATIONS))
def test_a_broken_rule_is_seen(mutation: str) -> None:
    """Within 100 seeds some history breaks the promise that the rule is there for."""
    be_quiet()
    violation = play(draw(_first_failure(mutation)), MUTATIONS[mutation]).violation

    assert violation is not None
    assert mutation not in SEEN_AS or violation.rule in SEEN_AS[mutation]


def test_a_failing_history_is_made_short() -> None:
    """What is left after shrinking breaks the same promise with fewer faults, tasks and nodes."""
    be_quiet()
    parts = MUTATIONS["a retry without a new attempt number"]
    seed = _first_failure("a retry without a new attempt number", within=1_000, at_least=20)
    whole = draw(seed)
    short = shrink(whole, parts, most=250)
    before, after = play(whole, parts).violation, play(short, parts).violation

    assert before is not None
    assert after is not None
    assert after.rule == before.rule
    assert _size(short) < _size(whole) / 2


def _size(scenario: Scenario) -> int:
    lines = sum(len(each.lines) for each in scenario.submissions)
    return lines + len((*scenario.faults, *scenario.nodes, *scenario.coordinators, *scenario.verifiers))


def test_a_trace_tells_a_history() -> None:
    """Whoever looks at a seed reads who was killed, who led and what was written, in order of time."""
    be_quiet()
    trace = play(draw(3), tracing=True).trace

    assert any("leads from" in line for line in trace)
    assert any('"kind":"verdict"' in line for line in trace)
    assert trace == sorted(trace, key=lambda line: float(line.split()[0]))
