"""The policies alone: what enough is, what is still possible, and what is missing."""

from hypothesis import given
from hypothesis import strategies as st

from bus.messages import Quorum, Signature
from verifier.policies import Accept, Inconclusive, Standing, Wait, policy_for

A, B, C = b"a", b"b", b"c"
TWO = policy_for(Quorum(agree=2, of=3))
THREE = policy_for(Quorum(agree=3, of=5))


def standing(*votes: bytes, faulted: tuple[str, ...] = (), outstanding: int = 0) -> Standing:
    return Standing({f"n{at}": key for at, key in enumerate(votes)}, faulted, outstanding)


def test_signature_believes_the_first() -> None:
    """One vote decides; a later different one is named as dissent."""
    policy = policy_for(Signature())

    assert policy.decide(standing(A)) == Accept(("n0",), ())
    assert policy.decide(standing(A, B)) == Accept(("n0",), ("n1",))
    assert policy.decide(standing(outstanding=1)) == Wait()


def test_a_fault_asks_for_one_more_unless_others_may_still_come() -> None:
    """The faulted node is excluded; while another answer is outstanding nothing is asked."""
    policy = policy_for(Signature())

    assert policy.decide(standing(faulted=("x",))) == Inconclusive(1, ("x",), "fault")
    assert policy.decide(standing(faulted=("x",), outstanding=1)) == Wait()
    assert TWO.decide(standing(A, faulted=("x",), outstanding=1)) == Wait()
    assert TWO.decide(standing(A, faulted=("x",))) == Inconclusive(1, ("n0", "x"), "fault")
    assert TWO.decide(standing(faulted=("x", "y"), outstanding=1)) == Inconclusive(1, ("x", "y"), "fault")


def test_a_quorum_without_agreement_asks_for_what_is_missing() -> None:
    """All in and no agreement: as many more as the best answer lacks, from nodes that have not voted."""
    assert TWO.decide(standing(A, B, outstanding=1)) == Wait()
    assert TWO.decide(standing(A, B, C)) == Inconclusive(1, ("n0", "n1", "n2"), "disagreement")
    assert THREE.decide(standing(A, A, B, B, C)) == Inconclusive(
        1, ("n0", "n1", "n2", "n3", "n4"), "disagreement"
    )
    assert THREE.decide(standing(A, B, C, b"d", b"e")).need == 2
    assert TWO.decide(standing(A)) == Inconclusive(1, ("n0",), "too few results")


def test_the_first_answer_to_be_agreed_on_wins() -> None:
    """Whoever judges later, with more votes in, names the same answer."""
    assert TWO.decide(standing(A, B, B, A)) == Accept(("n1", "n2"), ("n0", "n3"))


@given(st.lists(st.sampled_from((A, B, C)), max_size=12), st.integers(0, 5), st.sampled_from((TWO, THREE)))
def test_what_is_accepted_stays_accepted(votes: list[bytes], outstanding: int, policy) -> None:
    """More votes never turn a decision into another one, and every need is what the best answer lacks."""
    before = policy.decide(standing(*votes, outstanding=outstanding))
    if isinstance(before, Accept):
        for more in (A, B, C):
            after = policy.decide(standing(*votes, more, outstanding=outstanding))
            assert isinstance(after, Accept)
            assert set(before.agreeing) <= set(after.agreeing)
    else:
        best = max((votes.count(key) for key in votes), default=0)
        missing = policy.agree - best - outstanding
        assert before == Wait() if missing <= 0 else before.need == missing
