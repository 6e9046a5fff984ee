"""What is finished stays known, wherever it lies, until it is forgotten."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from folds.remembered import Remembered
from folds.runs import Run, build, merge

WIDTH = 3
names = st.sampled_from([f"n{number}" for number in range(12)])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), names, st.binary(min_size=WIDTH, max_size=WIDTH)),
        st.sampled_from([("seal",), ("finish",), ("merge",), ("pack",)]),
    ),
    max_size=60,
)


def _seal(kept: Remembered, given_out: Any) -> None:
    kept.sealed(Run(build(*given_out)))


def _merge_all(kept: Remembered) -> None:
    while (group := kept.to_merge()) is not None:
        kept.merged(group, Run(merge(group)))


@given(steps)
def test_it_is_a_dictionary_whatever_is_sealed_merged_or_kept_meanwhile(history: list[Any]) -> None:
    """Also between the beginning and the end of a seal, and after a restart from what was packed."""
    kept, expected, sealing = Remembered(WIDTH), dict[str, bytes](), None
    for sequence, (verb, *said) in enumerate(history, 1):
        match verb:
            case "put":
                kept.put(said[0], said[1], sequence)
                expected[said[0]] = said[1]
            case "seal":
                sealing = kept.to_seal(1) or sealing
            case "finish" if sealing is not None:
                _seal(kept, sealing)
                sealing = None
            case "merge":
                _merge_all(kept)
            case "pack":
                packed, last = kept.pack()
                runs, kept, sealing = kept.runs, Remembered(WIDTH), None
                kept.unpack(packed, last, runs)

        assert {f"n{number}": kept.get(f"n{number}") for number in range(12)} == {
            f"n{number}": expected.get(f"n{number}") for number in range(12)
        }


def test_small_runs_become_large_ones() -> None:
    """However much is sealed, there are few runs to look into."""
    kept = Remembered(WIDTH)
    for number in range(64):
        kept.put(f"n{number}", b"abc", number + 1)
        given_out = kept.to_seal(1)
        assert given_out is not None
        _seal(kept, given_out)
        _merge_all(kept)

    assert len(kept.runs) <= 16
    assert all(f"n{number}" in kept for number in range(64))


def test_forgetting_goes_by_the_place_in_the_log_and_never_too_far() -> None:
    """A run goes when all of it stands before; what is still in memory, and what shares a run with it, stays."""
    kept = Remembered(WIDTH)
    for sequence in range(1, 7):
        kept.put(f"n{sequence}", b"abc", sequence)
        if sequence % 2 == 0 and sequence < 6:
            given_out = kept.to_seal(2)
            assert given_out is not None
            _seal(kept, given_out)
    kept.forget(4)

    assert [sequence for sequence in range(1, 7) if f"n{sequence}" in kept] == [3, 4, 5, 6]


def test_runs_that_were_forgotten_while_they_were_merged_stay_forgotten() -> None:
    """A merge that comes too late changes nothing."""
    kept = Remembered(WIDTH)
    for sequence in range(1, 5):
        kept.put(f"n{sequence}", b"abc", sequence)
        given_out = kept.to_seal(1)
        assert given_out is not None
        _seal(kept, given_out)
    group = kept.to_merge()
    assert group is not None
    kept.forget(3)
    kept.merged(group, Run(merge(group)))

    assert [sequence for sequence in range(1, 5) if f"n{sequence}" in kept] == [3, 4]
