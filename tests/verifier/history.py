"""A generated world for the pure core: a coordinator, honest and other nodes, three logs, and a verifier that crashes.

A list of numbers drives it, so that hypothesis can shrink a history. Nothing here knows how the core works: it writes what the contract
lets the others write, and reads VERDICTS.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from bus.messages import (
    Assigned,
    Enrolled,
    Inconclusive,
    Late,
    Quorum,
    Result,
    Signature,
    Verdict,
    VerdictLine,
    VerifyPolicy,
)
from bus.signing import VERDICTS, Identity
from bus.wire import encode
from tests.verifier.scripted import CAPABILITIES, abandoned, assigned, identity, result
from verifier.claims import Claims
from verifier.core import Core, Emission
from verifier.merge import Merge

SIGNER = Identity.from_seed(b"v" * 32)
HONEST, LIES, FORGED = b"42", (b"41", b"40", b"41"), b"13"
NODES = tuple(f"n{n}" for n in range(10))
STEPS = 14


@dataclass
class Replica:
    """One attempt's copy on one node; `answered` once its result is in RESULTS."""

    task: str
    attempt: int
    node: str
    decision: int
    answered: bool = False
    lost: bool = False


@dataclass
class World:
    """The logs and everyone around the verifier. `liars` and `faulty` are nodes; all others are honest.

    A `crashing` verifier is killed after all that it writes, too.
    """

    policy: VerifyPolicy
    liars: tuple[str, ...] = ()
    faulty: tuple[str, ...] = ()
    crashing: bool = False
    decisions: list[bytes] = field(default_factory=list)
    claims: list[Claims] = field(default_factory=list)
    written: list[list[bytes]] = field(default_factory=list)
    lines: list[VerdictLine] = field(default_factory=list)
    replicas: list[Replica] = field(default_factory=list)
    attempts: dict[str, list[Assigned]] = field(default_factory=dict)
    abandoned: set[str] = field(default_factory=set)
    garbled: set[str] = field(default_factory=set)
    answered_needs: int = 0

    def __post_init__(self) -> None:
        enrolled = [Enrolled(node=n, key=identity(n).key, capabilities=CAPABILITIES) for n in NODES]
        self.decisions.append(b"\n".join(map(encode, enrolled)))
        self.restart()

    # -- the verifier ----------------------------------------------------------------------------------

    def restart(self) -> None:
        """Kill -9: what was not durable is gone; VERDICTS is folded, the other logs are read from the start."""
        self.core = fold_verdicts(self.written)
        self.merge = Merge()
        self.read = [0, 0]
        self.emitted: list[Emission] = []

    def fold_decision(self) -> None:
        """The verifier reads one entry of ASSIGNMENTS."""
        if self.read[0] < len(self.decisions):
            self.read[0] += 1
            self.core.fold_decisions(self.read[0], self.decisions[self.read[0] - 1])
            for ready in self.merge.advance(self.core.decided):
                self.core.fold_claims(ready)
            self.emitted += self.core.judge()

    def fold_claim(self) -> None:
        """The verifier reads one entry of RESULTS."""
        if self.read[1] < len(self.claims):
            self.read[1] += 1
            for ready in self.merge.offer(self.claims[self.read[1] - 1], self.core.decided):
                self.core.fold_claims(ready)
            self.emitted += self.core.judge()

    def write(self, count: int) -> None:
        """The first `count` emitted lines become durable, as one message."""
        message, self.emitted = self.emitted[:count], self.emitted[count:]
        if message:
            self.written.append([emission.line for emission in message])
            self.lines += [emission.message for emission in message]
            self.core.placed(len(self.written), message)

    # -- the coordinator -------------------------------------------------------------------------------

    def assign(self, task: str, nodes: Sequence[str], replaces: tuple[str, ...] = ()) -> None:
        """A new attempt."""
        if not nodes:
            return
        made = self.attempts.setdefault(task, [])
        line = assigned(task, nodes, attempt=len(made) + 1, verify=self.policy, replaces=replaces)
        made.append(line)
        self.decisions.append(encode(line))
        self.replicas += [Replica(task, line.attempt, n, len(self.decisions)) for n in line.nodes]

    def new_task(self) -> None:
        """A new task on its first nodes."""
        at = len(self.attempts)
        count = self.policy.of if isinstance(self.policy, Quorum) else 1
        self.assign(f"me.t{at}", [NODES[(at * 3 + i) % len(NODES)] for i in range(count)])

    def unused(self, task: str) -> list[str]:
        """Nodes that never had this task."""
        had = {n for a in self.attempts[task] for n in a.nodes}
        return [n for n in NODES if n not in had]

    def answer_need(self) -> bool:
        """Answer the next request for more results in VERDICTS, or give the task up where no node is left."""
        needs = [line for line in self.lines if isinstance(line, Inconclusive)]
        if self.answered_needs >= len(needs):
            return False
        need = needs[self.answered_needs]
        self.answered_needs += 1
        if len(self.unused(need.task)) < need.need:
            self.abandon(need.task)
        else:
            self.assign(need.task, self.unused(need.task)[: need.need])
        return True

    def abandon(self, task: str) -> None:
        """Give a task up."""
        self.decisions.append(encode(abandoned(task)))
        self.abandoned.add(task)

    def lose(self, replica: Replica) -> None:
        """Give one replica up as lost and make it good elsewhere; its answer may still come."""
        spare = self.unused(replica.task)
        if spare and not replica.lost:
            replica.lost = True
            self.assign(replica.task, spare[:1], replaces=(replica.node,))

    # -- the nodes -------------------------------------------------------------------------------------

    def said(self, replica: Replica) -> Result:
        """What a node says, by its character."""
        output = LIES[self.liars.index(replica.node) % 3] if replica.node in self.liars else HONEST
        fields = {"decision": replica.decision, "attempt": replica.attempt}
        made = result(replica.task, replica.node, output, **fields)
        return replace(made, status="fault") if replica.node in self.faulty else made

    def claim(self, *results: Result, key: str = "", node: str = "") -> None:
        """An entry of RESULTS."""
        by = node or results[0].node
        members = list(enumerate(results))
        horizon = max(r.decision for r in results)
        self.claims.append(Claims(len(self.claims) + 1, by, key or identity(by).key, members, 0, horizon))

    def answer(self, replica: Replica) -> None:
        """A node's result comes in, the first time or again."""
        replica.answered = True
        self.claim(self.said(replica))

    def forge(self, replica: Replica, how: int) -> None:
        """One of the ways to claim what one may not."""
        if not self.unused(replica.task):
            return
        honest = result(
            replica.task, replica.node, FORGED, decision=replica.decision, attempt=replica.attempt
        )
        other = NODES[(NODES.index(replica.node) + 1) % len(NODES)]
        forged = (
            (honest, {"key": identity(other).key}),
            (replace(honest, node=other), {"node": replica.node}),
            (replace(honest, attempt=replica.attempt + 50), {}),
            (replace(honest, spec="0" * 64), {}),
            (replace(honest, output=b"other"), {}),
            (replace(honest, task="me.unheard-of"), {}),
            (replace(honest, decision=1), {}),
            (replace(honest, node=self.unused(replica.task)[-1]), {}),
        )
        if replica.answered and how % 2:
            self.claim(honest)  # its own words, but its second ones
            return
        if how % len(forged) in (3, 4):
            self.garbled.add(replica.node)  # its own attempt, and nothing that can be judged: a fault
        claim, arguments = forged[how % len(forged)]
        self.claim(claim, **arguments)

    # -- history ---------------------------------------------------------------------------------------

    def step(self, choice: int, which: int) -> None:
        """Let one thing happen."""
        if choice == 0 or not self.replicas:
            self.new_task()
            return
        replica = self.replicas[which % len(self.replicas)]
        happenings: dict[int, Callable[[], object]] = {
            4: lambda: self.forge(replica, which),
            5: self.fold_decision,
            6: self.fold_decision,
            7: self.fold_claim,
            8: self.fold_claim,
            9: lambda: self.write(1 + which % 5),
            10: self.restart,
            11: self.answer_need,
            12: lambda: self.lose(replica),
            13: lambda: which % 5 or self.abandon(replica.task),
        }
        happenings.get(choice, lambda: self.answer(replica))()

    def drain(self) -> None:
        """Let everyone finish: all nodes but the lost ones answer, all needs are met or given up, all is read and written."""
        while True:
            for replica in self.replicas:
                if not replica.answered and not replica.lost:
                    self.answer(replica)
            for _ in range(1 + self.crashing):
                while self.read != [len(self.decisions), len(self.claims)]:
                    self.fold_decision()
                    self.fold_claim()
                self.write(len(self.emitted))
                if self.crashing:
                    self.restart()
            if not self.answer_need():
                return

    def of(self, task: str, kind: type[VerdictLine]) -> list[VerdictLine]:
        """The lines of one kind about a task, in order."""
        return [line for line in self.lines if isinstance(line, kind) and line.task == task]

    def verdict(self, task: str) -> Verdict:
        """A task's one verdict."""
        (line,) = self.of(task, Verdict)
        assert isinstance(line, Verdict)
        return line

    def lates(self, task: str) -> list[Late]:
        """A task's late results."""
        return [line for line in self.of(task, Late) if isinstance(line, Late)]


def fold_verdicts(written: Sequence[Sequence[bytes]], core: Core | None = None, start: int = 0) -> Core:
    """A core that has read VERDICTS."""
    made = core or Core()
    for at, members in enumerate(written[start:], start + 1):
        made.fold_verdicts(at, SIGNER.seal(VERDICTS, members))
    return made


POLICIES: tuple[VerifyPolicy, ...] = (Signature(), Quorum(agree=2, of=3), Quorum(agree=3, of=5))
