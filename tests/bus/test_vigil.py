"""The vigil over a lease's holder: who is called gone, and who is not."""

from hypothesis import given
from hypothesis import strategies as st

from bus.vigil import Pulse, Vigil

TTL_S = 2.0


def test_a_holder_is_gone_after_two_absences() -> None:
    """One may be a moment's: the second look follows soon, and decides."""
    vigil = Vigil(TTL_S)
    unhurried_s = vigil.pause_s
    vigil.sees(1, "absent", 0.0)
    after_one = vigil.is_gone(0.0)
    hurried_s = vigil.pause_s
    vigil.sees(1, "absent", hurried_s)

    assert not after_one
    assert hurried_s < unhurried_s
    assert vigil.is_gone(hurried_s)


def test_who_answers_renews_or_hangs_is_not_gone() -> None:
    """An answer, a silence or a renewal between two absences makes the first of them forgotten."""
    for revision, pulse in ((1, "alive"), (1, "silent"), (2, "absent")):
        vigil = Vigil(TTL_S)
        vigil.sees(1, "absent", 0.0)
        vigil.sees(revision, pulse, 0.1)  # type: ignore[arg-type]
        vigil.sees(revision, "silent", 0.2)
        vigil.sees(revision, "absent", 0.3)

        assert not vigil.is_gone(0.3), (revision, pulse)


def test_after_a_reconnect_absences_prove_nothing_for_a_while() -> None:
    """Where a server was lost, the holder is on its way to another one, as we were; a second later it must be there."""
    vigil = Vigil(TTL_S)
    vigil.sees(1, "absent", 0.0)
    vigil.reconnected(0.1)
    vigil.sees(1, "absent", 0.2)
    vigil.sees(1, "absent", 0.3)

    assert not vigil.is_gone(0.3)
    assert vigil.is_gone(1.1)


@given(
    st.lists(st.tuples(st.integers(1, 3), st.sampled_from(("alive", "absent", "silent")), st.floats(0, 1)))
)
def test_a_lease_is_over_when_one_revision_was_seen_for_its_whole_life(
    looks: list[tuple[int, Pulse, float]],
) -> None:
    """Whatever the pulse; a renewal seen begins it anew, so a holder that renews in time never loses it by that."""
    vigil, now_s, seen, since_s = Vigil(TTL_S), 0.0, 0, 0.0
    for revision, pulse, passed_s in looks:
        now_s += passed_s
        if revision != seen:
            seen, since_s = revision, now_s
        vigil.sees(revision, pulse, now_s)

        assert vigil.is_over(now_s) == (now_s >= since_s + TTL_S)
