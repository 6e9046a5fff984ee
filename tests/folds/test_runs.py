"""Runs: what was put in is found, what was not is not, and damage is noticed."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from folds.errors import RunDamaged
from folds.runs import Run, build, key_of, merge, probe

WIDTH = 5
NAMES = st.dictionaries(st.text(max_size=8), st.binary(min_size=WIDTH, max_size=WIDTH), min_size=1)


def _run(things: dict[str, bytes], last: int = 7) -> Run:
    return Run(build([key_of(name) for name in things], list(things.values()), last))


@given(NAMES)
def test_a_run_answers_for_what_is_in_it_and_nothing_else(things: dict[str, bytes]) -> None:
    """Every name gives its value; strangers give none."""
    run = _run(things)

    assert {name: run.get(probe(key_of(name))) for name in things} == things
    assert all(run.may_hold(probe(key_of(name))) for name in things)
    assert all(run.get(probe(key_of(f"other {number}"))) is None for number in range(50))
    assert (run.count, run.last, run.width) == (len(things), 7, WIDTH)


@given(NAMES)
def test_the_same_things_are_the_same_bytes(things: dict[str, bytes]) -> None:
    """In whatever order they are put in: so a run has one name."""
    backwards = dict(reversed(things.items()))

    assert _run(things).digest == _run(backwards).digest


@given(st.lists(NAMES, min_size=1, max_size=5))
def test_a_merge_holds_all_of_its_runs_the_newest_value_of_each_name(groups: list[dict[str, bytes]]) -> None:
    """As a dictionary that is updated with one after the other."""
    merged = Run(merge([_run(things, last) for last, things in enumerate(groups)]))
    expected: dict[str, bytes] = {}
    for things in groups:
        expected.update(things)

    assert merged.digest == _run(expected, len(groups) - 1).digest


def test_a_large_run_reads_little_for_each_answer() -> None:
    """A look-up reads one block; nearly every stranger costs no read at all."""
    things = {f"me.t{number}": number.to_bytes(WIDTH) for number in range(20_000)}
    data = _run(things).content()
    reads: list[int] = []

    def read(offset: int, size: int) -> bytes:
        reads.append(size)
        return data[offset : offset + size]

    run = Run(data, read)
    for name in random.Random(1).sample(list(things), 500):  # noqa: S311 -- any will do
        assert run.get(probe(key_of(name))) == things[name]

    assert len(reads) == 500
    assert max(reads) <= 64 * (16 + WIDTH)
    strangers = sum(run.may_hold(probe(key_of(f"x{number}"))) for number in range(10_000))
    assert strangers < 800


def test_damage_is_noticed() -> None:
    """A changed, cut or foreign block of bytes is refused when it is opened, and when it is read again in whole."""
    data = _run({"a": b"12345", "b": b"67890"}).content()
    digest = Run(data).digest
    for bad in (data[:-1], data + b"x", b"", b"AVCPRUN0" + data[8:]):
        with pytest.raises(RunDamaged):
            Run(bad)
    with pytest.raises(RunDamaged, match=digest):
        Run(data[:-1] + b"x", digest=digest)
    stored = bytearray(data)
    run = Run(data, lambda offset, size: bytes(stored[offset : offset + size]))
    stored[-1] ^= 1
    with pytest.raises(RunDamaged):
        run.content()
