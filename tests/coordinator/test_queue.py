"""The queue of waiting tasks, over generated sequences of what a coordinator does to it."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.messages import TaskSpec, Wasm
from coordinator.queue import ReadyQueue, order_key
from coordinator.tasks import Shapes, Task

_SPEC = TaskSpec(work=Wasm(module="sha256:" + "a" * 64))
_SHAPES = Shapes()
_OF = [_SHAPES.of(msgspec.structs.replace(_SPEC, work=Wasm(module="sha256:" + c * 64))) for c in "abc"]

# What happens to the queue: a task comes, leaves, some are offered and find no node, or are looked at again.
steps = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.integers(0, 7), st.integers(0, 2)),
        st.tuples(st.just("drop"), st.integers(0, 7), st.just(0)),
        st.tuples(st.just("take"), st.integers(1, 4), st.integers(0, 3)),
        st.tuples(st.just("probe"), st.integers(0, 3), st.integers(0, 3)),
    ),
    max_size=60,
)


class _World:
    """A queue, eight tasks of which most arrived at once, and who of them waits."""

    def __init__(self) -> None:
        self.queue = ReadyQueue()
        self.tasks = [
            Task(f"c.t{number}", (1, number), 1_000 if number < 6 else 2_000) for number in range(8)
        ]
        self.waiting: set[str] = set()

    def step(self, what: str, first: int, second: int) -> None:
        match what:
            case "push":
                self.queue.push(self.tasks[first], _OF[second], 1, frozenset())
                self.waiting.add(self.tasks[first].name)
            case "drop":
                self.queue.drop(self.tasks[first])
                self.waiting.discard(self.tasks[first].name)
            case _:
                taken = (
                    self.queue.take(first) if what == "take" else self.queue.probe(first, nodes_changed=True)
                )
                self._offered(taken, placed=second)

    def _offered(self, taken, placed: int) -> None:
        """The first `placed` of them find a node, the rest is put back."""
        names = [waiting[2].name for _, waiting in taken]
        assert len(set(names)) == len(names)
        assert set(names) <= self.waiting
        self.waiting -= set(names[:placed])
        self.queue.block(taken[placed:], {group for group, _ in taken[placed:] if placed == 1})

    def drained(self) -> list[str]:
        """Everything that still comes out."""
        names = []
        while taken := [*self.queue.take(100), *self.queue.probe(100, nodes_changed=True)]:
            names += [waiting[2].name for _, waiting in taken]
        return names


@given(steps, st.sampled_from([0, 2, 1024]))
def test_whatever_happens_each_waiting_task_comes_out_once(sequence, few):
    """A task that waits is neither lost nor doubled, however often its group was emptied, blocked, swept, forgotten and made anew."""
    world = _World()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("coordinator.queue._FEW", few)
        for step in sequence:
            world.step(*step)

    assert world.queue.waiting == len(world.waiting)
    assert sorted(world.drained()) == sorted(world.waiting)


def test_a_task_that_was_put_back_again_and_again_is_still_compared():
    """Offered twice in vain, it is listed twice under one head, in a group made anew: beside it the queue goes on."""
    world = _World()
    late, early = world.tasks[7], world.tasks[0]
    world.queue.push(late, _OF[0], 1, frozenset())
    for _ in range(3):
        world.queue.block(world.queue.take(1))
        world.queue.push(early, _OF[1], 1, frozenset())
        taken = world.queue.probe(1)
        world.queue.block(taken)
        world.queue.drop(early)

    world.queue.push(early, _OF[1], 1, frozenset())

    assert [each[1][2].name for each in world.queue.take(10)] == [early.name]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), min_size=1, max_size=20))
def test_tasks_come_out_in_order_of_arrival_and_priority(arrivals):
    """One step of priority is worth ten seconds of waiting."""
    queue, tasks = ReadyQueue(), []
    for number, (arrival, priority) in enumerate(arrivals):
        task = Task(f"c.t{number}", (1, number), arrival * 10_000)
        task.priority = priority
        tasks.append(task)
        queue.push(task, _OF[number % 3], 1, frozenset())
    expected = sorted(order_key(task) for task in tasks)

    assert expected == [order_key(waiting[2]) for _, waiting in queue.take(100)]


def test_what_is_withdrawn_behind_others_is_let_go(monkeypatch: pytest.MonkeyPatch):
    """A client that submits and withdraws for ever behind a task that waits costs no memory."""
    monkeypatch.setattr("coordinator.queue._FEW", 10)
    world = _World()
    first, other = world.tasks[0], world.tasks[7]
    world.queue.push(first, _OF[0], 1, frozenset())
    for _ in range(100):
        world.queue.push(other, _OF[0], 1, frozenset())
        world.queue.drop(other)
    ((group, waiting),) = world.queue.take(1)

    assert waiting[2] is first
    assert len(group.entries) <= 11
