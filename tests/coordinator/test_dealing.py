"""Merging places and dealing them out: the array form finds what the list form finds, and no hand holds a row twice."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from coordinator.dealing import Queue, deal, merge, merge_many

sequences = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 9), st.integers(1, 5)), min_size=1, max_size=30
)


def found(members, places):
    """What the members of all sequences cost, the cheapest first: sorted, as plain Python would."""
    return sorted(cost + step * turn for cost, step, left in members for turn in range(left))[:places]


def told(indices, members):
    """What the places found cost; the n-th time that an index comes it is its n-th member."""
    seen = [0] * len(members)
    costs = []
    for index in indices:
        cost, step, _ = members[index]
        costs.append(cost + step * seen[index])
        seen[index] += 1
    assert all(times <= left for times, (_, _, left) in zip(seen, members, strict=True))
    return costs


@given(sequences, st.data())
def test_both_merges_find_the_cheapest_places_in_order(members, data):
    """Lists and arrays give the cheapest members of all sequences, cheapest first, none more often than it is there."""
    cost, step, left = zip(*members, strict=True)
    places = data.draw(st.integers(1, sum(left)))
    assert told(merge([*cost], [*step], [*left], places, None), members) == found(members, places)

    places = min(places, len(members))
    arrays = (
        np.array(cost, dtype=np.float64),
        np.array(step, dtype=np.float64),
        np.array(left, dtype=np.int32),
    )
    assert told(merge_many(*arrays, places, None), members) == found(members, places)


@given(st.integers(1, 20), st.integers(1, 5), st.data())
def test_no_hand_holds_a_row_twice(count, replicas, data):
    """Places of which no row has more than there are hands are dealt so that every hand has different rows."""
    order: list[int] = []
    row = 0
    while len(order) < count * replicas:
        places = data.draw(st.integers(1, count))
        order += [row] * min(places, count * replicas - len(order))
        row += 1
    shuffled = data.draw(st.permutations(order))
    hands = list(deal(shuffled, count, replicas))

    assert len(hands) == count
    assert all(len(set(hand)) == len(hand) == replicas for hand in hands)
    assert sorted(row for hand in hands for row in hand) == order


def test_what_one_may_not_take_is_offered_to_the_next():
    """Places passed over come first for who may have them, and a request that goes short takes nothing."""
    queue = Queue([1, 2, 2, 3])

    assert queue.take(1, frozenset({1})) == (2,)
    assert queue.take(3, frozenset({3})) is None
    assert sorted(queue.take(3, frozenset()) or ()) == [1, 2, 3]
    assert queue.take(1, frozenset()) is None
