"""A run that is looked up on the disk answers as one in memory does."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from folds.cold import ColdRun, digest_of
from folds.errors import RunDamaged
from folds.runs import Run, build, key_of, probe


@settings(max_examples=40)
@given(st.sets(st.integers(0, 3000), min_size=1, max_size=400), st.integers(1, 40))
def test_a_cold_run_answers_as_a_warm_one(
    tmp_path_factory: pytest.TempPathFactory, numbers: set[int], width: int
) -> None:
    """For all that is in it, and for what is not."""
    path = tmp_path_factory.mktemp("cold") / "run"
    data = build([key_of(f"t{n}") for n in numbers], [bytes([n % 256]) * width for n in numbers], 7)
    path.write_bytes(data)
    warm, cold = Run(data), ColdRun(path)

    for n in range(0, 3001, 7):
        assert cold.get(probe(key_of(f"t{n}"))) == warm.get(probe(key_of(f"t{n}")))
    assert all(cold.get(probe(key_of(f"t{n}"))) == bytes([n % 256]) * width for n in numbers)
    assert digest_of(path) == warm.digest
    cold.close()


@pytest.mark.parametrize("data", [b"", b"AVCPRUN1", b"x" * 100])
def test_what_is_no_run_is_not_opened(tmp_path: Path, data: bytes) -> None:
    """Cut, empty or something else."""
    path = tmp_path / "run"
    path.write_bytes(data)
    with pytest.raises(RunDamaged, match="is no run"):
        ColdRun(path)
