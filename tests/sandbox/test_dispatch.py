"""The dispatcher, alone, over generated histories: every job leaves exactly once, whatever slots do."""

from collections import Counter

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sandbox import Job, Outcome
from sandbox.dispatch import AHEAD_JOBS, AHEAD_MS, LOSSES_MAX, Dispatcher, Ticket

SLOTS = 3


def ticket(number: int, module: str = "m") -> Ticket:
    return Ticket(number, Job(module=module), msgspec.Raw(), lambda _outcome: None)


class _Histories(RuleBasedStateMachine):
    """Jobs come, are answered, given back and dropped; slots come up and are lost."""

    def __init__(self) -> None:
        super().__init__()
        self.dispatcher = Dispatcher(SLOTS)
        self.tickets: dict[int, Ticket] = {}
        self.left: Counter[int] = Counter()

    @rule(module=st.sampled_from(["quick", "slow"]))
    def submit(self, module):
        new = ticket(len(self.tickets) + 1, module)
        self.tickets[new.number] = new
        self.dispatcher.add(new)

    @rule(slot=st.integers(0, SLOTS - 1))
    def comes_up(self, slot):
        self.dispatcher.ready[slot] = True

    @rule()
    def assign(self):
        for slot, given_out in self.dispatcher.assign().items():
            assert self.dispatcher.ready[slot]
            assert all(t.slot == slot for t in given_out)

    @rule(slot=st.integers(0, SLOTS - 1), data=st.data())
    def answer(self, slot, data):
        held = list(self.dispatcher.at[slot])
        if held:
            number = data.draw(st.sampled_from(held))
            wall_ms = 0.05 if self.tickets[number].job.module == "quick" else 900.0
            assert self.dispatcher.finish(slot, number, Outcome(status="ok", wall_ms=wall_ms)) is not None
            assert self.dispatcher.finish(slot, number, Outcome(status="ok")) is None
            self.left[number] += 1

    @rule(slot=st.integers(0, SLOTS - 1))
    def give_back(self, slot):
        numbers = list(self.dispatcher.at[slot])[1:]
        self.left.update(t.number for t in self.dispatcher.take_back(slot, numbers))

    @rule(slot=st.integers(0, SLOTS - 1), running=st.booleans())
    def lose(self, slot, running):
        held = list(self.dispatcher.at[slot])
        blamed, unwanted = self.dispatcher.lose(slot, held[0] if held and running else 0)
        self.left.update(t.number for t in [*blamed, *unwanted])
        assert not self.dispatcher.at[slot]

    @precondition(lambda self: self.tickets)
    @rule(data=st.data())
    def cancel(self, data):
        chosen = data.draw(st.sampled_from(list(self.tickets.values())))
        if self.dispatcher.drop(chosen):
            self.left[chosen.number] += 1
        else:
            chosen.unwanted = True

    @invariant()
    def every_job_is_in_one_place(self):
        where = Counter(self.left)
        where.update(t.number for t in self.dispatcher.waiting)
        for held in self.dispatcher.at:
            where.update(list(held))
        assert where == Counter(dict.fromkeys(self.tickets, 1))

    @invariant()
    def nothing_waits_behind_a_long_job(self):
        for held in self.dispatcher.at:
            assert len(held) <= AHEAD_JOBS
            assert len(held) <= 1 or sum(t.expected_ms for t in held.values()) <= AHEAD_MS + 1e-6


_Histories.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestHistories = _Histories.TestCase


def test_jobs_of_unknown_length_go_one_to_a_slot():
    """Until a kind of job was timed, none waits behind another."""
    dispatcher = Dispatcher(2)
    dispatcher.ready = [True, True]
    for number in range(1, 6):
        dispatcher.add(ticket(number))

    assert {slot: [t.number for t in given_out] for slot, given_out in dispatcher.assign().items()} == {
        0: [1],
        1: [2],
    }


def test_short_jobs_are_given_out_ahead():
    """Once known to be short, they travel in batches, in order, over all slots."""
    dispatcher = Dispatcher(2)
    dispatcher.ready = [True, True]
    dispatcher.add(ticket(1))
    dispatcher.assign()
    dispatcher.finish(0, 1, Outcome(status="ok", wall_ms=0.01))
    for number in range(2, 102):
        dispatcher.add(ticket(number))
    given_out = dispatcher.assign()

    assert [len(given_out[slot]) for slot in (0, 1)] == [50, 50]
    assert all([t.number for t in each] == sorted(t.number for t in each) for each in given_out.values())


def test_a_job_that_takes_slots_down_unseen_is_blamed_in_the_end():
    """A job cannot be moved from lost slot to lost slot for ever."""
    dispatcher = Dispatcher(1)
    dispatcher.add(ticket(1))
    blamed: list[Ticket] = []
    for _ in range(LOSSES_MAX + 1):
        dispatcher.ready[0] = True
        dispatcher.assign()
        blamed, _ = dispatcher.lose(0, 0)

    assert [t.number for t in blamed] == [1]


@given(st.lists(st.integers(0, 2), max_size=20))
def test_what_is_taken_back_goes_first_in_its_order(modules):
    """Jobs taken back keep their order and come before those that never left."""
    dispatcher = Dispatcher(1)
    dispatcher.ready = [True]
    dispatcher._expected = {(str(m), "_start"): 0.001 for m in range(3)}
    for number, module in enumerate(modules, 1):
        dispatcher.add(ticket(number, str(module)))
    dispatcher.assign()
    dispatcher.add(ticket(999))
    dispatcher.take_back(0, list(dispatcher.at[0]))

    assert [t.number for t in dispatcher.waiting] == [*range(1, len(modules) + 1), 999]
