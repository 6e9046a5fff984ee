"""Reputation as a fold over the lines of VERDICTS."""

from hypothesis import given
from hypothesis import strategies as st

from bus.messages import Inconclusive, Late, Verdict
from bus.reputation import Reputation, success_rate

NODES = st.lists(st.sampled_from("abcde"), max_size=3, unique=True).map(tuple)
LINES = st.one_of(
    st.builds(
        Verdict, task=st.just("me.t"), status=st.just("verified"), agree=NODES, dissent=NODES, faulted=NODES
    ),
    st.builds(Inconclusive, task=st.just("me.t"), need=st.just(1), after=st.just(1), faulted=NODES),
    st.builds(
        Late,
        task=st.just("me.t"),
        node=st.sampled_from("abcde"),
        agrees=st.booleans(),
        evidence=st.just((1, 0)),
    ),
)


def test_each_kind_of_line_counts_in_its_column() -> None:
    """Agreement, dissent and fault are told apart, and a late answer counts like a timely one."""
    reputation = Reputation()
    reputation.fold(Verdict(task="t", status="verified", agree=("a", "b"), dissent=("c",), faulted=("d",)))
    reputation.fold(Inconclusive(task="u", need=1, after=1, faulted=("d",)))
    reputation.fold(Late(task="t", node="a", agrees=True, evidence=(1, 0)))
    reputation.fold(Late(task="t", node="c", agrees=False, evidence=(1, 1)))

    assert list(reputation) == [("a", 2, 0, 0), ("b", 1, 0, 0), ("c", 0, 2, 0), ("d", 0, 0, 2)]


def test_a_newcomer_is_neither_perfect_nor_worthless() -> None:
    """The prior stands between the extremes, and answers move it the right way."""
    assert Reputation().rate("new") == 0.5
    assert 0 < success_rate(0, 9, 0) < 0.5 < success_rate(9, 0, 0) < 1
    assert success_rate(0, 5, 0) == success_rate(0, 0, 5)


@given(st.lists(LINES, max_size=30).flatmap(lambda lines: st.tuples(st.just(lines), st.permutations(lines))))
def test_the_order_of_lines_does_not_matter(both: tuple[list, list]) -> None:
    """Whoever reads the same lines arrives at the same figures."""
    one, other = Reputation(), Reputation()
    for line in both[0]:
        one.fold(line)
    for line in both[1]:
        other.fold(line)

    assert sorted(one) == sorted(other)
