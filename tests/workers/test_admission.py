"""The memory gate: guests that may run at once never exceed what the node offers."""

from hypothesis import given
from hypothesis import strategies as st

from workers.admission import MemoryGate


def worst(limits: list[int], slots: int) -> int:
    return sum(sorted(limits, reverse=True)[:slots])


@given(
    st.integers(1, 8),
    st.integers(1, 4096),
    st.lists(st.tuples(st.booleans(), st.integers(1, 4096)), max_size=60),
)
def test_no_choice_of_the_pool_exceeds_the_memory(
    slots: int, memory_mb: int, moves: list[tuple[bool, int]]
) -> None:
    """The gate admits exactly the jobs with which the heaviest `slots` still fit, through any joins and leaves."""
    gate = MemoryGate(slots=slots, memory_mb=memory_mb)
    inside: list[int] = []
    for joins, number in moves:
        if joins:
            admitted = gate.admits(number)
            assert admitted == (worst([*inside, number], slots) <= memory_mb)
            if admitted:
                gate.enter(number)
                inside.append(number)
        elif inside:
            gate.leave(inside.pop(number % len(inside)))
    assert repr(gate) == f"MemoryGate({worst(inside, slots)} of {memory_mb} MB)"


def test_an_empty_node_admits_whatever_could_ever_fit() -> None:
    """Nothing waits for ever: what fits alone is admitted when it is alone."""
    gate = MemoryGate(slots=4, memory_mb=1000)

    assert gate.could_ever(1000)
    assert gate.admits(1000)
    assert not gate.could_ever(1001)
