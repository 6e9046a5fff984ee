"""The core: any history of deliveries, cancels, blobs, outcomes and drains keeps its promises."""

from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bus.messages import Assign, CancelAttempt, Drain, EnrolAgain, Undrain
from bus.wire import encode, sha256_hex
from sandbox.job import Outcome
from workers.attempt import Attempt, Need, seed
from workers.core import REMEMBERED, NodeCore, Orders

MODULES = [sha256_hex(b"module %d" % number) for number in range(2)]
INPUTS = [sha256_hex(b"input %d" % number) for number in range(2)]
OK = Outcome(status="ok", output=b"1", trace="0" * 64)
SLOTS, MEMORY_MB = 2, 1000


def assign(task: str, attempt: int = 1, *, module: str = MODULES[0], **rest: Any) -> Assign:
    limits = {"memory_mb": rest.pop("memory_mb", 100), "wall_ms": 1000}
    spec = {"work": {"kind": "wasm", "module": f"sha256:{module}", **rest}, "limits": limits}
    return Assign(decision=1, task=task, attempt=attempt, lease_ms=1000, spec=msgspec.Raw(encode(spec)))


def ready_core() -> NodeCore:
    core = NodeCore(slots=SLOTS, memory_mb=MEMORY_MB)
    core.fetched(Need("module", MODULES[0]))
    return core


class Histories(RuleBasedStateMachine):
    """Plays the shell: does what is ordered, late and in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.core = NodeCore(slots=SLOTS, memory_mb=MEMORY_MB)
        self.fetching: list[Need] = []
        self.running: list[Attempt] = []
        self.begun: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.cancelled: set[str] = set()
        self.handed_back: set[str] = set()
        self.delivered: set[str] = set()
        self.settled: set[str] = set()
        self.now = 0.0

    def follow(self, orders: Orders) -> None:
        """Do what is ordered, noting it."""
        for attempt in orders.stop:
            self.running.remove(attempt)
        for attempt, outcome in orders.answer:
            self.answered[attempt.key] += 1
            assert outcome.status in {"ok", "failed", "fault"}
        for need in orders.fetch:
            assert need not in self.fetching, "a blob that is being fetched is not asked for again"
            self.fetching.append(need)
        for attempt in orders.run:
            assert not self.core.draining
            assert not attempt.missing
            if attempt.input in INPUTS:
                assert attempt.job.input == b"data of " + attempt.input.encode()
            self.begun[attempt.key] += 1
            self.running.append(attempt)
        self.handed_back.update(orders.hand_back)

    @rule(
        task=st.sampled_from("abcdefgh"),
        attempt=st.integers(1, 2),
        module=st.sampled_from(MODULES),
        blob=st.sampled_from([None, *INPUTS]),
        memory_mb=st.sampled_from([100, 400, 900, 1001]),
        twice=st.booleans(),
    )
    def deliver(
        self, task: str, attempt: int, module: str, blob: str | None, memory_mb: int, *, twice: bool
    ) -> None:
        """An assignment arrives, perhaps twice."""
        rest = {} if blob is None else {"input_blob": f"sha256:{blob}"}
        sent = assign(task, attempt, module=module, memory_mb=memory_mb, **rest)
        self.delivered.add(f"{task}#{attempt}")
        self.follow(self.core.instruct([sent, sent] if twice else [sent]))

    @rule(task=st.sampled_from("abcdefgh"), attempt=st.integers(1, 2))
    def cancel(self, task: str, attempt: int) -> None:
        """A cancel arrives, perhaps for nothing."""
        if not self.answered[f"{task}#{attempt}"]:
            self.cancelled.add(f"{task}#{attempt}")
        self.follow(self.core.instruct([CancelAttempt(task=task, attempt=attempt)]))

    @precondition(lambda self: self.fetching)
    @rule(data=st.data(), lost=st.booleans())
    def fetch_ends(self, data: st.DataObject, *, lost: bool) -> None:
        """A blob is here, or cannot be had."""
        need = data.draw(st.sampled_from(self.fetching))
        self.fetching.remove(need)
        if lost:
            self.follow(self.core.unfetched(need, "gone"))
        else:
            self.follow(self.core.fetched(need, b"data of " + need.digest.encode()))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), outcome=st.sampled_from([OK, Outcome(status="failed", reason="trap")]))
    def run_ends(self, data: st.DataObject, outcome: Outcome) -> None:
        """The pool answers, twice."""
        attempt = data.draw(st.sampled_from(self.running))
        self.running.remove(attempt)
        self.follow(self.core.ended([(attempt, outcome), (attempt, outcome)], self.now))

    @rule()
    def become_durable(self) -> None:
        """All claims so far are in RESULTS."""
        self.settled = set(self.answered)
        self.core.settled(list(self.answered))

    @rule(hot=st.booleans())
    def heat(self, *, hot: bool) -> None:
        """Safe mode begins or ends."""
        self.core.breakers.measured(self.now, temperature_c=90.0 if hot else 20.0)

    @precondition(lambda self: not self.core.draining)
    @rule(data=st.data())
    def drain(self, data: st.DataObject) -> None:
        """The node is asked to end."""
        kept = {attempt.key for attempt in self.running if data.draw(st.booleans())}
        self.follow(self.core.drain(lambda attempt: attempt.key in kept, leaving=data.draw(st.booleans())))
        assert {attempt.key for attempt in self.running} == kept

    @precondition(lambda self: self.core.draining)
    @rule()
    def undrain(self) -> None:
        """An operator wants it to work again: so it does, if it is not about to end."""
        self.core.undrain()
        assert self.core.draining == self.core.leaving

    @invariant()
    def nothing_is_begun_or_answered_twice(self) -> None:
        """Once each, and never after a cancel."""
        # Work that was handed back and delivered again is another beginning of the same attempt.
        assert all(count == 1 for key, count in self.begun.items() if key not in self.handed_back)
        assert all(count == 1 for count in self.answered.values())
        assert not self.cancelled & set(self.answered)

    @invariant()
    def the_memory_suffices(self) -> None:
        """Whichever jobs run at once."""
        limits = sorted((attempt.job.limits.memory_mb for attempt in self.running), reverse=True)
        assert sum(limits[:SLOTS]) <= MEMORY_MB

    @invariant()
    def what_is_held_is_listed(self) -> None:
        """Telemetry names all that is open or not yet durable."""
        listed = set(self.core.held(10_000))
        assert {attempt.key for attempt in self.running} <= listed
        unsettled = set(self.answered) - self.settled
        assert unsettled <= listed
        lost = self.delivered - listed - set(self.answered) - self.cancelled - self.handed_back
        assert not lost, "every delivery is held, answered, cancelled or handed back"

    def teardown(self) -> None:
        """Everything ends: whatever is open is answered once its blobs and outcomes have come."""
        while self.fetching or self.running:
            while self.fetching:
                need = self.fetching.pop()
                self.follow(self.core.fetched(need, b"data of " + need.digest.encode()))
            while self.running:
                attempt = self.running.pop()
                self.follow(self.core.ended([(attempt, OK)], self.now))
            self.nothing_is_begun_or_answered_twice()
        assert self.core.is_idle


Histories.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestHistories = Histories.TestCase


def test_jobs_are_begun_in_the_order_they_came() -> None:
    """As far as their blobs are there; one that waits for a blob does not hold up the others."""
    core = ready_core()
    orders = core.instruct(
        [assign("a"), assign("b", input_blob=f"sha256:{INPUTS[0]}"), assign("c"), assign("d")]
    )

    assert [attempt.task for attempt in orders.run] == ["a", "c", "d"]
    assert orders.fetch == [Need("input", INPUTS[0])]
    assert [attempt.task for attempt in core.fetched(Need("input", INPUTS[0]), b"x").run] == ["b"]


def test_a_large_job_is_not_starved_by_small_ones() -> None:
    """What came after it waits with it."""
    core = ready_core()
    first = core.instruct([assign("a", memory_mb=600), assign("large", memory_mb=900), assign("b")])
    assert [attempt.task for attempt in first.run] == ["a"]
    then = core.ended([(first.run[0], OK)], 0.0)

    assert [attempt.task for attempt in then.run] == ["large", "b"]


def test_randomness_depends_on_task_and_spec_alone() -> None:
    """Equal on every node and in every attempt, different for another task or another spec."""
    core = ready_core()
    one, two, other = core.instruct([assign("a", 1), assign("a", 2), assign("b", 1)]).run

    assert one.job.seed == two.job.seed == seed("a", one.spec)
    assert other.job.seed != one.job.seed
    assert seed("a", one.spec) != seed("a", sha256_hex(b"another spec"))


def test_a_spec_that_cannot_be_read_is_a_fault_with_the_field() -> None:
    """A newer coordinator may know work that this node does not."""
    spec = msgspec.Raw(b'{"work":{"kind":"quantum"}}')
    sent = Assign(decision=1, task="a", attempt=1, lease_ms=1, spec=spec)
    ((attempt, outcome),) = ready_core().instruct([sent]).answer

    assert (attempt.key, outcome.status, outcome.reason) == ("a#1", "fault", "unavailable")
    assert "work" in outcome.detail


def test_a_hostile_loop_is_not_the_nodes_error_and_a_starved_guest_is() -> None:
    """A guest that had the processor all the time and ran out of wall time says nothing against the node."""
    core = ready_core()
    for cpu_ms, errors in ((900.0, 0), (10.0, 1)):
        (attempt,) = core.instruct([assign(f"cpu{cpu_ms}")]).run
        core.ended([(attempt, Outcome(status="fault", reason="wall", cpu_ms=cpu_ms))], 0.0)
        assert core.breakers.errors == errors


def test_safe_mode_hands_new_work_back_and_finishes_the_old() -> None:
    """25 crashes in a row: nothing more is taken until one success; what runs is still answered."""
    core = ready_core()
    crash = Outcome(status="fault", reason="crash")
    running = core.instruct([assign(f"t{number}") for number in range(26)]).run
    core.ended([(attempt, crash) for attempt in running[:25]], 0.0)
    refused = core.instruct([assign("new")])
    assert refused.hand_back == ["new#1"]
    assert refused.run == []
    last = core.ended([(running[25], OK)], 1.0)

    assert [attempt.key for attempt, _ in last.answer] == ["t25#1"]
    assert [attempt.task for attempt in core.instruct([assign("new")]).run] == ["new"]


def test_an_attempt_claimed_before_a_restart_is_not_run_again() -> None:
    """Its claim is on the way out of the outbox; until it is durable telemetry lists it."""
    core = ready_core()
    core.remember(["a#1"])
    assert core.held(10) == ("a#1",)
    assert core.instruct([assign("a", 1)]) == Orders()
    core.settled(["a#1"])

    assert core.held(10) == ()


def test_the_memory_of_ended_attempts_is_bounded() -> None:
    """A node that runs for years does not grow with what it has done."""
    core = ready_core()
    core.remember(f"t#{number}" for number in range(REMEMBERED + 10))

    assert len(core._ended) == REMEMBERED


@pytest.mark.parametrize(
    ("instruction", "field"), [(EnrolAgain(), "enrol"), (Drain(), "drain"), (Undrain(), "undrain")]
)
def test_the_coordinators_other_words_are_passed_on(
    instruction: EnrolAgain | Drain | Undrain, field: str
) -> None:
    """Hello, drain and undrain are for the shells; a node that is about to end does not come back."""
    core = ready_core()
    assert getattr(core.instruct([instruction]), field)
    core.drain(lambda _: True)
    orders = core.instruct([EnrolAgain(), Undrain()])

    assert not orders.enrol
    assert not orders.undrain


def test_a_node_that_rests_is_still_a_node() -> None:
    """Without work at its operator's wish, it says hello when asked, and of two words in one message the last counts."""
    core = ready_core()
    core.drain(lambda _: True, leaving=False)

    assert core.instruct([EnrolAgain()]).enrol
    assert core.instruct([Drain(stay=True), Undrain()]).drain is None
    assert not core.instruct([Undrain(), Drain(stay=True)]).undrain
    assert core.instruct([assign("t", 1)]).hand_back == ["t#1"]
    core.undrain()
    assert not core.instruct([assign("u", 1)]).hand_back
