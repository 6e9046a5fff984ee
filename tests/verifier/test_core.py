"""The pure core over generated histories: whatever nodes claim and whenever the verifier dies, one verdict, the right one."""

from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.messages import Inconclusive, Late, Leader, Quorum, Verdict, VerifyPolicy
from bus.reputation import Reputation
from bus.signing import VERDICTS, Identity
from bus.wire import encode
from tests.verifier.history import HONEST, NODES, POLICIES, SIGNER, STEPS, World, fold_verdicts
from verifier.core import Core
from verifier.merge import Merge

NUMBERS = st.tuples(st.integers(0, STEPS - 1), st.integers(0, 1000))
ORDERS = st.one_of(
    st.lists(st.integers(0, 2), min_size=60, max_size=60),
    st.permutations((0, 1, 2)).map(lambda logs: [log for log in logs for _ in range(200)]),
)
BOUNDED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A world whose liars are fewer than an agreement needs, after some history; not drained."""
    policy: VerifyPolicy = draw(st.sampled_from(POLICIES))
    most = policy.agree - 1 if isinstance(policy, Quorum) else 0
    shuffled = draw(st.permutations(NODES))
    liars = tuple(shuffled[: draw(st.integers(0, most))])
    faulty = tuple(shuffled[most : most + draw(st.integers(0, 3))])
    world = World(policy, liars, faulty, crashing=draw(st.booleans()))
    size = draw(st.sampled_from((6, 30, 70)))
    for choice, which in draw(st.lists(NUMBERS, min_size=size, max_size=size)):
        world.step(choice, which)
    return world


@BOUNDED
@given(worlds())
def test_every_task_ends_in_exactly_one_verdict(world: World) -> None:
    """Assigned or given up, through crashes, replays and forgeries: each task has one verdict, and no other task any."""
    world.drain()

    judged = [line.task for line in world.lines if isinstance(line, Verdict)]
    assert sorted(judged) == sorted(world.attempts)
    assert world.core.open_tasks == 0


@BOUNDED
@given(worlds())
def test_a_minority_of_liars_never_wins(world: World) -> None:
    """Where fewer lie than an agreement takes, what is verified is the truth, said by that many different nodes."""
    world.drain()
    agree = world.policy.agree if isinstance(world.policy, Quorum) else 1
    for task in world.attempts:
        verdict = world.verdict(task)
        if verdict.status == "verified":
            assert verdict.output == HONEST
            assert len(set(verdict.agree)) == len(verdict.agree) >= agree
            assert not set(verdict.agree) & set(world.liars)
            assert set(verdict.dissent) <= set(world.liars)
        else:
            assert task in world.abandoned
            assert verdict.agree == verdict.dissent == ()


@BOUNDED
@given(worlds())
def test_evidence_shows_what_was_counted(world: World) -> None:
    """Each place named as evidence holds a result by the node named beside it, about that very task."""
    world.drain()
    for task in world.attempts:
        verdict = world.verdict(task)
        nodes = (*verdict.agree, *verdict.dissent)
        assert len(verdict.evidence) == len(nodes)
        for node, (sequence, line) in zip(nodes, verdict.evidence, strict=True):
            _, shown = world.claims[sequence - 1].members[line]
            assert (shown.task, shown.node) == (task, node)


@BOUNDED
@given(worlds())
def test_how_a_task_came_in_is_said_with_all_that_becomes_of_it(world: World) -> None:
    """Verdict, needs and late answers have the path of the decisions, also of a task that was given up before anybody had it."""
    world.drain()
    for task in world.attempts:
        said = [world.verdict(task), *world.of(task, Inconclusive), *world.lates(task)]
        assert {getattr(line, "path", None) for line in said} == {f"path-of-{task}"}


@BOUNDED
@given(worlds())
def test_a_node_counts_once_per_task(world: World) -> None:
    """No node is both counted and late, late twice, or named as faulted twice for the same task."""
    world.drain()
    for task in world.attempts:
        verdict = world.verdict(task)
        counted = (*verdict.agree, *verdict.dissent, *(late.node for late in world.lates(task)))
        assert len(counted) == len(set(counted))
        named = [n for line in world.of(task, Inconclusive) for n in line.faulted] + list(verdict.faulted)
        assert len(named) == len(set(named))
        assert set(named) <= world.garbled.union(world.faulty)
        assert all(late.agrees == (late.node not in world.liars) for late in world.lates(task))


@BOUNDED
@given(worlds())
def test_a_need_is_never_asked_twice(world: World) -> None:
    """A request follows another only after an attempt that answered it, and asks only nodes that have not answered."""
    world.drain()
    for task in world.attempts:
        needs = [line for line in world.of(task, Inconclusive) if isinstance(line, Inconclusive)]
        answers = [a.attempt for a in world.attempts[task] if not a.replaces]
        for earlier, later in pairwise(needs):
            assert any(earlier.after < attempt <= later.after for attempt in answers)
        assert all(need.need > 0 for need in needs)
        # Among honest nodes the answers that are asked for agree, and lost ones are made good unasked.
        assert not needs or world.liars or world.faulty or world.garbled
        assert all(set(need.faulted) <= set(need.exclude) for need in needs)


@BOUNDED
@given(worlds(), ORDERS, st.floats(0, 1))
def test_any_interleaving_of_the_logs_folds_to_the_same(world: World, order: list[int], share: float) -> None:
    """A standby may read the three logs in any order: what it would decide is what one that reads log by log would.

    VERDICTS may end anywhere, as if the leader had died there.
    """
    world.drain()
    world.written = world.written[: int(share * len(world.written))]
    straight, woven = Core(), Core()
    fold(world, straight, [0] * len(world.written) + [1] * len(world.decisions) + [2] * len(world.claims))
    fold(world, woven, order + [1, 2, 0] * (len(world.claims) + len(world.decisions) + len(world.written)))

    assert sorted(e.line for e in straight.judge()) == sorted(e.line for e in woven.judge())
    assert sorted(straight.reputation) == sorted(woven.reputation)
    assert repr(straight) == repr(woven)


@BOUNDED
@given(worlds())
def test_a_restart_writes_nothing_again(world: World) -> None:
    """From the logs of a finished history, a new verifier finds every verdict in its place and nothing to write."""
    world.drain()
    restarted = fold_verdicts(world.written)
    fold(world, restarted, [1] * len(world.decisions) + [2] * len(world.claims))

    assert world.core.open_tasks == 0
    assert restarted.judge() == []
    assert sorted(restarted.reputation) == sorted(world.core.reputation)
    assert {t: restarted.place(t) for t in world.attempts} == {t: world.core.place(t) for t in world.attempts}


@BOUNDED
@given(worlds())
def test_reputation_is_what_anybody_folds_from_the_log(world: World) -> None:
    """The verifier's figures, kept while writing, are those of a reader of VERDICTS."""
    world.drain()
    read = Reputation()
    for line in world.lines:
        read.fold(line)

    assert sorted(read) == sorted(world.core.reputation)


def test_the_first_verdict_in_the_log_counts() -> None:
    """Two verdicts for a task cannot come from here; should the log hold them, everyone keeps the first."""
    first = Verdict(task="me.t1", status="verified", agree=("n1",), trace="a")
    second = Verdict(task="me.t1", status="cancelled", dissent=("n1",))
    core = fold_verdicts([[encode(first)], [encode(second)]])

    assert core.place("me.t1") == (1, 0)
    assert core.counters["second verdict"] == 1
    assert list(core.reputation) == [("n1", 1, 0, 0)]


def test_a_vote_that_the_log_does_not_count_is_late() -> None:
    """A standby that read further than the leader did keeps the third vote for reputation, once, against its verdict."""
    world = World(Quorum(agree=2, of=3), liars=("n2",))
    world.new_task()
    for replica in world.replicas:
        world.answer(replica)
    core = Core()
    fold(world, core, [1, 1, 2, 2, 2])
    verdict = Verdict(
        task="me.t0",
        status="verified",
        agree=("n0", "n1"),
        output_digest=world.said(world.replicas[0]).output_digest,
        trace=world.said(world.replicas[0]).trace,
    )
    fold_verdicts([[encode(verdict)]], core)

    late = Late(task="me.t0", node="n2", agrees=False, evidence=(3, 0), path="path-of-me.t0")
    assert [emission.message for emission in core.judge()] == [late]
    assert core.judge() == []


def test_verdicts_whose_signature_does_not_hold_are_not_believed() -> None:
    """What is in VERDICTS unsigned, or altered, is counted and decides nothing."""
    line = encode(Verdict(task="me.t1", status="verified", agree=("n1",)))
    core = Core()
    core.fold_verdicts(1, line)
    core.fold_verdicts(2, SIGNER.seal(VERDICTS, [line]).replace(b"n1", b"n2"))

    assert core.place("me.t1") is None
    assert core.counters["foreign verdicts"] == 2


def fold(world: World, core: Core, order: list[int]) -> None:
    """Feed the logs to `core`: 0 reads an entry of VERDICTS, 1 of ASSIGNMENTS, 2 of RESULTS."""
    merge = Merge()
    at = [0, 0, 0]
    logs = (world.written, world.decisions, world.claims)
    for log in order:
        if at[log] == len(logs[log]):
            continue
        at[log] += 1
        if log == 0:
            fold_verdicts(world.written[: at[0]], core, at[0] - 1)
        elif log == 1:
            core.fold_decisions(at[1], world.decisions[at[1] - 1])
            ready = merge.advance(core.decided)
        else:
            ready = merge.offer(world.claims[at[2] - 1], core.decided)
        for claims in ready if log else ():
            core.fold_claims(claims)
    assert not merge


def test_epochs_are_counted_from_the_log_and_newer_lines_passed_over() -> None:
    """Whoever begins to lead opens the epoch after the last one written; a kind that is not known is no damage."""
    core = Core()
    lines = [b'{"kind":"newer"}', encode(Leader(epoch=4, leader="other"))]
    core.fold_verdicts(1, Identity.generate().seal(VERDICTS, lines))
    opening = core.lead("v1")

    assert opening.message == Leader(epoch=5, leader="v1")
    assert core.epoch == 5
    assert not core.counters
