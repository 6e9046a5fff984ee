"""From a seed to a schedule of faults: what happens to whom, when, and for how long. Pure.

Guarantees that equal arguments give equal plans; that faults overlap, and that at every moment enough is left for the system to make progress
(`BEARABLE`), but for the moments at which everything is killed at once; and that each fault is undone when the plan ends.
"""

import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["BEARABLE", "EVERYBODY", "KINDS", "LEADERS", "LOGS", "ROLES", "Fault", "Kind", "Plan", "draw"]

EVERYBODY = "everybody"
LEADERS: Mapping[str, str] = MappingProxyType(
    {role: f"the leading {role}" for role in ("coordinator", "verifier")}
)
"""By role: a target that is known only when it is struck. Its standby may be out of action, too, for as long as that lasts."""

ROLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "coordinator": ("coordinator-1", "coordinator-2"),
        "verifier": ("verifier-1", "verifier-2"),
        "node": ("node-1", "node-2", "node-3", "node-4", "node-5"),
        "client": ("client-1", "client-2", "client-3"),
    }
)
BEARABLE: Mapping[str, int] = MappingProxyType(
    {"coordinator": 1, "verifier": 1, "node": 2, "client": 2, "server": 1}
)
"""How many of a role may be out of action at a time: one of two leads, three nodes make a quorum, one client asks."""
LOGS = ("tasks", "assignments", "results", "verdicts", "blobs", "checkpoints")

_SERVICES = ("coordinator", "verifier")
_PROCESSES = (*_SERVICES, "node")
_ALL = (*_PROCESSES, "client")
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault: whom it may hit, how long it lasts, and how much of it there is.

    `tail_s` is how long its target is out of action beyond it; None: it is not out of action at all. `words` say what happens.
    """

    words: str
    roles: tuple[str, ...]
    span_s: tuple[float, float] = (0.0, 0.0)
    tail_s: float | None = None
    amounts: tuple[float, ...] = (0.0,)
    servers: int = 1
    """It needs so many."""


_PAUSE_S = (0.3, 12.0)
_LINK_S = (0.5, 8.0)
_BACK_S = 3.0

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "kill": Kind("is killed (SIGKILL)", _ALL, tail_s=_BACK_S),
        "kill-leader": Kind("is killed (SIGKILL)", (LEADERS["coordinator"], LEADERS["verifier"])),
        "kill-slot": Kind("loses a slot (SIGKILL)", ("node",)),
        "kill-all": Kind("is killed (SIGKILL)", (EVERYBODY,), tail_s=_BACK_S),
        "terminate": Kind("is told to end (SIGTERM)", _PROCESSES, tail_s=_BACK_S),
        "pause": Kind("is paused (SIGSTOP)", _ALL, _PAUSE_S, tail_s=0.5),
        "server-kill": Kind("is killed (SIGKILL)", ("server",), tail_s=_BACK_S),
        "server-stop": Kind("is told to end (SIGTERM)", ("server",), tail_s=_BACK_S),
        "server-pause": Kind("is paused (SIGSTOP)", ("server",), (0.3, 6.0), tail_s=1.0),
        "server-part": Kind("is parted from the other servers", ("server",), (1.0, 8.0), tail_s=3.0, servers=3),
        "twin": Kind("is started a second time beside itself", _PROCESSES, (1.0, 8.0)),
        "reset": Kind("loses its connections", _ALL),
        "cut": Kind("loses its connections, and gets no new ones", _ALL, _LINK_S, tail_s=0.5),
        "mute": Kind("hears nothing and is not heard, on open connections", _ALL, _LINK_S, tail_s=0.5),
        "deaf": Kind("is heard and hears nothing", _ALL, _LINK_S, tail_s=0.5),
        "dumb": Kind("hears and is not heard", _ALL, _LINK_S, tail_s=0.5),
        "delay": Kind("is far away", _ALL, _LINK_S, amounts=(0.005, 0.02, 0.05, 0.15)),
        "full": Kind("takes no more", LOGS, (0.5, 5.0)),
        "disk": Kind("finds its disk full", _PROCESSES, (0.5, 8.0)),
        "clock": Kind(
            "has its clock put forward or back",
            _ALL,
            (0.5, 8.0),
            amounts=tuple(sign * by for by in (0.5, 5.0, 60.0, _HOUR_S, 30 * _HOUR_S) for sign in (1, -1)),
        ),
    }
)  # fmt: skip
_SELDOM = {"kill-all"}
_SHORTEST_S = 0.3
_EVERY = 3
"""Kinds that are seldom come in one round of three."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """At `at_s` something happens to `target`, for `span_s` (0: at once). `amount` is in seconds: a delay, or how far a clock is put."""

    at_s: float
    kind: str
    target: str
    span_s: float = 0.0
    amount: float = 0.0

    @property
    def until_s(self) -> float:
        """When it is undone."""
        return self.at_s + self.span_s

    def __str__(self) -> str:
        """In plain words."""
        amount = f" by {self.amount:+g} s" if self.amount else ""
        span = f", for {self.span_s:.1f} s" if self.span_s else ""
        return f"{self.target} {KINDS[self.kind].words}{amount}{span}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The faults of `seconds`, in the order in which they begin."""

    seed: int
    seconds: float
    servers: int
    faults: tuple[Fault, ...]


def draw(seed: int, seconds: float, servers: int = 1) -> Plan:
    """The plan of a seed. Every kind comes up before any comes up again; which is next, whom it hits and when is chance."""
    rng = random.Random(f"{seed} {seconds:g} {servers}")  # noqa: S311 -- repeatable, not secret
    pause_s = min(1.2, max(0.4, seconds / 30))
    faults: list[Fault] = []
    bag: deque[str] = deque()
    at_s, rounds = min(1.0, seconds / 10), 0
    while at_s < seconds - _SHORTEST_S:
        if not bag:
            bag.extend(_round(rng, rounds, servers))
            rounds += 1
        for _ in range(len(bag)):  # the first in the bag that somebody can bear now
            kind = bag.popleft()
            fault = _one(rng, kind, at_s, Plan(seed, seconds, servers, tuple(faults)))
            if fault is not None:
                faults.append(fault)
                break
            bag.append(kind)
        at_s = round(at_s + rng.expovariate(1 / pause_s), 3)
    return Plan(seed, seconds, servers, tuple(faults))


def _round(rng: random.Random, number: int, servers: int) -> list[str]:
    kinds = [
        name
        for name, kind in KINDS.items()
        if kind.servers <= servers and (name not in _SELDOM or number % _EVERY == _EVERY - 1)
    ]
    rng.shuffle(kinds)
    return kinds


def _one(rng: random.Random, name: str, at_s: float, so_far: Plan) -> Fault | None:
    kind = KINDS[name]
    role = rng.choice(kind.roles)
    target = rng.choice(_named(role, so_far.servers))
    span_s = min(rng.uniform(*kind.span_s), so_far.seconds - at_s)
    fault = Fault(at_s, name, target, round(span_s, 3), rng.choice(kind.amounts))
    return fault if _is_bearable(fault, role, so_far.faults) else None


def _named(role: str, servers: int) -> tuple[str, ...]:
    if role == "server":
        return tuple(f"nats-{number}" for number in range(servers))
    return ROLES.get(role, (role,))


def _is_bearable(fault: Fault, role: str, faults: Sequence[Fault]) -> bool:
    begins, ends = fault.at_s, _out_until_s(fault)
    beside = [each for each in faults if each.at_s < ends and begins < _out_until_s(each)]
    if any((each.kind, each.target) == (fault.kind, fault.target) for each in beside):
        return False  # the first of them would undo the second
    if KINDS[fault.kind].tail_s is None or role not in BEARABLE:
        return True
    out = {
        each.target for each in beside if KINDS[each.kind].tail_s is not None and _role(each.target) == role
    }
    return len(out | {fault.target}) <= BEARABLE[role]


def _out_until_s(fault: Fault) -> float:
    return fault.until_s + (KINDS[fault.kind].tail_s or 0.0)


def _role(target: str) -> str:
    role = target.rpartition("-")[0]
    return "server" if role == "nats" else role
