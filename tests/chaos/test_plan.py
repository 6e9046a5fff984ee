"""Plans of faults: the same for a seed, with every kind in it, and bearable at every moment."""

import itertools
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chaos.plan import BEARABLE, EVERYBODY, KINDS, LEADERS, LOGS, ROLES, Fault, draw

_seeds = st.integers(0, 2**32)
_lengths = st.sampled_from([5.0, 12.0, 60.0, 300.0])
_servers = st.sampled_from([1, 3])


def _role(fault: Fault) -> str:
    role = fault.target.rpartition("-")[0]
    return "server" if role == "nats" else role


@given(_seeds, _lengths, _servers)
@settings(max_examples=40)
def test_a_seed_is_a_plan(seed: int, seconds: float, servers: int) -> None:
    """Drawn twice it is the same, and with the next seed another."""
    plan = draw(seed, seconds, servers)

    assert plan == draw(seed, seconds, servers)
    assert plan.faults != draw(seed + 1, seconds, servers).faults


@given(_seeds, _lengths, _servers)
@settings(max_examples=40)
def test_at_every_moment_enough_is_left(seed: int, seconds: float, servers: int) -> None:
    """Of no role are more out of action at a time than it bears, and nobody suffers the same twice at a time."""
    faults = draw(seed, seconds, servers).faults
    for fault in faults:
        beside = [each for each in faults if each.at_s <= fault.at_s <= each.until_s]
        assert max(Counter((each.kind, each.target) for each in beside).values()) == 1
        out = {(_role(each), each.target) for each in beside if KINDS[each.kind].tail_s is not None}
        per_role = Counter(role for role, _ in out)
        assert all(per_role[role] <= most for role, most in BEARABLE.items())


@given(_seeds, _lengths, _servers)
@settings(max_examples=40)
def test_a_plan_ends_and_names_only_what_is_there(seed: int, seconds: float, servers: int) -> None:
    """Everything is undone by the end, and every target is somebody."""
    servers_there = {f"nats-{number}" for number in range(servers)}
    known = {
        *LOGS,
        *servers_there,
        EVERYBODY,
        *LEADERS.values(),
        *(name for role in ROLES.values() for name in role),
    }
    plan = draw(seed, seconds, servers)
    for fault in plan.faults:
        assert 0 < fault.at_s <= fault.until_s <= seconds + 0.001
        assert fault.target in known
    assert plan.faults == tuple(sorted(plan.faults, key=lambda fault: fault.at_s))


@given(_seeds, _servers)
@settings(max_examples=10)
def test_a_minute_has_every_kind_of_fault_and_they_overlap(seed: int, servers: int) -> None:
    """None is left out for want of room in the plan, and two are at work at a time, at least."""
    faults = draw(seed, 120, servers).faults

    assert {fault.kind for fault in faults} == {
        name for name, kind in KINDS.items() if kind.servers <= servers
    }
    assert any(one.until_s > two.at_s for one, two in itertools.pairwise(faults))
