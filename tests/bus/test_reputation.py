"""Reputation as a fold over the lines of VERDICTS."""

from hypothesis import given
from hypothesis import strategies as st

from bus.messages import Inconclusive, Late, Verdict
from bus.reputation import Reputation, success_rate

NODES = st.lists(st.sampled_from("abcde"), max_size=3, unique=True).map(tuple)
COUNTS = st.integers(0, 10**6)
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


@given(COUNTS, COUNTS, COUNTS)
def test_it_is_never_certain_and_moves_the_right_way(agreed: int, dissented: int, faulted: int) -> None:
    """Agreement raises it, a fault lowers it, a dissent lowers it more; it stays strictly between 0 and 1."""
    now = success_rate(agreed, dissented, faulted)

    assert 0 < now < 1
    assert success_rate(agreed + 1, dissented, faulted) > now
    assert success_rate(agreed, dissented + 1, faulted) < success_rate(agreed, dissented, faulted + 1) < now


def test_a_newcomer_is_in_the_middle() -> None:
    """Without any result a node is neither trusted nor distrusted."""
    assert Reputation().rate("new") == 0.5


def test_only_what_changed_is_told_again() -> None:
    """Whoever keeps figures of nodes elsewhere hears of each change once."""
    reputation = Reputation()
    reputation.count(agreed=("a", "b"))
    first = reputation.changed()
    reputation.count(faulted=("b",))

    assert (first, reputation.changed(), reputation.changed()) == ({"a", "b"}, {"b"}, set())


@given(st.lists(LINES, max_size=30).flatmap(lambda lines: st.tuples(st.just(lines), st.permutations(lines))))
def test_the_order_of_lines_does_not_matter(both: tuple[list, list]) -> None:
    """Whoever reads the same lines arrives at the same figures."""
    one, other = Reputation(), Reputation()
    for line in both[0]:
        one.fold(line)
    for line in both[1]:
        other.fold(line)

    assert one == other
