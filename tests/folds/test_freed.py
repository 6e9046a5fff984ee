"""What a process has freed does not stay with it."""

import subprocess
import sys

import pytest

from folds import freed

_HELD_AND_GIVEN_BACK = """
from pathlib import Path
from folds.freed import give_back

def resident_mb():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20

blocks = [bytes(64 * 1024) for _ in range(2_000)]
top = [bytes(64 * 1024) for _ in range(1_000)]
blocks.clear()
held = resident_mb()
assert give_back()
print(held - resident_mb())
"""


@pytest.mark.skipif(freed._trim is None, reason="only glibc holds on to what is freed")
def test_what_was_freed_goes_back_to_the_system() -> None:
    """125 MB of small blocks, freed below others that stay, are the system's again."""
    told = subprocess.run(
        [sys.executable, "-c", _HELD_AND_GIVEN_BACK], capture_output=True, text=True, check=True, timeout=60
    )

    assert float(told.stdout) > 60


_LARGE_AND_SMALL = """
from folds.freed import LARGE_BYTES, keep_large_apart
from pathlib import Path

def resident_mb():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20

assert keep_large_apart()
del (first := [bytearray(5 * LARGE_BYTES)])[:]  # by itself glibc learns from this that such blocks are usual
before = resident_mb()
large = bytearray(4 * LARGE_BYTES)
behind = [bytes(64 * 1024) for _ in range(8)]
del large
print(resident_mb() - before)
"""


@pytest.mark.skipif(freed._set is None, reason="only glibc can be told")
def test_a_large_block_that_is_freed_is_the_systems_at_once() -> None:
    """Sixteen megabytes, with small blocks made behind them that stay."""
    told = subprocess.run(
        [sys.executable, "-c", _LARGE_AND_SMALL], capture_output=True, text=True, check=True, timeout=60
    )

    assert float(told.stdout) < 4


def test_another_allocator_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without glibc nothing is given back, and nothing fails."""
    monkeypatch.setattr(freed, "_trim", None)
    monkeypatch.setattr(freed, "_set", None)

    assert freed.give_back() is False
    assert freed.keep_large_apart() is False
